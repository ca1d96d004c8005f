/**
 * Dual-teacher adaptive distillation (DualVLA, arXiv 2511.22134, Section 3.2.2): two frozen teachers, and the domain of a sample
 * picks the one that teaches it.
 *
 *   robot data       L_KD = T^2 KL( action teacher(a | o, i) || student(a | o, i, r) )     Eq. 5
 *   multimodal data  L_KD = T^2 KL( reasoning teacher(r | o, i) || student(r | o, i) )     Eq. 6
 *   L = L_VLA + lambda L_KD                                                                Eq. 7
 *
 * The action teacher, a specialist, is asked with the plain instruction; the student has its reasoning before it. For the flow
 * head, whose policy is a velocity field, the paper leaves Eq. 5 open: with Gaussians of equal variance the divergence is the
 * squared difference of the two velocities, taken here at the noise and time of the student's own loss.
 *
 * Knows nothing about data or how teachers were trained.
 *
 * Shapes: B batch, K flow samples, C chunk length, A action dims, M labelled positions, W vocabulary.
 */
import type { Vla } from '../model/vla.js';
import type { VlaBatch } from '../model/vla-batch.js';
import { type DomainPass, labelsOfKind, type VlaLoss } from '../model/vla-loss.js';
import { F, noGrad, type Tensor } from '../torch/index.js';
import { type Adaptive, sampleWeights, termWeights } from './distillation-weights.js';

export interface Teachers {
  /** The specialist. */
  action?: Vla | undefined;
  /** The reasoning VLA. */
  reasoning?: Vla | undefined;
}

/** What a teacher answers at the labelled positions of a batch: float32 logits [M, W] in the order of `batch.labels`. */
export type LogitsOf = (role: keyof Teachers, batch: VlaBatch) => Tensor;

export interface DistillationOptions {
  /** lambda of Eq. 7. */
  lambda: number;
  /** T of Eq. 5 and 6. */
  temperature: number;
  adaptive: Adaptive;
}

export interface DistillationLoss {
  /** lambda L_KD, with gradients; null if no teacher teaches this batch. */
  loss: Tensor | null;
  /** L_KD by domain, without gradients. */
  metrics: Record<string, Tensor>;
}

/**
 * @param student what the hard-label loss of this step computed
 * @param plain the robot rows without reasoning, same actions: what the action teacher sees
 * @param logitsOf asks a teacher for tokens; a pass through it unless given
 */
export function distillationLoss(
  student: VlaLoss,
  plain: VlaBatch | undefined,
  teachers: Teachers,
  options: DistillationOptions,
  logitsOf: LogitsOf = (role, batch) => (teachers[role] as Vla).forward(batch).logits_MW as Tensor,
): DistillationLoss {
  const { robot, multimodal } = student.passes;
  const terms: Record<string, Tensor> = {};
  if (teachers.action !== undefined && robot !== undefined && plain !== undefined) {
    terms.action_kd = robot.flow
      ? flowActionTerm(teachers.action, robot, plain, options)
      : tokenActionTerm(logitsOf, robot, plain, options);
  }
  if (teachers.reasoning !== undefined && multimodal?.logits_MW !== undefined) {
    const teacher_MW = noGrad(() => logitsOf('reasoning', multimodal.batch));
    terms.reasoning_kd = tokenDistillation(multimodal.logits_MW, teacher_MW, options.temperature).mean();
  }
  const weights = {
    action_kd: termWeights('robot', true, options.lambda).actionKd,
    reasoning_kd: termWeights('multimodal', true, options.lambda).reasoningKd,
  };
  const losses = Object.entries(terms).map(([name, term]) => term.mul(weights[name as keyof typeof weights]));
  return {
    loss: losses.length === 0 ? null : losses.reduce((sum, term) => sum.add(term)),
    metrics: Object.fromEntries(Object.entries(terms).map(([name, term]) => [name, term.detach()])),
  };
}

/** Eq. 5 for action tokens: both models are given the true tokens before each one. */
function tokenActionTerm(logitsOf: LogitsOf, robot: DomainPass, plain: VlaBatch, options: DistillationOptions): Tensor {
  const student_MW = robot.logits_MW as Tensor;
  const device = student_MW.device;
  const own = labelsOfKind(robot.batch, 'action', device);
  const teacherLogits_MW = noGrad(() =>
    logitsOf('action', plain).index_select(0, labelsOfKind(plain, 'action', device)),
  );
  const divergence_M = tokenDistillation(student_MW.index_select(0, own), teacherLogits_MW, options.temperature);
  if (options.adaptive === 'off') return divergence_M.mean();
  const labels = (robot.batch.labels as Tensor).index_select(0, own);
  const weights_M = sampleWeights(
    options.adaptive,
    noGrad(() => F.cross_entropy(student_MW.detach().index_select(0, own), labels, { reduction: 'none' })),
    noGrad(() => F.cross_entropy(teacherLogits_MW, labels, { reduction: 'none' })),
  );
  return divergence_M.mul(weights_M).mean();
}

/** Eq. 5 for velocities. */
function flowActionTerm(teacher: Vla, robot: DomainPass, plain: VlaBatch, options: DistillationOptions): Tensor {
  const { x_t_BKCA, t_BK, velocity_BKCA, target_BKCA } = robot.flow as NonNullable<DomainPass['flow']>;
  const teacherVelocity_BKCA = noGrad(() => {
    const { context } = teacher.forward(plain);
    if (teacher.action_model === undefined || context === undefined)
      throw new TypeError('the action teacher has no flow head');
    return teacher.action_model.velocity(x_t_BKCA, t_BK, context);
  });
  const mask = robot.batch.action_mask;
  const divergence_B = velocityDistillation(velocity_BKCA, teacherVelocity_BKCA, mask);
  if (options.adaptive === 'off') return divergence_B.mean();
  const errorOf = (velocity: Tensor): Tensor =>
    noGrad(() => velocityDistillation(velocity.detach(), target_BKCA, mask));
  const weights_B = sampleWeights(options.adaptive, errorOf(velocity_BKCA), errorOf(teacherVelocity_BKCA));
  return divergence_B.mul(weights_B).mean();
}

/** T^2 KL(softmax(teacher / T) || softmax(student / T)) of each row, [M, W] and [M, W] -> [M]. Eq. 5 and 6 as printed. */
export function tokenDistillation(student_MW: Tensor, teacher_MW: Tensor, temperature: number): Tensor {
  const student = F.log_softmax(student_MW.to('float32').div(temperature), -1);
  const teacher = F.log_softmax(teacher_MW.to('float32').div(temperature), -1);
  return F.kl_div(student, teacher, { reduction: 'none', log_target: true })
    .sum([-1])
    .mul(temperature ** 2);
}

/**
 * Mean squared difference of two velocity fields for each row, [B, K, C, A] twice -> [B]. `mask` [B, C] is 0 past an episode's end.
 * Rows count by their number of existing actions, so that the mean over rows is the masked mean of the flow loss.
 */
export function velocityDistillation(student_BKCA: Tensor, teacher_BKCA: Tensor, mask_BC?: Tensor): Tensor {
  const square = student_BKCA.sub(teacher_BKCA).pow(2);
  if (mask_BC === undefined) return square.mean([1, 2, 3]);
  const weight = mask_BC.unsqueeze(1).unsqueeze(-1).to(square.dtype).expand(square.shape);
  const perRow = weight
    .sum()
    .div(square.shape[0] ?? 1)
    .clamp(1);
  return square.mul(weight).sum([1, 2, 3]).div(perRow);
}
