/**
 * How much a teacher counts for a sample: w(domain, kept) as a table, and adaptive schemes beyond it.
 *
 * "Adaptive" in the paper (Section 3.2.2) is the hard switch by domain: robot rows listen to the action teacher, multimodal rows to
 * the reasoning teacher. The table is that switch with the hard-label terms beside it. The scheme `advantage` is ours: a teacher counts
 * more where it is better than the student on the labels, less where it is worse.
 */
import { noGrad, type Tensor } from '../torch/index.js';
import type { TrainConfig } from './config.js';

export type Domain = 'robot' | 'multimodal';
/** `off` is the paper's; `advantage` weighs by how much better the teacher fits the label. */
export type Adaptive = TrainConfig['distillation']['adaptive'];

export interface TermWeights {
  /** Flow matching or action tokens. */
  action: number;
  /** Cross entropy on reasoning and answers. */
  text: number;
  actionKd: number;
  reasoningKd: number;
}

/** Weight of every term for a sample: Eq. 7 with the teacher switched by domain; pruned rows have no text. */
export function termWeights(domain: Domain, kept: boolean, lambda: number): TermWeights {
  if (domain === 'multimodal') return { action: 0, text: 1, actionKd: 0, reasoningKd: lambda };
  return { action: 1, text: kept ? 1 : 0, actionKd: lambda, reasoningKd: 0 };
}

/**
 * Weights [N] of mean 1 for N samples (or tokens) from the student's and the teacher's hard-label losses [N]: 2 sigmoid of the teacher's
 * advantage in units of the batch's mean loss, so that a teacher that is much worse falls silent and one that is much better counts
 * twice, divided by their mean. No gradients.
 */
export function sampleWeights(scheme: Exclude<Adaptive, 'off'>, student_N: Tensor, teacher_N: Tensor): Tensor {
  switch (scheme) {
    case 'advantage':
      return noGrad(() => {
        const unit = student_N.mean().clamp(1e-6);
        const weights = student_N.sub(teacher_N).div(unit).sigmoid();
        return weights.div(weights.mean().clamp(1e-6));
      });
  }
}
