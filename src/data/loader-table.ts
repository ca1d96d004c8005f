/**
 * Everything but pictures that a loader needs of its data sets, in memory as typed arrays: state, action, instruction and reasoning of
 * every frame, in one global numbering over all data sets.
 *
 * Shape legend: N frames in all, S state dims, A action dims.
 */
import type { ActionSequence } from './action-chunk.js';
import { decodeNumeric, decodeStrings } from './episode-columns.js';
import { UnsupportedDatasetError } from './errors.js';
import {
  ACTION_KEY,
  DISTURBED_KEY,
  type Feature,
  featureSize,
  REASONING_KEEP_KEY,
  REASONING_TEXT_KEY,
  STATE_KEY,
} from './features.js';
import type { LeRobotDataset } from './lerobot-dataset.js';
import { robustRange } from './statistics.js';

/** A table of distinct strings and, for every frame, which one it has. */
export interface TextColumn {
  readonly texts: readonly string[];
  readonly ids: Int32Array;
}

/** An episode of the loader's numbering. */
export interface LoaderEpisode extends ActionSequence {
  /** Which data set, and which of its episodes. */
  readonly dataset: number;
  readonly episode: number;
  /** Global index of its first frame. */
  readonly first: number;
}

export interface LoaderTable {
  readonly numFrames: number;
  readonly stateDim: number;
  readonly actionDim: number;
  /** [N, S]. */
  readonly state: Float32Array;
  readonly instruction: TextColumn;
  readonly reasoning: TextColumn;
  /** [N]: 1 where the reasoning is kept. */
  readonly keep: Uint8Array;
  /** [N]: which of `episodes`. */
  readonly episodeOf: Int32Array;
  readonly episodes: readonly LoaderEpisode[];
}

/** Range [S] that normalises states to [-1, 1]. */
export interface StateStats {
  readonly q01: Float32Array;
  readonly q99: Float32Array;
}

class TextTable {
  readonly texts: string[] = [];
  readonly #ids = new Map<string, number>();
  idOf(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.texts.push(text) - 1;
      this.#ids.set(text, id);
    }
    return id;
  }
}

/** Reads the columns of all data sets. Throws UnsupportedDatasetError when they lack state or action or differ in size. */
export async function readLoaderTable(datasets: readonly LeRobotDataset[]): Promise<LoaderTable> {
  const numFrames = datasets.reduce((sum, dataset) => sum + dataset.numFrames, 0);
  const dimOf = (key: string): number => {
    const sizes = datasets.map((dataset) => (dataset.features[key] ? featureSize(dataset.features[key]) : 0));
    const odd = sizes.findIndex((size) => size !== sizes[0] || size === 0);
    if (odd >= 0)
      throw new UnsupportedDatasetError(
        sizes[odd] === 0
          ? 'The data set lacks this feature'
          : `${sizes[odd]} dimensions, the first data set has ${sizes[0]}`,
        {
          file: datasets[odd]?.folder,
          field: key,
        },
      );
    return sizes[0] as number;
  };
  const stateDim = dimOf(STATE_KEY);
  const actionDim = dimOf(ACTION_KEY);
  const state = new Float32Array(numFrames * stateDim);
  const action = new Float32Array(numFrames * actionDim);
  const keep = new Uint8Array(numFrames).fill(1);
  const instructions = new TextTable();
  const reasonings = new TextTable();
  const instructionIds = new Int32Array(numFrames);
  const reasoningIds = new Int32Array(numFrames).fill(reasonings.idOf(''));
  const episodeOf = new Int32Array(numFrames);
  const episodes: LoaderEpisode[] = [];
  let first = 0;
  for (const [d, dataset] of datasets.entries()) {
    const optional = [REASONING_TEXT_KEY, REASONING_KEEP_KEY, DISTURBED_KEY].filter((key) => key in dataset.features);
    const columns = await dataset.readColumns([STATE_KEY, ACTION_KEY, 'task_index', ...optional]);
    const origin = { file: dataset.folder };
    const numbers = (key: string): ArrayLike<number | bigint> =>
      decodeNumeric(columns.get(key) ?? [], key, dataset.features[key] as Feature, origin) as ArrayLike<
        number | bigint
      >;
    state.set(Float32Array.from(numbers(STATE_KEY), Number), first * stateDim);
    action.set(Float32Array.from(numbers(ACTION_KEY), Number), first * actionDim);
    const tasks = numbers('task_index');
    for (let i = 0; i < dataset.numFrames; i++)
      instructionIds[first + i] = instructions.idOf(dataset.tasks[Number(tasks[i])] ?? '');
    if (REASONING_TEXT_KEY in dataset.features)
      decodeStrings(columns.get(REASONING_TEXT_KEY) ?? [], REASONING_TEXT_KEY, origin).forEach((text, i) => {
        reasoningIds[first + i] = reasonings.idOf(text);
      });
    const disturbed = DISTURBED_KEY in dataset.features ? Uint8Array.from(numbers(DISTURBED_KEY), Number) : undefined;
    if (REASONING_KEEP_KEY in dataset.features) keep.set(Uint8Array.from(numbers(REASONING_KEEP_KEY), Number), first);
    for (const record of dataset.episodes) {
      const from = first + record.fromIndex;
      episodeOf.fill(episodes.length, from, first + record.toIndex);
      episodes.push({
        dataset: d,
        episode: record.index,
        first: from,
        length: record.length,
        actionDim,
        action: action.subarray(from * actionDim, (from + record.length) * actionDim),
        ...(disturbed ? { disturbed: disturbed.subarray(record.fromIndex, record.toIndex) } : {}),
      });
    }
    first += dataset.numFrames;
  }
  return {
    numFrames,
    stateDim,
    actionDim,
    state,
    instruction: { texts: instructions.texts, ids: instructionIds },
    reasoning: { texts: reasonings.texts, ids: reasoningIds },
    keep,
    episodeOf,
    episodes,
  };
}

/** Range of every state dimension over all frames. */
export function computeStateStats({ state, stateDim }: Pick<LoaderTable, 'state' | 'stateDim'>): StateStats {
  const n = state.length / stateDim;
  const q01 = new Float32Array(stateDim);
  const q99 = new Float32Array(stateDim);
  for (let d = 0; d < stateDim; d++) {
    const column = Float32Array.from({ length: n }, (_, i) => state[i * stateDim + d] as number).sort();
    [q01[d], q99[d]] = robustRange(column);
  }
  return { q01, q99 };
}
