/**
 * Discrete action tokens as in OpenVLA (arXiv 2406.09246, Section 3.2), the second base of DualVLA (its Eq. 5 is written for them): every action value,
 * normalised to [-1, 1], becomes one of 256 tokens at the end of the vocabulary, and a chunk of C steps becomes C * A tokens,
 * step by step. Small models append 256 rows to the vocabulary of their tokenizer; OpenVLA overwrites the last 256.
 *
 * The released code uses 256 edges, not 256 centres: index = number of edges <= value, 1..256, token = vocabulary - index. So
 * -1 is the last id, only exactly 1 has index 256, and the last two indices decode alike, because 256 edges have 255 centres.
 *
 * Knows nothing about tensors, text or statistics (action-normalization.ts).
 */

/** Label of positions that are not trained on, as in F.cross_entropy's ignore_index. */
export const IGNORED_LABEL = -100;

/** A token sequence and its labels (IGNORED_LABEL on the prompt), both of the same length, not shifted. */
export interface LabelledTokens {
  input_ids: Int32Array;
  labels: Int32Array;
}

export class DiscreteActionTokens {
  /** The edges -1 .. 1, `numBins` of them. */
  readonly edges: Float64Array;
  /** Midpoints between edges, numBins - 1 of them: what tokens decode to. */
  readonly centers: Float64Array;

  /**
   * @param vocabularySize all ids of the model, action tokens included (they are the last `numBins`)
   * @throws RangeError if the vocabulary has no room for them
   */
  constructor(
    readonly vocabularySize: number,
    readonly numBins = 256,
  ) {
    if (vocabularySize < numBins) {
      throw new RangeError(`a vocabulary of ${vocabularySize} has no room for ${numBins} action tokens`);
    }
    const step = 2 / (numBins - 1);
    this.edges = Float64Array.from({ length: numBins }, (_, i) => (i === numBins - 1 ? 1 : i * step - 1));
    this.centers = Float64Array.from(
      { length: numBins - 1 },
      (_, i) => ((this.edges[i] ?? 0) + (this.edges[i + 1] ?? 0)) / 2,
    );
  }

  /** The smallest action id (the token of exactly 1). */
  get firstId(): number {
    return this.vocabularySize - this.numBins;
  }

  /** The largest action id (the token of -1). */
  get lastId(): number {
    return this.vocabularySize - 1;
  }

  isAction(id: number): boolean {
    return id >= this.firstId && id <= this.lastId;
  }

  /** Ids of normalised actions; values beyond [-1, 1] are clipped. NaN becomes the id of 1, as numpy's digitize has it. */
  encode(actions: ArrayLike<number>): Int32Array {
    return Int32Array.from(
      actions,
      (value) => this.vocabularySize - this.#countEdgesUpTo(Math.min(1, Math.max(-1, value))),
    );
  }

  /** Normalised actions of ids; an id outside the action range decodes like the nearest one inside. */
  decode(ids: ArrayLike<number>): Float64Array {
    const last = this.centers.length - 1;
    return Float64Array.from(ids, (id) => {
      const index = Math.min(last, Math.max(0, this.vocabularySize - id - 1));
      return this.centers[index] as number;
    });
  }

  /** prompt + tokens of a chunk (C * A normalised values, step by step) + optional end token, labels on all but the prompt. */
  buildLabels(prompt: ArrayLike<number>, chunk: ArrayLike<number>, endId?: number): LabelledTokens {
    const answer = [...this.encode(chunk), ...(endId === undefined ? [] : [endId])];
    return {
      input_ids: Int32Array.from([...Array.from(prompt), ...answer]),
      labels: Int32Array.from([...Array.from(prompt, () => IGNORED_LABEL), ...answer]),
    };
  }

  /**
   * The chunk [C * A] in generated ids, which may end in other tokens.
   * @throws RangeError if the first C * A ids are not all action tokens (constrain generation to firstId .. lastId)
   */
  decodeChunk(ids: ArrayLike<number>, chunk: number, actionDim: number): Float64Array {
    const wanted = Array.from(ids).slice(0, chunk * actionDim);
    const bad = wanted.findIndex((id) => !this.isAction(id));
    if (wanted.length < chunk * actionDim || bad >= 0) {
      const found = bad >= 0 ? `id ${wanted[bad]} at ${bad}` : `only ${wanted.length} ids`;
      throw new RangeError(
        `a chunk of ${chunk} x ${actionDim} needs ${chunk * actionDim} action tokens (${this.firstId}..${this.lastId}), found ${found}`,
      );
    }
    return this.decode(wanted);
  }

  /** Number of edges <= value, at least 1 for value >= -1 (binary search; all of them for NaN). */
  #countEdgesUpTo(value: number): number {
    let [low, high] = [0, this.numBins];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.edges[middle] as number) > value) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
