/**
 * Everything that is measured of one model: what `dualvla measure` writes as measurement.json and studies compare.
 *
 * Knows nothing about how it is measured or shown.
 */
import type { ActionError, PhaseError } from './held-out-error.js';
import type { FamilyCount } from './multimodal/evaluate-multimodal.js';
import type { SuccessTable } from './success-table.js';

/** VLA Score (Eq. 8) of one model: means over trajectories, each 0 to 100; score is the mean of per-trajectory scores. */
export interface MeanVlaScore {
  /** Absent for models that do not reason. */
  R?: number;
  A: number;
  I: number;
  RA: number;
  score: number;
  /** 95 % interval of the score over trajectories. */
  interval: readonly [number, number];
  judge: string;
}

/** How often and how long a model thinks before it acts. */
export interface Thinking {
  predictions: number;
  /** Predictions with reasoning before them. */
  reasoned: number;
  /** Reasoning tokens in all. */
  tokens: number;
  /** Processor time of one prediction for one observation, reasoning included, mean over some on this machine; null if not timed. */
  secondsPerPrediction: number | null;
}

export interface Measurement {
  recipe: string;
  model: string;
  seed: number;
  commit: string;
  engine: string;
  split: string;
  /** Scenes a task. */
  trials: number;
  success: SuccessTable;
  multimodal: Record<string, FamilyCount>;
  vlaScore: MeanVlaScore;
  /** Figures of the validity of generated reasoning (score/reasoning-validity.ts); null for models that never reasoned. */
  reasoning: Record<string, number | null> | null;
  thinking: Thinking;
  /** On held-out demonstrations, as the model acts by itself (by phase too, where the data tell phases), and with reasoning suppressed. */
  actionError: { own: ActionError; plain: ActionError; byPhase: Record<string, PhaseError> | null } | null;
  /** Seconds it took. */
  seconds: number;
}
