/**
 * Trains the specialist (DualVLA, arXiv 2511.22134, Section 3.1): the VLA that learns actions from robot data alone, without
 * reasoning, and later becomes the action teacher. Puts data, tokenizer, statistics, model, optimiser and loop together.
 *
 * Knows nothing about threads (trainer-worker.ts) or the simulator.
 */
import { dirname, resolve } from 'node:path';
import { datasetFolders } from '../data/dataset-folders.js';
import { Loader, type LoaderBatch, type LoaderOptions, type LoaderState } from '../data/loader.js';
import { trainBpe } from '../model/bpe-trainer.js';
import { latentActionTokens, SPECIAL_TOKENS, TextTokenizer } from '../model/tokenizer.js';
import { Vla } from '../model/vla.js';
import { PromptBuilder, type VlaBatch, type VlaSamples } from '../model/vla-batch.js';
import { parseVlaConfig } from '../model/vla-config.js';
import { type Tensor, torch } from '../torch/index.js';
import { loadCheckpoint, readLoaderState, type TrainingState } from './checkpoint.js';
import {
  cleanUpInterruptedWrites,
  findResumePoint,
  makeLast,
  type ResumePoint,
  verifyCheckpoint,
} from './checkpoint-files.js';
import type { TrainConfig } from './config.js';
import { joinProcesses, ownDevice, type Processes } from './data-parallel.js';
import { ConfigError, TrainingDataError } from './errors.js';
import type { TrainEvent } from './events.js';
import { type LossResult, passSeed, trainLoop } from './loop.js';
import { createOptimizer } from './optimizer.js';
import { type PretrainedParts, readPretrainedParts, writePretrainedParts } from './pretrained.js';
import { createRunDirectory, runDirectoryOf, writeRunConfig } from './run-directory.js';
import type { RunMode } from './trainer.js';

/**
 * Runs or resumes the training of a specialist in this thread; `trainInWorker` is the same in a Worker.
 * @param shouldStop polled before every step; true ends the run with a checkpoint
 * @throws ConfigError, OutputExistsError, NothingToResumeError, CorruptCheckpointError, TrainingDataError, the data reader's
 *   errors, and those of `trainLoop`
 */
export async function* trainSpecialist(
  given: TrainConfig,
  mode: RunMode,
  shouldStop: () => boolean = () => false,
): AsyncGenerator<TrainEvent, void> {
  const config = withAbsolutePaths(given);
  checkConsistency(config);
  if (config.threads > 0) torch.set_num_threads(config.threads);
  using processes = joinProcesses(config);
  const { runDir, checkpoint } = openRun(config, mode, processes);
  if (mode.kind === 'resume' && checkpoint === null) {
    yield { type: 'notice', message: `${runDir} has no checkpoint yet; starting at step 0` };
  }

  const resumed = checkpoint === null ? null : readPretrainedParts(checkpoint.directory);
  const openLoader = (root: string, options: Partial<LoaderOptions>): Promise<Loader> =>
    Loader.open({ ...loaderOptions(config, root, processes), ...statisticsOf(resumed), ...options });
  await using loader = await openLoader(config.dataset.root, {
    seed: config.seed,
    shiftPixels: config.dataset.shift_pixels,
    ...(checkpoint !== null && { state: readLoaderState<LoaderState>(checkpoint.directory) }),
  });
  if (resumed !== null) checkSameData(config, resumed, loader);
  const parts = resumed ?? createParts(config, loader);

  // The initial weights have a seed of their own, apart from every step's, and are the same on all processes.
  torch.manual_seed(passSeed(config.seed, Number.MAX_SAFE_INTEGER, 0, 0));
  const device = ownDevice(config.device);
  const model = new Vla(parts.config);
  model.to({ device });
  model.train();
  const state: TrainingState = { model, ...createOptimizer(model, config), step: 0, elapsedSeconds: 0 };
  if (checkpoint !== null) loadCheckpoint(checkpoint.directory, state);

  const prompts = new PromptBuilder(parts.config, parts.tokenizer);
  const build = (batch: LoaderBatch): VlaBatch => prompts.build(samplesOf(batch), device);
  const { validation_root } = config.dataset;
  let heldOut: Promise<LoaderBatch[]> | null = null;
  const events = trainLoop<LoaderBatch>({
    config,
    runDir,
    state,
    batches: { next: () => nextBatch(loader, config.dataset.root), state: () => loader.state },
    computeLoss: (batch) => model.compute_loss(build(batch)),
    validation:
      validation_root === null || config.eval_every === 0
        ? null
        : {
            batches: () => {
              heldOut ??= readHeldOut(openLoader(validation_root, { ...statisticsOf(parts), seed: 0 }), config);
              return heldOut;
            },
            computeLoss: (batch) => validationLoss(model, build(batch)),
          },
    writePretrained: (directory) => writePretrainedParts(directory, parts),
    processes,
    resumedFrom: checkpoint?.directory ?? null,
    shouldStop,
  });
  for await (const event of events) if (processes.isFirst || event.type === 'end') yield event;
}

/** The batches of every validation pass: few, so they are kept. */
async function readHeldOut(opening: Promise<Loader>, config: TrainConfig): Promise<LoaderBatch[]> {
  await using loader = await opening;
  const batches: LoaderBatch[] = [];
  while (batches.length < config.eval_batches)
    batches.push(await nextBatch(loader, config.dataset.validation_root ?? ''));
  return batches;
}

/**
 * The training loss and, with the flow head, the error of sampled chunks, which goes along with success in closed loop:
 * mean |a - a*| of the normalised motions, and the share of wrong gripper commands.
 */
function validationLoss(model: Vla, batch: VlaBatch): LossResult {
  const { loss, metrics } = model.compute_loss(batch);
  const { actions: true_BCA, action_mask: mask_BC } = batch;
  if (model.action_model === undefined || true_BCA === undefined || mask_BC === undefined) return { loss, metrics };
  const predicted_BCA = model.predict(batch).to('float32');
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

/** Paths of the configuration, independent of the working directory, so that a run can be resumed from anywhere. */
function withAbsolutePaths(config: TrainConfig): TrainConfig {
  const { root, validation_root } = config.dataset;
  const { path } = config.tokenizer;
  return {
    ...config,
    dataset: {
      ...config.dataset,
      root: root === '' ? root : resolve(root),
      validation_root: validation_root === null ? null : resolve(validation_root),
    },
    tokenizer: { ...config.tokenizer, path: path === null ? null : resolve(path) },
  };
}

/** What the schema cannot say: keys that need each other. */
function checkConsistency(config: TrainConfig): void {
  const wrong = (path: string, message: string): never => {
    throw new ConfigError(`${path}: ${message}`, path);
  };
  if (config.dataset.root === '') wrong('dataset.root', 'name the directory of a LeRobot v3.0 data set');
  if (config.eval_every > 0 && config.dataset.validation_root === null) {
    wrong('eval_every', 'needs dataset.validation_root, a data set of held-out episodes');
  }
  if (config.policy.num_execute > config.policy.chunk_size) {
    wrong('policy.num_execute', `is ${config.policy.num_execute}, but a chunk has ${config.policy.chunk_size} actions`);
  }
}

/** Creates the run directory or finds the checkpoint to continue at. Only the first process writes. */
function openRun(config: TrainConfig, mode: RunMode, processes: Processes): ResumePoint {
  if (mode.kind === 'new') {
    // The first process's clock names a new run for all.
    const started = processes.agree({ elapsed: Date.now(), stop: false }).elapsed;
    const runDir = runDirectoryOf(config, new Date(started));
    if (processes.isFirst) createRunDirectory(config, runDir, mode.overwrite ?? false);
    processes.barrier();
    return { runDir, checkpoint: null };
  }
  if (processes.isFirst) cleanUpInterruptedWrites(findResumePoint(mode.path).runDir);
  processes.barrier();
  const point = findResumePoint(mode.path);
  if (point.checkpoint !== null) verifyCheckpoint(point.checkpoint);
  processes.barrier();
  if (processes.isFirst) {
    if (point.checkpoint !== null) makeLast(point.checkpoint);
    writeRunConfig(point.runDir, config, point.checkpoint?.directory ?? null);
  }
  return point;
}

/** Tokenizer, statistics and model configuration of a new run, decided by its data. */
function createParts(config: TrainConfig, loader: Loader): PretrainedParts {
  const { policy } = config;
  const { path, vocab_size } = config.tokenizer;
  const specialTokens = [...Object.values(SPECIAL_TOKENS), ...latentActionTokens(policy.num_latent_queries)];
  const texts = [...loader.table.instruction.texts, ...loader.table.reasoning.texts];
  const smallest = 256 + specialTokens.length;
  if (path === null && vocab_size < smallest) {
    throw new ConfigError(
      `tokenizer.vocab_size: ${vocab_size} is too small for 256 bytes and ${specialTokens.length} special tokens; the least is ${smallest}`,
      'tokenizer.vocab_size',
    );
  }
  const tokenizer =
    path === null
      ? new TextTokenizer(trainBpe(texts, { vocabularySize: vocab_size, specialTokens }))
      : TextTokenizer.load(path.endsWith('.json') ? dirname(path) : path);
  const numActionTokens = policy.action_head === 'discrete' ? policy.num_action_bins : 0;
  const decided = { cameras: [...loader.cameras], vocab_size: tokenizer.vocabularySize + numActionTokens };
  const statistics = { chunk: loader.chunkStats, state: loader.stateStats, numFrames: loader.numFrames };
  return { config: parseVlaConfig(policy, decided), tokenizer, statistics };
}

/** A run continues on the data it was started with: its statistics and its position in them belong to these. */
function checkSameData(config: TrainConfig, { statistics }: PretrainedParts, loader: Loader): void {
  if (loader.numFrames === statistics.numFrames) return;
  throw new TrainingDataError(
    config.dataset.root,
    `it has ${loader.numFrames} frames, the run was started on ${statistics.numFrames}; resume with that data set (--dataset.root), or start a new run`,
  );
}

/** Options of every loader of a run, apart from order and position. */
function loaderOptions(config: TrainConfig, root: string, processes: Processes): LoaderOptions {
  const { dataset, policy } = config;
  return {
    folders: datasetFolders(root),
    batchSize: Math.floor(config.batch_size / processes.worldSize),
    chunk: policy.chunk_size,
    representation: dataset.action_representation,
    ...(dataset.cameras.length > 0 && { cameras: dataset.cameras }),
    imageSize: policy.vision.image_size,
    rank: processes.rank,
    worldSize: processes.worldSize,
    workers: dataset.num_workers,
    cacheBytes: dataset.cache_mb * 2 ** 20,
  };
}

/** The statistics of a resumed run in the loader's options: a run never changes its normalisation. */
function statisticsOf(parts: PretrainedParts | null): Partial<LoaderOptions> {
  return parts === null ? {} : { chunkStats: parts.statistics.chunk, stateStats: parts.statistics.state };
}

async function nextBatch(loader: Loader, root: string): Promise<LoaderBatch> {
  const batch = await loader.next();
  if (batch === undefined) throw new TrainingDataError(root, 'it has no frames');
  return batch;
}

function samplesOf(batch: LoaderBatch): VlaSamples {
  const { images, stateNormalised: state, instruction, actions, actionMask } = batch;
  return { images, state, instruction, actions, actionMask };
}
