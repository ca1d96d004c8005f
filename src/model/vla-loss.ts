/**
 * The hard-label loss of a vision-language-action model, L_VLA of DualVLA (arXiv 2511.22134): Eq. 2 for a specialist, Eq. 3 for
 * a reasoning VLA, whose robot rows and multimodal rows are learned together. Action tokens, reasoning text and answers are
 * cross-entropy terms; the flow head adds its flow-matching loss one to one (InstructVLA, arXiv 2507.17520).
 *
 * How the terms are averaged decides what dominates:
 * - `token` is Eq. 3 read literally: one mean over all labelled tokens, so that sixty words outweigh seven action tokens.
 * - `group` averages text, actions and answers apart, then adds them with their weights.
 * The decision to act without reasoning (`stop`, flow head) is always averaged apart: it is one token among many.
 *
 * Knows nothing about teachers (train/dual-teacher-distillation.ts) or where batches come from.
 *
 * Shapes: M labelled positions, W vocabulary.
 */
import { F, noGrad, type Tensor, torch } from '../torch/index.js';
import type { FlowLoss } from './flow-matching-expert.js';
import type { Vla, VlaOutput } from './vla.js';
import { LABEL_KINDS, type LabelKind, type VlaBatch } from './vla-batch.js';

export interface VlaLossWeights {
  action: number;
  text: number;
  stop: number;
  multimodal: number;
}

export interface VlaLossOptions {
  normalization: 'token' | 'group';
  weights: VlaLossWeights;
}

export const EQUAL_WEIGHTS: VlaLossWeights = { action: 1, text: 1, stop: 1, multimodal: 1 };

/** The rows of a step; either may be absent. */
export interface VlaBatches {
  robot?: VlaBatch | undefined;
  multimodal?: VlaBatch | undefined;
}

/** What a domain's pass computed: the losses' terms, and what a teacher is compared with. */
export interface DomainPass extends VlaOutput {
  batch: VlaBatch;
  /** Flow head on robot rows: noise, times and velocities. */
  flow?: FlowLoss;
  /** Cross entropy of every label, [M]. */
  tokenLoss_M?: Tensor;
}

export interface VlaLoss {
  /** Scalar with gradients. */
  loss: Tensor;
  /** Its terms by name, scalars with gradients, before weights: for diagnostics. */
  terms: Record<string, Tensor>;
  /** Scalars without gradients: the terms, and the share of action tokens predicted right. */
  metrics: Record<string, Tensor>;
  passes: { robot?: DomainPass; multimodal?: DomainPass };
}

/** One pass over each domain and its losses. */
export function vlaLoss(
  model: Vla,
  batches: VlaBatches,
  { normalization, weights }: VlaLossOptions = { normalization: 'token', weights: EQUAL_WEIGHTS },
): VlaLoss {
  const robot = batches.robot && domainPass(model, batches.robot);
  const multimodal = batches.multimodal && domainPass(model, batches.multimodal);
  const terms: Record<string, Tensor> = {};
  const losses: Tensor[] = [];
  if (robot?.flow !== undefined) {
    terms.flow_loss = robot.flow.loss;
    losses.push(robot.flow.loss.mul(weights.action));
  }
  const counts = countLabels(robot?.batch, multimodal?.batch);
  const pooled = counts.text + counts.action + counts.multimodal;
  for (const name of TERMS) {
    const pass = name === 'multimodal' ? multimodal : robot;
    if (pass?.tokenLoss_M === undefined || counts[name] === 0) continue;
    const sum = pass.tokenLoss_M.mul(maskOf(pass.batch, name === 'multimodal' ? 'text' : name, pass.tokenLoss_M)).sum();
    terms[TERM_NAMES[name]] = sum.div(counts[name]);
    const divisor = normalization === 'token' && name !== 'stop' ? pooled : counts[name];
    losses.push(sum.mul(weights[name] / divisor));
  }
  const [first, ...rest] = losses;
  if (first === undefined) throw new TypeError('nothing to learn: the batch has neither labels nor actions');
  const metrics = Object.fromEntries(Object.entries(terms).map(([name, term]) => [name, term.detach()]));
  if (robot !== undefined && counts.action > 0) metrics.token_accuracy = actionAccuracy(robot, counts.action);
  return {
    loss: rest.reduce((sum, term) => sum.add(term), first),
    terms,
    metrics,
    passes: { ...(robot && { robot }), ...(multimodal && { multimodal }) },
  };
}

const TERMS = ['action', 'text', 'stop', 'multimodal'] as const;
const TERM_NAMES = {
  action: 'token_loss',
  text: 'text_loss',
  stop: 'stop_loss',
  multimodal: 'multimodal_loss',
} as const;

function domainPass(model: Vla, batch: VlaBatch): DomainPass {
  const output = model.forward(batch);
  const { logits_MW, context } = output;
  return {
    ...output,
    batch,
    ...(logits_MW && { tokenLoss_M: F.cross_entropy(logits_MW, batch.labels as Tensor, { reduction: 'none' }) }),
    ...(context && batch.actions && { flow: flowLoss(model, output, batch.actions, batch.action_mask) }),
  };
}

function flowLoss(model: Vla, { context }: VlaOutput, actions: Tensor, mask: Tensor | undefined): FlowLoss {
  if (model.action_model === undefined || context === undefined) throw new TypeError('this model has no flow head');
  return model.action_model.flowLoss(context, actions, mask, { numSamples: model.config.action.num_flow_samples });
}

function countLabels(
  robot: VlaBatch | undefined,
  multimodal: VlaBatch | undefined,
): Record<keyof VlaLossWeights, number> {
  const count = (batch: VlaBatch | undefined, kind: LabelKind): number =>
    batch?.label_kinds?.reduce((sum, k) => sum + (LABEL_KINDS[k] === kind ? 1 : 0), 0) ?? 0;
  return {
    action: count(robot, 'action'),
    text: count(robot, 'text'),
    stop: count(robot, 'stop'),
    multimodal: count(multimodal, 'text'),
  };
}

/** 1 where a label is of this kind, [M]. */
function maskOf({ label_kinds }: VlaBatch, kind: LabelKind, like: Tensor): Tensor {
  const wanted = LABEL_KINDS.indexOf(kind);
  const mask = Float32Array.from(label_kinds as Uint8Array, (k) => (k === wanted ? 1 : 0));
  return torch.tensor(mask, { dtype: 'float32', device: like.device });
}

/** Positions of the labels of one kind, row by row whatever the batch's groups, int64. */
export function labelsOfKind({ label_kinds, label_rows }: VlaBatch, kind: LabelKind, device: string): Tensor {
  const wanted = LABEL_KINDS.indexOf(kind);
  const positions = Array.from(label_kinds ?? []).flatMap((k, m) => (k === wanted ? [m] : []));
  positions.sort((a, b) => (label_rows?.[a] ?? 0) - (label_rows?.[b] ?? 0) || a - b);
  return torch.tensor(positions, { shape: [positions.length], dtype: 'int64', device });
}

function actionAccuracy({ batch, logits_MW }: DomainPass, count: number): Tensor {
  return noGrad(() => {
    const right = (logits_MW as Tensor)
      .detach()
      .argmax(-1)
      .eq(batch.labels as Tensor)
      .to('float32');
    return right
      .mul(maskOf(batch, 'action', right))
      .sum()
      .div(count);
  });
}
