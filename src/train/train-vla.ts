/**
 * Trains a vision-language-action model: data, tokenizer, statistics, model, teachers, optimiser and loop put together. Which of
 * the paper's models comes out (arXiv 2511.22134, Section 3) is a matter of configuration:
 *
 *   VLM                multimodal.share 1
 *   specialist         robot data without reasoning (Eq. 2)
 *   reasoning VLA      init_from the specialist, reasoning.frames all, multimodal data (Eq. 3)
 *   DualVLA            init_from the reasoning VLA, reasoning.frames kept, both teachers (Eq. 5-7)
 *
 * Knows nothing about threads (trainer-worker.ts) or the simulator.
 */
import { dirname, resolve } from 'node:path';
import { datasetFolders } from '../data/dataset-folders.js';
import { Loader, type LoaderOptions } from '../data/loader.js';
import { type MultimodalTable, readMultimodal } from '../data/multimodal-dataset.js';
import { MultimodalLoader } from '../data/multimodal-loader.js';
import { trainBpe } from '../model/bpe-trainer.js';
import { latentActionTokens, SPECIAL_TOKENS, TextTokenizer } from '../model/tokenizer.js';
import { Vla } from '../model/vla.js';
import { parseVlaConfig } from '../model/vla-config.js';
import { torch } from '../torch/index.js';
import { loadCheckpoint, readLoaderState, type TrainingState } from './checkpoint.js';
import {
  cleanUpInterruptedWrites,
  findResumePoint,
  locateResume,
  makeLast,
  type ResumePoint,
  verifyCheckpoint,
} from './checkpoint-files.js';
import type { TrainConfig } from './config.js';
import { joinProcesses, ownDevice, type Processes } from './data-parallel.js';
import { ConfigError, NothingToResumeError, TrainingDataError } from './errors.js';
import type { TrainEvent } from './events.js';
import { passSeed, trainLoop } from './loop.js';
import { Objective } from './objective.js';
import { createOptimizer } from './optimizer.js';
import {
  loadPretrainedWeights,
  type PretrainedParts,
  readPretrainedParts,
  writePretrainedParts,
} from './pretrained.js';
import { createRunDirectory, holdsRun, runDirectoryOf, writeRunConfig } from './run-directory.js';
import { RunLock } from './run-lock.js';
import type { RunMode } from './trainer.js';
import { batchSizes, type TrainingBatch, TrainingBatches, type TrainingBatchesState } from './training-batches.js';

/**
 * Runs or resumes a training in this thread; `trainInWorker` is the same in a Worker.
 * @param shouldStop polled before every step; true ends the run with a checkpoint
 * @throws ConfigError, OutputExistsError, RunLockedError, NothingToResumeError, CorruptCheckpointError, TrainingDataError, KeepLabelsError, the data
 *   readers' errors, and those of `trainLoop`
 */
export async function* trainVla(
  given: TrainConfig,
  mode: RunMode,
  shouldStop: () => boolean = () => false,
): AsyncGenerator<TrainEvent, void> {
  const config = withAbsolutePaths(given);
  checkConsistency(config);
  if (config.threads > 0) torch.set_num_threads(config.threads);
  using processes = joinProcesses(config);
  using lock = new RunLock();
  const { runDir, checkpoint } = openRun(config, mode, processes, lock);
  if (mode.kind === 'resume' && checkpoint === null) {
    yield { type: 'notice', message: `${runDir} has no checkpoint yet; starting at step 0` };
  }

  // What the run's parts come from: its own checkpoint, the model it starts from, or its data.
  const origin = checkpoint?.directory ?? config.init_from;
  const inherited = origin === null ? null : readPretrainedParts(origin);
  const position = checkpoint === null ? null : readLoaderState<TrainingBatchesState>(checkpoint.directory);
  const openLoader = (root: string, options: Partial<LoaderOptions>): Promise<Loader> =>
    Loader.open({ ...loaderOptions(config, root, processes), ...statisticsOf(inherited), ...options });
  await using loader = await openLoader(config.dataset.root, {
    seed: config.seed,
    shiftPixels: config.dataset.shift_pixels,
    ...(position !== null && { state: position.robot }),
  });
  await using questions = await openQuestions(config, processes, position);
  if (checkpoint !== null && inherited !== null) checkSameData(config, inherited, loader);
  const parts = createParts(config, loader, questions, inherited);

  // The initial weights have a seed of their own, apart from every step's, and are the same on all processes.
  torch.manual_seed(passSeed(config.seed, Number.MAX_SAFE_INTEGER, 0, 0));
  const device = ownDevice(config.device);
  const model = new Vla(parts.config);
  if (checkpoint === null && config.init_from !== null) loadPretrainedWeights(model, config.init_from);
  model.to({ device });
  model.train();
  freeze(model, config.freeze);
  const state: TrainingState = { model, ...createOptimizer(model, config), step: 0, elapsedSeconds: 0 };
  if (checkpoint !== null) loadCheckpoint(checkpoint.directory, state);

  using objective = new Objective(config, parts, model, { loader, questions }, device);
  const { validation_root } = config.dataset;
  const batches = new TrainingBatches(config, loader, questions, position ?? undefined);
  let heldOut: Promise<TrainingBatch[]> | null = null;
  const events = trainLoop<TrainingBatch>({
    config,
    runDir,
    state,
    batches: { next: () => batches.next(), state: () => batches.state },
    computeLoss: (batch) => objective.loss(batch, state.step),
    validation:
      validation_root === null || config.eval_every === 0
        ? null
        : {
            batches: () => {
              heldOut ??= readHeldOut(openLoader(validation_root, { ...statisticsOf(parts), seed: 0 }), config);
              return heldOut;
            },
            computeLoss: (batch) => objective.heldOut(batch),
          },
    writePretrained: (directory) => writePretrainedParts(directory, parts),
    processes,
    resumedFrom: checkpoint?.directory ?? null,
    shouldStop,
  });
  for await (const event of events) {
    for (const message of objective.takeNotices()) if (processes.isFirst) yield { type: 'notice', message };
    if (processes.isFirst || event.type === 'end') yield event;
  }
}

/** The questions of a run that learns some. */
async function openQuestions(
  config: TrainConfig,
  processes: Processes,
  position: TrainingBatchesState | null,
): Promise<MultimodalLoader | null> {
  const { root, max_samples } = config.multimodal;
  const size = batchSizes(config).multimodal;
  if (root === null || size === 0) return null;
  return MultimodalLoader.open({
    root,
    ...(max_samples !== null && { maxSamples: max_samples }),
    batchSize: Math.floor(size / processes.worldSize),
    imageSize: config.policy.vision.image_size,
    seed: config.seed,
    rank: processes.rank,
    worldSize: processes.worldSize,
    ...(position?.multimodal && { state: position.multimodal }),
  });
}

/** The batches of every validation pass: few, so they are kept. */
async function readHeldOut(opening: Promise<Loader>, config: TrainConfig): Promise<TrainingBatch[]> {
  await using loader = await opening;
  const batches: TrainingBatch[] = [];
  while (batches.length < config.eval_batches) {
    const robot = await loader.next();
    if (robot === undefined) throw new TrainingDataError(config.dataset.validation_root ?? '', 'it has no frames');
    batches.push({ robot });
  }
  return batches;
}

/** Excludes parameters whose names begin with one of these from training. @throws ConfigError if one matches nothing */
function freeze(model: Vla, prefixes: readonly string[]): void {
  for (const prefix of prefixes) {
    const matching = [...model.named_parameters()].filter(([name]) => name.startsWith(prefix));
    if (matching.length === 0) throw new ConfigError(`freeze: no parameter begins with ${prefix}`, 'freeze');
    for (const [, parameter] of matching) parameter.requires_grad_(false);
  }
}

/** Paths of the configuration, independent of the working directory, so that a run can be resumed from anywhere. */
function withAbsolutePaths(config: TrainConfig): TrainConfig {
  const { root, validation_root } = config.dataset;
  const { path } = config.tokenizer;
  const { action_teacher, reasoning_teacher, cache } = config.distillation;
  const absolute = (given: string | null): string | null => (given === null ? null : resolve(given));
  return {
    ...config,
    init_from: absolute(config.init_from),
    multimodal: { ...config.multimodal, root: absolute(config.multimodal.root) },
    reasoning: { ...config.reasoning, keep_labels: absolute(config.reasoning.keep_labels) },
    distillation: {
      ...config.distillation,
      action_teacher: absolute(action_teacher),
      reasoning_teacher: absolute(reasoning_teacher),
      cache: absolute(cache),
    },
    dataset: {
      ...config.dataset,
      root: root === '' ? root : resolve(root),
      validation_root: absolute(validation_root),
    },
    tokenizer: { ...config.tokenizer, path: absolute(path) },
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
  if (config.multimodal.share > 0 && config.multimodal.root === null) {
    wrong('multimodal.share', 'needs multimodal.root, the directory of questions about images');
  }
  const reasons = config.reasoning.frames !== 'none';
  if (reasons && config.policy.max_reasoning_tokens === 0) {
    wrong('reasoning.frames', 'needs policy.max_reasoning_tokens, the length a reasoning VLA may think');
  }
  const { cache, action_teacher, lambda } = config.distillation;
  const keepsActions =
    cache !== null && action_teacher !== null && lambda > 0 && config.policy.action_head === 'discrete';
  if (keepsActions && config.dataset.shift_pixels > 0) {
    wrong(
      'distillation.cache',
      `dataset.shift_pixels ${config.dataset.shift_pixels} shows the action teacher another picture each time, so its answers cannot be kept; ` +
        'set dataset.shift_pixels to 0, or distillation.cache to null',
    );
  }
  if (config.policy.num_execute > config.policy.chunk_size) {
    wrong('policy.num_execute', `is ${config.policy.num_execute}, but a chunk has ${config.policy.chunk_size} actions`);
  }
}

/** Creates the run directory or finds the checkpoint to continue at. Only the first process writes. */
function openRun(config: TrainConfig, mode: RunMode, processes: Processes, lock: RunLock): ResumePoint {
  if (mode.kind === 'new') {
    // The first process's clock names a new run for all.
    const started = processes.agree({ elapsed: Date.now(), stop: false }).elapsed;
    const runDir = runDirectoryOf(config, new Date(started));
    if (processes.isFirst) {
      lock.acquire(runDir);
      createRunDirectory(config, runDir, mode.overwrite ?? false);
    }
    processes.barrier();
    return { runDir, checkpoint: null };
  }
  if (processes.isFirst) {
    const { runDir } = locateResume(mode.path);
    if (!holdsRun(runDir)) throw new NothingToResumeError(mode.path, 'it holds no training run');
    lock.acquire(runDir);
    cleanUpInterruptedWrites(runDir);
  }
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

/** Tokenizer, statistics and model configuration: inherited, or of a new run decided by its data. */
function createParts(
  config: TrainConfig,
  loader: Loader,
  questions: MultimodalLoader | null,
  inherited: PretrainedParts | null,
): PretrainedParts {
  const { policy } = config;
  if (inherited !== null) {
    const { cameras, vocab_size } = inherited.config;
    return { ...inherited, config: parseVlaConfig(policy, { cameras, vocab_size }) };
  }
  const { path, vocab_size } = config.tokenizer;
  const specialTokens = [...Object.values(SPECIAL_TOKENS), ...latentActionTokens(policy.num_latent_queries)];
  const { instruction, reasoning } = loader.table;
  // Questions that only later models will learn belong to the vocabulary too.
  const { root } = config.multimodal;
  const asked = root === null || path !== null ? [] : (questions?.texts ?? textsOf(readMultimodal({ root })));
  const texts = [...instruction.texts, ...reasoning.texts, ...asked];
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

/** All distinct questions and answers. */
function textsOf({ samples }: MultimodalTable): string[] {
  return [...new Set(samples.flatMap(({ question, answer }) => [question, answer]))];
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
    batchSize: Math.max(1, Math.floor(batchSizes(config).robot / processes.worldSize)),
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
