/**
 * The scene layer of dual-layer pruning (paper Sec. 3.2.1): DDM-Net trained on a few labelled episodes says of every frame how likely an
 * event begins there. Training, scoring, and the checkpoint (`model.safetensors` + `config.json`).
 *
 * What the paper and DDM-Net leave to the data is in the configuration: a window has k frames a side at `stride`; beyond an episode's ends its
 * end frames repeat. Robot data of 3-5 Hz need every frame, where DDM-Net on 25-Hz video takes every third.
 *
 * A training step takes whole stretches of some episodes, so that a frame's backbone pass serves every window that it is in, and from
 * each as many windows centred on a boundary as not (class-balanced, as released).
 *
 * Knows nothing about data set formats; `scene-frames.ts` reads them.
 *
 * Shapes: T frames of an episode, H x W pixels, C = 3 x cameras.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { writeDurable } from '../data/durable-file.js';
import { SeededRandom } from '../data/random.js';
import { noGrad, optim, safetensors, scope, type Tensor, torch } from '../torch/index.js';
import { boundaryProbability, DdmNet, type DdmNetConfig } from './ddm-net.js';
import { PruneError } from './errors.js';
import { pickBoundaries, pickExpected } from './event-boundaries.js';
import { loadBackbone } from './resnet-weights.js';

/** Pictures of an episode for the network: uint8 [T, H, W, C], the cameras' RGB one after the other. */
export interface SceneFrames {
  readonly data: Uint8Array;
  readonly numFrames: number;
  readonly size: number;
  readonly channels: number;
}

export interface LabelledScene {
  readonly frames: SceneFrames;
  /** Frames at which an event begins. */
  readonly boundaries: readonly number[];
}

/** Everything that scoring needs beside the weights; what config.json holds. */
export interface SceneEventConfig {
  readonly net: DdmNetConfig;
  readonly cameras: readonly string[];
  /** H = W. */
  readonly image_size: number;
  /**
   * Beside every frame the difference of the next one to it (0 after the last): motion and its direction, which the network would otherwise have to find in
   * pooled features of whole frames. Released: none.
   */
  readonly motion_channels: boolean;
  /** Frames between neighbours of a window. */
  readonly stride: number;
  /** Frames a second of the videos it was trained on; faster ones are looked at in steps. Absent: those that it is applied to. */
  readonly fps?: number | undefined;
  /** What it was trained on, where it is applied to other robots; absent for a detector of one's own. */
  readonly trained_robots?: readonly string[] | undefined;
  /** See PickOptions. */
  readonly threshold: number;
  readonly scope: number;
  /** In place of the threshold: as many boundaries as this share of those that the probabilities expect (pickExpected). */
  readonly expected_share?: number | undefined;
}

/**
 * For a few dozen episodes of 64-pixel frames at 3-5 Hz on a CPU: a block a layer instead of ResNet-50's 3 to 6 at an eighth of the width, and
 * motion channels. Three frames a side span the +-0.6 s at 5 Hz that the released five, every third of 25 Hz video, do; events follow each
 * other within a frame or two, so that the released suppression within +-5 frames would lose most of them.
 */
export const SMALL_SCENE_EVENTS: SceneEventConfig = {
  net: {
    width: 8,
    blocks: [1, 1, 1, 1],
    frames_per_side: 3,
    decoder_layers: 2,
    heads: 4,
    num_queries: 5,
    dropout: 0.1,
    in_channels: 3,
    stem_stride: 2,
    stem_pool: true,
  },
  cameras: ['third'],
  image_size: 64,
  motion_channels: true,
  stride: 1,
  threshold: 0.5,
  scope: 0,
};

export interface TrainSceneOptions {
  readonly scenes: readonly LabelledScene[];
  readonly config?: SceneEventConfig;
  readonly steps?: number;
  /** Peak of a cosine schedule. */
  readonly learningRate?: number;
  readonly weightDecay?: number;
  /** Episodes of a step, and windows of each class from each. */
  readonly episodesPerStep?: number;
  readonly windowsPerClass?: number;
  /** Frames of an episode that a step uses; longer ones give a random stretch. */
  readonly maxFrames?: number;
  /** Weights of a ResNet to start the backbone from (resnet-weights.ts). */
  readonly backbone?: string;
  /** A network to train on, e.g. a second cycle of the schedule; it is changed. */
  readonly initial?: DdmNet;
  readonly seed?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (step: { step: number; steps: number; loss: number; learningRate: number }) => void;
}

/** Trains DDM-Net on labelled scenes. The same seed gives the same weights. Throws PruneError when there is nothing to learn from. */
export async function trainSceneNet(options: TrainSceneOptions): Promise<DdmNet> {
  const {
    scenes,
    config = SMALL_SCENE_EVENTS,
    steps = 300,
    learningRate = 2e-3,
    weightDecay = 0.05,
    seed = 0,
  } = options;
  const { episodesPerStep = 8, windowsPerClass = 4, maxFrames = 32 } = options;
  if (!scenes.some(({ boundaries }) => boundaries.length > 0))
    throw new PruneError(`None of the ${scenes.length} labelled episodes has an event boundary to learn from`);
  torch.manual_seed(seed);
  const random = new SeededRandom(seed, 0x5ce7e);
  const model = (options.initial ?? new DdmNet(netConfig(config))).train();
  if (options.backbone !== undefined) loadBackbone(model, options.backbone, config.cameras.length);
  const optimizer = new optim.AdamW(model.parameters(), { lr: learningRate, weight_decay: weightDecay });
  const schedule = optim.schedules.cosine_with_warmup({
    num_warmup_steps: Math.ceil(steps * 0.05),
    num_training_steps: steps,
  });
  const order = Int32Array.from(scenes.keys());
  let at = order.length;
  for (let step = 0; step < steps; step++) {
    // A step blocks the thread: between two, Ctrl-C gets its turn.
    await setImmediate();
    options.signal?.throwIfAborted();
    const chosen: LabelledScene[] = [];
    while (chosen.length < Math.min(episodesPerStep, scenes.length)) {
      if (at === order.length) {
        random.shuffle(order);
        at = 0;
      }
      chosen.push(scenes[order[at++] as number] as LabelledScene);
    }
    optim.setLearningRates(optimizer, schedule(step));
    const loss = scope(() => {
      const { pixels, windows, labels } = trainingBatch(chosen, config, { windowsPerClass, maxFrames }, random);
      const loss = model.loss(model.forward_features(model.frame_features(pixels), windows), labels);
      loss.backward();
      optim.clip_grad_norm_(model.parameters(), 1);
      optimizer.step();
      optimizer.zero_grad();
      return loss.item() as number;
    });
    if (!Number.isFinite(loss))
      throw new PruneError(`The loss became ${loss} at step ${step}`, { hint: 'Try a lower learning rate' });
    options.onStep?.({ step: step + 1, steps, loss, learningRate: learningRate * schedule(step) });
  }
  return model.eval();
}

interface Batch {
  pixels: Tensor;
  windows: Tensor;
  labels: Tensor;
}

function trainingBatch(
  scenes: readonly LabelledScene[],
  config: SceneEventConfig,
  { windowsPerClass, maxFrames }: { windowsPerClass: number; maxFrames: number },
  random: SeededRandom,
): Batch {
  const pixels: Tensor[] = [];
  const windows: number[] = [];
  const labels: number[] = [];
  let first = 0;
  for (const { frames, boundaries } of scenes) {
    const length = Math.min(frames.numFrames, maxFrames);
    const from = random.below(frames.numFrames - length + 1);
    pixels.push(toPixels(frames, from, length, config, (rgb) => augment(rgb, random)));
    const isBoundary = new Set(boundaries);
    const reach = config.net.frames_per_side * config.stride;
    // Within a stretch, only centres whose window lies in it: beyond the episode's own ends frames repeat, beyond the stretch's they do not.
    const low = from === 0 ? 0 : from + reach;
    const high = from + length === frames.numFrames ? frames.numFrames : from + length - reach;
    for (const label of [1, 0]) {
      const centres = Int32Array.from(
        Array.from({ length: Math.max(high - low, 0) }, (_, i) => low + i).filter(
          (t) => Number(isBoundary.has(t)) === label,
        ),
      );
      random.shuffle(centres);
      for (const centre of centres.subarray(0, windowsPerClass)) {
        windows.push(...windowAt(centre, frames.numFrames, config).map((t) => first + t - from));
        labels.push(label);
      }
    }
    first += length;
  }
  return {
    pixels: torch.cat(pixels, 0),
    windows: torch.tensor(windows, { dtype: 'int64' }).reshape([labels.length, -1]),
    labels: torch.tensor(labels, { dtype: 'int64' }),
  };
}

/** Frame numbers of the window around `centre`; the episode's end frames repeat. */
function windowAt(centre: number, numFrames: number, { net, stride }: SceneEventConfig): number[] {
  const k = net.frames_per_side;
  return Array.from({ length: 2 * k + 1 }, (_, i) => Math.min(Math.max(centre + (i - k) * stride, 0), numFrames - 1));
}

/** The network's configuration with the input channels that follow from the pictures. */
function netConfig({ net, cameras, motion_channels }: SceneEventConfig): DdmNetConfig {
  return { ...net, in_channels: (motion_channels ? 6 : 3) * cameras.length };
}

/** Frames [from, from + length) as normalised float32 [F, channels, H, W]. */
function toPixels(
  { data, numFrames, size, channels }: SceneFrames,
  from: number,
  length: number,
  { motion_channels }: SceneEventConfig,
  transform: (rgb: Tensor) => Tensor = (rgb) => rgb,
): Tensor {
  const area = size * size * channels;
  // One frame more, for the last one's difference.
  const end = Math.min(from + length + 1, numFrames);
  const bytes = torch.tensor(data.slice(from * area, end * area), { shape: [end - from, size, size, channels] });
  const rgb = transform(bytes.permute([0, 3, 1, 2]).to('float32').div(127.5).sub(1).contiguous());
  const own = rgb.narrow(0, 0, length);
  if (!motion_channels) return own;
  const next =
    end - from > length
      ? rgb.narrow(0, 1, length)
      : torch.cat([rgb.narrow(0, 1, length - 1), rgb.narrow(0, length - 1, 1)], 0);
  return torch.cat([own, next.sub(own).mul(2)], 1);
}

/** One random shift and change of light for all frames of an episode: what is an event stays one. */
function augment(pixels: Tensor, random: SeededRandom): Tensor {
  const [, channels = 3, size = 0] = pixels.shape;
  const pad = Math.max(1, Math.round(size / 16));
  const [dx, dy] = [random.below(2 * pad + 1), random.below(2 * pad + 1)];
  const shifted = torch.replication_pad2d(pixels, [pad, pad, pad, pad]).narrow(2, dy, size).narrow(3, dx, size);
  const gain = torch
    .tensor(Array.from({ length: channels }, () => 0.8 + 0.4 * random.float()))
    .reshape([1, channels, 1, 1]);
  return shifted.mul(gain).add(0.4 * random.float() - 0.2);
}

/** Folder of the detector that ships with the project: `scripts/make-scene-detector.mjs` makes it. */
export const DEFAULT_DETECTOR = fileURLToPath(new URL('../../models/scene-events', import.meta.url));

/** A trained detector: scores of frames and the boundaries they mean. */
export class SceneEventModel {
  constructor(
    readonly config: SceneEventConfig,
    readonly net: DdmNet,
  ) {
    net.eval();
  }

  /** Every how many frames of a video a frame of the training data's rate comes. */
  frameStep(fps: number): number {
    return this.config.fps === undefined ? 1 : Math.max(1, Math.round(fps / this.config.fps));
  }

  /**
   * Probability [T] that an event begins at each frame; frames pass the backbone `batch` at a time. With `every` above 1 the video is looked at as
   * so many slower ones, each beginning a frame later, so that every frame is seen among neighbours at the rate of the training data.
   */
  score(frames: SceneFrames, { batch = 64, every = 1 }: { batch?: number; every?: number } = {}): Float32Array {
    if (every > 1) return this.#scoreInSteps(frames, every, batch);
    const { image_size, cameras } = this.config;
    if (frames.size !== image_size || frames.channels !== 3 * cameras.length)
      throw new PruneError(
        `The event detector was trained on ${cameras.length} cameras at ${image_size} pixels, these frames have ${frames.channels / 3} at ${frames.size}`,
      );
    const { numFrames } = frames;
    return scope(() =>
      noGrad(() => {
        const parts = Array.from({ length: Math.ceil(numFrames / batch) }, (_, i) => {
          const from = i * batch;
          return scope(() => [
            ...this.net.frame_features(toPixels(frames, from, Math.min(batch, numFrames - from), this.config)),
          ]);
        });
        const features = [0, 1, 2].map((level) =>
          torch.cat(
            parts.map((part) => part[level] as Tensor),
            0,
          ),
        );
        const scores = new Float32Array(numFrames);
        for (let from = 0; from < numFrames; from += batch) {
          const length = Math.min(batch, numFrames - from);
          const windows = Array.from({ length }, (_, i) => windowAt(from + i, numFrames, this.config)).flat();
          const part = scope(() => {
            const rows = torch.tensor(windows, { dtype: 'int64' }).reshape([length, -1]);
            return boundaryProbability(
              this.net.forward_features(features as [Tensor, Tensor, Tensor], rows),
            ).data<Float32Array>();
          });
          scores.set(part, from);
        }
        return scores;
      }),
    );
  }

  #scoreInSteps({ data, numFrames, ...facts }: SceneFrames, every: number, batch: number): Float32Array {
    const scores = new Float32Array(numFrames);
    const bytes = facts.size * facts.size * facts.channels;
    for (let first = 0; first < Math.min(every, numFrames); first++) {
      const count = Math.ceil((numFrames - first) / every);
      const slow = new Uint8Array(count * bytes);
      for (let i = 0; i < count; i++) {
        const from = (first + i * every) * bytes;
        slow.set(data.subarray(from, from + bytes), i * bytes);
      }
      this.score({ ...facts, data: slow, numFrames: count }, { batch }).forEach((score, i) => {
        scores[first + i * every] = score;
      });
    }
    return scores;
  }

  /** Frames at which events begin; `every` as for the scores. The first frame of an episode is where it begins, not an event. */
  boundaries(scores: ArrayLike<number>, every = 1): number[] {
    const { threshold, scope: own, expected_share: share } = this.config;
    // One event is seen from several of the slower videos: the best of its frames counts.
    const scope = own * every + (every >> 1);
    if (share !== undefined) return pickExpected(scores, { share, scope, every, beginIgnore: 1 });
    return pickBoundaries(scores, { threshold, scope, beginIgnore: 1 });
  }

  /** Tells weights apart: the start of a hash of all of them. */
  digest(): string {
    const hash = createHash('sha256');
    const state = this.net.state_dict();
    for (const name of Object.keys(state).sort())
      hash
        .update(name)
        .update(new Uint8Array((state[name] as Tensor).detach().to('float32').data<Float32Array>().slice().buffer));
    return hash.digest('hex').slice(0, 16);
  }

  /**
   * Writes `model.safetensors` and `config.json` into a folder; the configuration last, so that a folder with one is whole.
   * @param half half precision: half the size, probabilities the same to about a thousandth
   */
  save(folder: string, notes: Readonly<Record<string, unknown>> = {}, { half = false }: { half?: boolean } = {}): void {
    mkdirSync(folder, { recursive: true });
    const state = this.net.state_dict();
    const stored = half
      ? noGrad(() => Object.fromEntries(Object.entries(state).map(([name, tensor]) => [name, tensor.to('float16')])))
      : state;
    safetensors.save(join(folder, 'model.safetensors'), stored);
    const config = { type: 'scene-events', version: 1, ...this.config, ...notes };
    writeDurable(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  }

  /** Reads what `save` wrote. Throws PruneError naming the file that is missing or wrong. */
  static load(folder: string): SceneEventModel {
    const path = join(folder, 'config.json');
    let raw: unknown;
    try {
      raw = JSON.parse(readFileSync(path, 'utf8'));
    } catch (cause) {
      throw new PruneError('This is no event detector', {
        file: path,
        hint: 'Train one with: dualvla prune train-scene DATASET --out FOLDER',
        cause,
      });
    }
    const parsed = configSchema.safeParse(raw);
    if (!parsed.success)
      throw new PruneError(`Not an event detector's configuration: ${parsed.error.issues[0]?.message}`, {
        file: path,
        field: parsed.error.issues[0]?.path.join('.'),
      });
    const { type: _type, version: _version, ...config } = parsed.data;
    const net = new DdmNet(netConfig(config));
    const weights = safetensors.open(join(folder, 'model.safetensors'));
    // Released checkpoints also count batches, which nothing reads.
    const keys = weights.keys.filter((key) => !key.endsWith('.num_batches_tracked'));
    net.load_state_dict(Object.fromEntries(keys.map((key) => [key, weights.get(key)])));
    return new SceneEventModel(config, net);
  }
}

const count = z.number().int().positive();
const configSchema = z.object({
  type: z.literal('scene-events'),
  version: z.literal(1),
  net: z.object({
    width: count,
    blocks: z.tuple([count, count, count, count]),
    frames_per_side: count,
    decoder_layers: count,
    heads: count,
    num_queries: count,
    dropout: z.number().min(0).max(1),
    in_channels: count,
    stem_stride: z.union([z.literal(1), z.literal(2)]),
    stem_pool: z.boolean(),
  }),
  cameras: z.array(z.string()).min(1),
  image_size: count,
  motion_channels: z.boolean(),
  stride: count,
  fps: z.number().positive().optional(),
  trained_robots: z.array(z.string()).optional(),
  threshold: z.number(),
  scope: z.number().int().nonnegative(),
  expected_share: z.number().positive().optional(),
});
