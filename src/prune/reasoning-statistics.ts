/**
 * How repetitive reasoning is, before and after pruning: the paper's argument (Sec. 3.2.1: neighbouring frames share the same low-entropy
 * text, which dominates the loss), measured on words, so that it does not depend on a tokenizer.
 *
 * Knows nothing about how frames are chosen.
 */
export interface ReasoningStatistics {
  /** Frames with reasoning text. */
  readonly frames: number;
  readonly words: number;
  readonly wordsPerFrame: number;
  /** Entropy of the word distribution, bits a word. */
  readonly unigramEntropy: number;
  /** Share of frames whose text is the same as that of the frame with reasoning before it in the episode (first ones of episodes left out). */
  readonly repeated: number;
  /** Share of words of a frame that stand at the same place in the text before: how little a frame says that is new. */
  readonly sameWords: number;
  /** Different n-grams over all n-grams. */
  readonly distinct1: number;
  readonly distinct2: number;
}

/** Collects texts episode by episode, in the order of the frames. */
export class ReasoningCounter {
  readonly #unigrams = new Map<string, number>();
  readonly #bigrams = new Set<string>();
  #frames = 0;
  #words = 0;
  #bigramCount = 0;
  #pairs = 0;
  #repeats = 0;
  #comparedWords = 0;
  #sameWords = 0;

  /** Texts of one episode's frames; frames without reasoning ("") are passed over. */
  add(texts: readonly string[]): void {
    let previous: { text: string; words: string[] } | undefined;
    for (const text of texts) {
      if (text === '') continue;
      const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
      this.#frames++;
      this.#words += words.length;
      words.forEach((word, i) => {
        this.#unigrams.set(word, (this.#unigrams.get(word) ?? 0) + 1);
        if (i > 0) this.#bigrams.add(`${words[i - 1]} ${word}`);
      });
      this.#bigramCount += Math.max(words.length - 1, 0);
      if (previous) {
        this.#pairs++;
        if (previous.text === text) this.#repeats++;
        this.#comparedWords += words.length;
        for (let i = 0; i < words.length; i++) if (words[i] === previous.words[i]) this.#sameWords++;
      }
      previous = { text, words };
    }
  }

  statistics(): ReasoningStatistics {
    const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
    let unigramEntropy = 0;
    for (const count of this.#unigrams.values())
      unigramEntropy -= share(count, this.#words) * Math.log2(share(count, this.#words));
    return {
      frames: this.#frames,
      words: this.#words,
      wordsPerFrame: share(this.#words, this.#frames),
      unigramEntropy,
      repeated: share(this.#repeats, this.#pairs),
      sameWords: share(this.#sameWords, this.#comparedWords),
      distinct1: share(this.#unigrams.size, this.#words),
      distinct2: share(this.#bigrams.size, this.#bigramCount),
    };
  }
}
