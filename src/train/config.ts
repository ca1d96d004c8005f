/**
 * The configuration of a training run: one zod schema, plain data. A key has one name in files (`optimizer: {lr: ...}`),
 * flags (`--optimizer.lr=1e-4`) and documentation (`docs` come from the `describe` texts through `trainConfigJsonSchema`).
 *
 * Order of precedence: schema defaults < recipe < `--config_path` file < flags. Nothing is ever ignored: a wrong key or
 * value throws `ConfigError` with its exact path and the nearest known name.
 *
 * Knows nothing about recipes' values, files on disk or the training loop.
 */
import { z } from 'zod';
import { vlaConfigSchema } from '../model/vla-config.js';
import { ConfigError } from './errors.js';
import { nearestName } from './nearest-name.js';

const positive = z.number().int().positive();
const count = z.number().int().nonnegative();
const fraction = z.number().min(0).max(1);

const datasetSchema = z
  .strictObject({
    root: z.string().default('').describe('directory of a LeRobot v3.0 data set'),
    validation_root: z
      .string()
      .nullable()
      .default(null)
      .describe('a second data set, of held-out episodes, on which the validation loss is measured (see eval_every)'),
    cameras: z.array(z.string()).default([]).describe('cameras in model order, e.g. third; empty: all of the data set'),
    action_representation: z
      .enum(['cumulative', 'delta'])
      .default('cumulative')
      .describe("a chunk's actions as displacements from its start, or step by step"),
    shift_pixels: count.default(2).describe('augmentation: random shift of every picture by up to this many pixels'),
    num_workers: count.default(1).describe('threads that decode pictures beside the trainer'),
    cache_mb: positive.default(1024).describe('memory for decoded pictures; larger data sets are streamed through it'),
  })
  .describe('training data');

const multimodalSchema = z
  .strictObject({
    root: z
      .string()
      .nullable()
      .default(null)
      .describe('directory of questions about images (LLaVA JSON), learned beside the robot data'),
    share: fraction
      .default(0)
      .describe('share of multimodal samples among all; 0: robot data alone, 1: multimodal data alone'),
    max_samples: positive
      .nullable()
      .default(null)
      .describe('learn from no more than the first so many questions; null: all'),
    schedule: z
      .enum(['mixed', 'alternate'])
      .default('mixed')
      .describe('both kinds in every step, or whole steps of one kind in turn (as InstructVLA does)'),
  })
  .describe('multimodal data');

const reasoningSchema = z
  .strictObject({
    frames: z
      .enum(['none', 'all', 'kept'])
      .default('none')
      .describe('frames whose reasoning is learned: none (specialist), all (reasoning VLA), kept (after pruning)'),
    keep_labels: z
      .string()
      .nullable()
      .default(null)
      .describe("file of 'dualvla prune'; null: what the data set's reasoning.keep says"),
    pruned: z
      .enum(['drop', 'label-mask'])
      .default('drop')
      .describe('a pruned frame acts without reasoning, or keeps its text as context without labels'),
  })
  .describe('reasoning text of robot data');

const weight = z.number().nonnegative().default(1);
const lossSchema = z
  .strictObject({
    normalization: z
      .enum(['token', 'group'])
      .default('token')
      .describe('one mean over all labelled tokens (Eq. 3), or a mean each for actions, reasoning and answers'),
    action_weight: weight,
    text_weight: weight,
    stop_weight: weight.describe('decision to act without reasoning (flow head)'),
    multimodal_weight: weight,
  })
  .describe('hard-label loss');

const distillationSchema = z
  .strictObject({
    action_teacher: z
      .string()
      .nullable()
      .default(null)
      .describe('run or checkpoint of the specialist that teaches actions on robot data (Eq. 5)'),
    reasoning_teacher: z
      .string()
      .nullable()
      .default(null)
      .describe('run or checkpoint of the reasoning VLA that teaches on multimodal data (Eq. 6)'),
    lambda: z.number().nonnegative().default(0.15).describe('weight of distillation (Eq. 7)'),
    temperature: z.number().positive().default(1).describe('softening of both distributions (Eq. 5, 6)'),
    adaptive: z
      .enum(['off', 'advantage'])
      .default('off')
      .describe('beyond the switch by domain: weigh each sample by how much better the teacher fits its label'),
    cache: z
      .string()
      .nullable()
      .default(null)
      .describe(
        'folder that keeps what the teachers said about each sample, so that later epochs and other runs with the same teachers and ' +
          "data need not ask again; any number of runs may share it. The flow head's action teacher is asked at every step's own noise " +
          'and is not kept. null: off',
      ),
    cache_gb: z
      .number()
      .positive()
      .default(20)
      .describe(
        'disk space of that folder, all runs together; when it is full nothing more is kept, and training goes on',
      ),
  })
  .describe('dual-teacher distillation');

const tokenizerSchema = z
  .strictObject({
    path: z
      .string()
      .nullable()
      .default(null)
      .describe(
        "tokenizer.json to load (or its directory); null: a byte-level BPE is trained on the data set's instructions and reasoning",
      ),
    vocab_size: positive.default(1024).describe('vocabulary size when the tokenizer is trained'),
  })
  .describe('text tokenizer');

const optimizerSchema = z
  .strictObject({
    type: z.enum(['adamw']).default('adamw').describe('AdamW (Loshchilov & Hutter 2019)'),
    lr: z.number().positive().default(1e-3).describe('peak learning rate'),
    betas: z.tuple([fraction, fraction]).default([0.9, 0.95]).describe('AdamW moment decay rates'),
    eps: z.number().positive().default(1e-8).describe('AdamW denominator offset'),
    weight_decay: z
      .number()
      .nonnegative()
      .default(0.01)
      .describe('decoupled weight decay, on tensors with two or more dimensions only'),
    grad_clip_norm: z.number().nonnegative().default(1).describe('clip the global gradient norm to this (0: off)'),
  })
  .describe('optimiser');

const schedulerSchema = z
  .strictObject({
    type: z.enum(['constant', 'cosine', 'linear']).default('cosine').describe('decay after warm-up'),
    warmup_ratio: fraction.default(0.03).describe('part of the run over which the rate rises from 0 to its peak'),
    final_lr_ratio: fraction.default(0).describe('learning rate at the end as a part of the peak (cosine, linear)'),
  })
  .describe('learning rate schedule, a function of the fraction of the run that is done');

const emaSchema = z
  .strictObject({
    enabled: z.boolean().default(true).describe('keep an exponential moving average of the weights'),
    decay: fraction.default(0.999).describe('average decay per step; early steps use min(decay, (1 + n) / (10 + n))'),
  })
  .describe('weight averaging; when on, pretrained_model/model.safetensors holds the averaged weights');

/** The schema of every key of a training run. */
export const trainConfigSchema = z
  .strictObject({
    recipe: z.string().default('').describe('name of the recipe the run started from (a record; set by --recipe)'),
    job_name: z.string().default('specialist').describe('name of the run, part of the default output directory'),
    output_dir: z
      .string()
      .nullable()
      .default(null)
      .describe('run directory; null: outputs/train/<date>/<time>_<job_name>'),
    seed: count.default(0).describe('seed of initialisation, data order and noise'),
    device: z
      .string()
      .regex(/^(cpu|cuda(:\d+)?)$/, 'expected cpu, cuda or cuda:<index>')
      .default('cpu')
      .describe('cpu, cuda or cuda:<index>'),
    threads: count.default(0).describe("engine threads (0: the engine's default)"),
    precision: z.enum(['f32', 'bf16']).default('f32').describe('bf16: autocast; weights and optimiser stay float32'),
    steps: positive.default(1000).describe('optimiser steps of the whole run'),
    time_budget_s: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe(
        'stop after this many seconds of training time (kept in the checkpoint) even if steps are left; the schedule ' +
          'then follows elapsed time, so a resumed run is not bit-for-bit the uninterrupted one',
      ),
    batch_size: positive
      .default(32)
      .describe('samples in one forward pass, robot and multimodal, over all processes together'),
    grad_accumulation: positive.default(1).describe('forward passes in one optimiser step'),
    log_every: positive.default(10).describe('optimiser steps between log lines (metrics.jsonl has every step)'),
    save_every: count.default(500).describe('optimiser steps between checkpoints (0: only at the end)'),
    save_every_s: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('also save when this many seconds have passed since the last checkpoint'),
    keep_last: count.default(2).describe('number of newest checkpoints kept (0: all)'),
    eval_every: count.default(0).describe('optimiser steps between validation passes (0: off)'),
    eval_batches: positive.default(8).describe('batches in one validation pass'),
    tensorboard: z.boolean().default(true).describe('write TensorBoard event files to the run directory'),
    init_from: z
      .string()
      .nullable()
      .default(null)
      .describe('run or checkpoint whose weights, tokenizer and statistics the run starts from'),
    freeze: z
      .array(z.string())
      .default([])
      .describe('parts that are not trained, by the beginning of their parameters names, e.g. action_model'),
    gradient_cosine_every: count
      .default(0)
      .describe('steps between measurements of the angle between text and action gradients (0: off)'),
    dataset: datasetSchema.prefault({}),
    multimodal: multimodalSchema.prefault({}),
    reasoning: reasoningSchema.prefault({}),
    loss: lossSchema.prefault({}),
    distillation: distillationSchema.prefault({}),
    tokenizer: tokenizerSchema.prefault({}),
    policy: vlaConfigSchema.prefault({}).describe('the model'),
    optimizer: optimizerSchema.prefault({}),
    scheduler: schedulerSchema.prefault({}),
    ema: emaSchema.prefault({}),
  })
  .describe('A DualVLA training run');

/** A complete configuration. */
export type TrainConfig = z.output<typeof trainConfigSchema>;
/** A partial configuration, as recipes and files give it. */
export type TrainConfigInput = z.input<typeof trainConfigSchema>;

/** One `--key=value` flag: the dotted key and the value as typed. */
export interface Override {
  key: string;
  value: string;
}

/** JSON Schema (draft 2020-12) of the configuration, for editors and documentation. */
export function trainConfigJsonSchema(): unknown {
  return z.toJSONSchema(trainConfigSchema, { io: 'input' });
}

/**
 * Checks data against the schema and fills in defaults.
 * @param source names where the data comes from in error messages
 * @throws ConfigError naming every wrong key or value; `path` is that of the first
 */
export function parseTrainConfig(data: unknown, source = 'configuration'): TrainConfig {
  const result = trainConfigSchema.safeParse(data);
  if (result.success) return result.data;
  throw configErrorOf(trainConfigSchema, result.error, source);
}

/** Turns zod's issues into one ConfigError with exact paths and nearest names. */
export function configErrorOf(schema: z.ZodType, error: z.ZodError, source: string): ConfigError {
  const problems = error.issues.flatMap((issue): { path: string; text: string; nearest: string | null }[] => {
    const at = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownKey(schema, [...at, key].join('.')));
    }
    const path = at.join('.');
    return [{ path, nearest: null, text: `${path === '' ? 'configuration' : path}: ${issue.message}` }];
  });
  const first = problems[0];
  return new ConfigError(
    `${source}: ${problems.map((problem) => problem.text).join('; ')}`,
    first?.path ?? '',
    first?.nearest ?? null,
  );
}

function unknownKey(schema: z.ZodType, path: string): { path: string; text: string; nearest: string | null } {
  const nearest = nearestName(path, keyPaths(schema));
  const hint = nearest === null ? '' : ` (did you mean ${nearest}?)`;
  return { path, nearest, text: `${path} is not a known key${hint}` };
}

/** All dotted key paths of a schema of nested objects, groups included. */
export function keyPaths(schema: z.ZodType, prefix = ''): string[] {
  const object = unwrap(schema);
  if (!(object instanceof z.ZodObject)) return [];
  return Object.entries(object.shape as Record<string, z.ZodType>).flatMap(([key, child]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    return [path, ...keyPaths(child, path)];
  });
}

function unwrap(schema: z.ZodType): z.ZodType {
  let inner: z.ZodType = schema;
  while (
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault ||
    inner instanceof z.ZodOptional ||
    inner instanceof z.ZodNullable
  ) {
    inner = inner.unwrap() as z.ZodType;
  }
  return inner;
}

/** The schema at a dotted path, or null where there is none. */
export function schemaAt(schema: z.ZodType, path: string): z.ZodType | null {
  let at: z.ZodType = schema;
  for (const key of path.split('.')) {
    const object = unwrap(at);
    if (!(object instanceof z.ZodObject)) return null;
    const shape = object.shape as Record<string, z.ZodType>;
    const child = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (child === undefined) return null;
    at = child;
  }
  return at;
}

/** Throws the ConfigError of a key that the schema does not have. */
export function throwUnknownKey(schema: z.ZodType, path: string, source: string): never {
  const problem = unknownKey(schema, path);
  throw new ConfigError(`${source}: ${problem.text}`, problem.path, problem.nearest);
}
