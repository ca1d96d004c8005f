/**
 * The order in which a loader visits frames: decided by (seed, epoch) alone, so that it can be resumed and shared between ranks.
 *
 * Frames come in units (episodes that are decoded together). When all frames fit the cache the whole epoch is one block and the shuffle is
 * uniform; otherwise units are shuffled into blocks of at most `window` frames and frames are shuffled within each block, so that every
 * picture is decoded once an epoch and two blocks are all that memory must hold.
 */
import { SeededRandom } from './random.js';

/** A run of frames decoded together. */
export interface Unit {
  /** Global index of the first frame. */
  readonly first: number;
  readonly numFrames: number;
}

export interface Block {
  /** Units of the block, in the order their frames lie in the arena. */
  readonly units: readonly number[];
  /** Positions [from, to) of the epoch's order. */
  readonly from: number;
  readonly to: number;
}

export interface EpochOrder {
  /** Global frame index at every position. */
  readonly frames: Int32Array;
  readonly blocks: readonly Block[];
}

/** The order of one epoch. `window` 0 means one block. Blocks are about equally large. */
export function epochOrder(
  units: readonly Unit[],
  seed: number,
  epoch: number,
  window: number,
  shuffle: boolean,
): EpochOrder {
  const random = new SeededRandom(seed, epoch);
  const unitOrder = Int32Array.from(units, (_, i) => i);
  if (shuffle && window > 0) random.shuffle(unitOrder);
  const total = units.reduce((sum, unit) => sum + unit.numFrames, 0);
  const numBlocks = window > 0 ? Math.ceil(total / window) : 1;
  const frames = new Int32Array(total);
  const blocks: Block[] = [];
  let members: number[] = [];
  let from = 0;
  let at = 0;
  for (const index of unitOrder) {
    const { first, numFrames } = units[index] as Unit;
    members.push(index);
    for (let i = 0; i < numFrames; i++) frames[at + i] = first + i;
    at += numFrames;
    if (at < total && at < ((blocks.length + 1) * total) / numBlocks) continue;
    if (shuffle) random.shuffle(frames, from, at);
    blocks.push({ units: members, from, to: at });
    members = [];
    from = at;
  }
  return { frames, blocks };
}

/** Units of a block in the order in which positions from `position` on need them. */
export function unitsByNeed(order: EpochOrder, block: Block, unitOfFrame: Int32Array, position: number): number[] {
  const seen = new Set<number>();
  for (let p = Math.max(position, block.from); p < block.to; p++)
    seen.add(unitOfFrame[order.frames[p] as number] as number);
  return [...seen];
}
