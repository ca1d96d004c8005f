/**
 * What a step minimises, L_VLA + lambda L_KD (Eq. 7 of DualVLA, arXiv 2511.22134), and what is measured on held-out rows, from the
 * samples of the loaders: their prompts, which of them reason, the teachers and the cache of their answers.
 *
 * Knows nothing about steps, gradients or where a run is written.
 */
import { relative } from 'node:path';
import { datasetFolders } from '../data/dataset-folders.js';
import type { Loader, LoaderBatch } from '../data/loader.js';
import type { MultimodalBatch, MultimodalLoader } from '../data/multimodal-loader.js';
import type { Vla } from '../model/vla.js';
import {
  PromptBuilder,
  questionRows,
  type Reasoning,
  robotRows,
  type VlaBatch,
  type VlaSamples,
} from '../model/vla-batch.js';
import { type VlaBatches, type VlaLossOptions, vlaLoss } from '../model/vla-loss.js';
import { keepOfFrames, readKeepLabels } from '../prune/keep-labels.js';
import { type Tensor, torch } from '../torch/index.js';
import { CachedTeachers } from './cached-teachers.js';
import type { TrainConfig } from './config.js';
import { termWeights } from './distillation-weights.js';
import { distillationLoss, type Teachers } from './dual-teacher-distillation.js';
import { gradientCosine } from './gradient-cosine.js';
import type { LossResult } from './loop.js';
import type { PretrainedParts } from './pretrained.js';
import { loadTeachers } from './teachers.js';
import type { TrainingBatch } from './training-batches.js';

/** Where a run's samples come from. */
export interface SampleSources {
  loader: Loader;
  questions: MultimodalLoader | null;
}

/** The losses of batches of the loaders. */
export class Objective {
  readonly #prompts: PromptBuilder;
  readonly #keep: Uint8Array | null;
  readonly #teachers: Teachers;
  readonly #cached: CachedTeachers | null;
  #notices: string[] = [];
  readonly #options: VlaLossOptions;

  /** @throws ConfigError if a teacher does not fit or the cache cannot be created; KeepLabelsError */
  constructor(
    readonly config: TrainConfig,
    parts: PretrainedParts,
    readonly model: Vla,
    sources: SampleSources,
    readonly device: string,
  ) {
    this.#prompts = new PromptBuilder(parts.config, parts.tokenizer);
    this.#keep = readKeep(config, sources.loader);
    this.#teachers = loadTeachers(config, parts, device);
    this.#cached = this.#openCache(sources);
    const { normalization, action_weight, text_weight, stop_weight, multimodal_weight } = config.loss;
    const weights = {
      action: action_weight,
      text: text_weight,
      stop: stop_weight,
      multimodal: multimodal_weight,
    };
    this.#options = { normalization, weights };
  }

  loss(batch: TrainingBatch, step: number): LossResult {
    const { gradient_cosine_every: every, distillation } = this.config;
    const hard = vlaLoss(this.model, this.#build(batch), this.#options);
    // Before the teachers: the angle is between the hard-label terms.
    const angle = every > 0 && step % every === 0 ? gradientCosine(this.model, hard) : {};
    if (this.#teachers.action === undefined && this.#teachers.reasoning === undefined)
      return { loss: hard.loss, metrics: { ...hard.metrics, ...angle } };
    const started = performance.now();
    const plain =
      this.#teachers.action && batch.robot && this.#prompts.build(samplesOf(batch.robot, null), this.device);
    const { loss, metrics } = distillationLoss(hard, plain, this.#teachers, distillation, (role, asked) =>
      role === 'action'
        ? this.#actionLogits(asked, batch.robot as LoaderBatch)
        : this.#reasoningLogits(asked, batch.multimodal as MultimodalBatch),
    );
    const teacher_s = torch.tensor((performance.now() - started) / 1000);
    const share = this.#cached?.takeShare() ?? null;
    return {
      loss: loss === null ? hard.loss : hard.loss.add(loss),
      metrics: {
        ...hard.metrics,
        ...angle,
        ...metrics,
        teacher_s,
        ...(share !== null && { teacher_cached: torch.tensor(share) }),
      },
    };
  }

  /** What the user should know and was not told yet. */
  takeNotices(): string[] {
    const notices = [...new Set(this.#notices)];
    this.#notices = [];
    return notices;
  }

  [Symbol.dispose](): void {
    this.#cached?.[Symbol.dispose]();
  }

  /** On held-out robot rows, given the plain instruction: what a model knows about acting, whatever it thinks. */
  heldOut({ robot }: TrainingBatch): LossResult {
    const batch = this.#prompts.build(samplesOf(robot as LoaderBatch, null), this.device);
    return heldOutLoss(this.model, batch, this.#options);
  }

  /** The cache that the configuration names, for the teachers whose answers can be kept. */
  #openCache({ loader, questions }: SampleSources): CachedTeachers | null {
    const { cache, lambda } = this.config.distillation;
    if (cache === null) return null;
    const { action, reasoning } = this.#teachers;
    const notice = (message: string): void => void this.#notices.push(message);
    const isFlow = this.model.config.action_head === 'flow';
    if (lambda > 0 && action && isFlow)
      notice(
        'distillation.cache does not keep the action teacher: with the flow head it answers at the noise and time of every step, and is asked each time',
      );
    const kept = {
      ...(action && !isFlow && { action: { teacher: action, table: loader.table } }),
      ...(reasoning && questions && { reasoning: { teacher: reasoning, table: questions.table } }),
    };
    if (lambda > 0 && Object.keys(kept).length > 0) return CachedTeachers.open(this.config, cache, kept, notice);
    notice('distillation.cache is not used: this run has no teacher whose answers it could keep and learn from');
    return null;
  }

  #actionLogits(plain: VlaBatch, robot: LoaderBatch): Tensor {
    const teacher = this.#teachers.action as Vla;
    return this.#logits('action', teacher, plain, robot.index, (rows) =>
      this.#prompts.build(robotRows(samplesOf(robot, null), rows), this.device),
    );
  }

  #reasoningLogits(batch: VlaBatch, questions: MultimodalBatch): Tensor {
    const teacher = this.#teachers.reasoning as Vla;
    return this.#logits('reasoning', teacher, batch, questions.index, (rows) =>
      this.#prompts.buildMultimodal(questionRows(questions, rows), this.device),
    );
  }

  /** From the cache where there is one, which asks the teacher about the rows it does not know. */
  #logits(
    role: keyof Teachers,
    teacher: Vla,
    batch: VlaBatch,
    samples: Int32Array,
    rowsOf: (rows: readonly number[]) => VlaBatch,
  ): Tensor {
    const ask = (batch: VlaBatch): Tensor => teacher.forward(batch).logits_MW as Tensor;
    if (!this.#cached?.keeps(role)) return ask(batch);
    return this.#cached.logits(role, batch, samples, { ask, rowsOf });
  }

  #build({ robot, multimodal }: TrainingBatch): VlaBatches {
    return {
      ...(robot && {
        robot: this.#prompts.build(
          samplesOf(robot, (b) => this.#reasoning(robot, b)),
          this.device,
        ),
      }),
      ...(multimodal && { multimodal: this.#prompts.buildMultimodal(multimodal, this.device) }),
    };
  }

  /** What row b says before it acts. */
  #reasoning(batch: LoaderBatch, b: number): Reasoning | null {
    const { frames, pruned } = this.config.reasoning;
    const text = batch.reasoning[b] ?? '';
    if (frames === 'none' || text === '') return null;
    const marked = this.#keep ? this.#keep[batch.index[b] as number] : batch.reasoningKeep[b];
    const kept = frames === 'all' || marked === 1;
    if (termWeights('robot', kept, this.config.distillation.lambda).text > 0) return { text, labelled: true };
    return pruned === 'label-mask' ? { text, labelled: false } : null;
  }
}

/** Keep labels by global frame, where a file gives them. */
function readKeep({ reasoning, dataset }: TrainConfig, loader: Loader): Uint8Array | null {
  if (reasoning.frames !== 'kept' || reasoning.keep_labels === null) return null;
  const folders = datasetFolders(dataset.root).map((folder, i) => ({
    name: relative(dataset.root, folder),
    episodes: loader.table.episodes
      .filter((episode) => episode.dataset === i)
      .map(({ episode, length }) => ({ index: episode, length })),
  }));
  return keepOfFrames(readKeepLabels(reasoning.keep_labels), folders);
}

/**
 * The training loss and the error of chunks predicted without reasoning, which goes along with success in closed loop: mean |a - a*|
 * of the normalised motions, and the share of wrong gripper commands.
 */
function heldOutLoss(model: Vla, batch: VlaBatch, options: VlaLossOptions): LossResult {
  const { loss, metrics } = vlaLoss(model, { robot: batch }, options);
  const { actions: true_BCA, action_mask: mask_BC } = batch;
  if (true_BCA === undefined || mask_BC === undefined) return { loss, metrics };
  const B = batch.prompt_lengths.length;
  const never = { skipAbove: new Array<number>(B).fill(-1) };
  const predicted_BCA = model.predict(batch, never).actions.to('float32');
  const A = model.config.action_dim;
  const over = (error_BC: Tensor): Tensor => error_BC.mul(mask_BC).sum().div(mask_BC.sum());
  const motion_BC = predicted_BCA
    .sub(true_BCA)
    .abs()
    .narrow(-1, 0, A - 1)
    .mean([-1]);
  const gripper_BC = predicted_BCA
    .select(-1, A - 1)
    .gt(0)
    .ne(true_BCA.select(-1, A - 1).gt(0))
    .to('float32');
  return { loss, metrics: { ...metrics, action_error: over(motion_BC), gripper_error: over(gripper_BC) } };
}

/** @param reasoning what row b says before it acts; null: no row says anything */
function samplesOf(batch: LoaderBatch, reasoning: ((b: number) => Reasoning | null) | null): VlaSamples {
  const { images, stateNormalised: state, instruction, actions, actionMask } = batch;
  return {
    images,
    state,
    instruction,
    actions,
    actionMask,
    ...(reasoning && { reasoning: instruction.map((_, b) => reasoning(b)) }),
  };
}
