/**
 * What a judge of trajectories is (the paper's Sec. 3.3): marks from 0 (poor, or no evidence) over 5 (acceptable) to 10 (excellent). The rule
 * judge is one; a vision-language model may be another.
 */
import type { EpisodeTrace } from '../eval/trace.js';

export interface Judgement {
  /** Reasoning: correct, consistent, useful. Absent for policies that do not reason. */
  readonly R?: number;
  /** Action: coherent, smooth, precise, efficient. */
  readonly A: number;
  /** Intention: reasoning and actions work towards the task. */
  readonly I: number;
  /** What is said and what is done agree; 10 for policies that do not reason. */
  readonly RA: number;
}

export interface Judge {
  /** Goes into results: marks of different judges are not comparable. */
  readonly name: string;
  judge(trace: EpisodeTrace): Judgement | Promise<Judgement>;
}

/** A judge gave a mark that is none. */
export class MarkError extends Error {
  override readonly name = 'MarkError';
  constructor(which: string, mark: number) {
    super(`mark ${which} is ${mark}; marks go from 0 to 10`);
  }
}
