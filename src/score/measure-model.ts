/**
 * Measures one trained model in every way that a study compares: success in closed loop with traces, questions about pictures,
 * VLA Score and validity of the reasoning over the same episodes, action error on held-out demonstrations, and how long it thinks.
 *
 * Writes episodes.jsonl, traces.jsonl.gz and measurement.json into one directory.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCheckpointAnswerer } from '../eval/checkpoint-answerer.js';
import { loadCheckpointPolicy } from '../eval/checkpoint-policy.js';
import { EpisodeLog } from '../eval/episode-log.js';
import { type EvaluateOptions, evaluate, successTableOf } from '../eval/evaluate.js';
import { heldOutErrors } from '../eval/held-out-error.js';
import type { Measurement } from '../eval/measurement.js';
import { evaluateMultimodal } from '../eval/multimodal/index.js';
import { cellKey } from '../eval/success-table.js';
import { type EpisodeTrace, readTraces, TraceWriter } from '../eval/trace.js';
import { torch } from '../torch/index.js';
import { findPretrained } from '../train/pretrained.js';
import { reasoningValidity } from './reasoning-validity.js';
import { RuleJudge } from './rule-judge.js';
import { judgeTraces, meanVlaScore } from './vla-score.js';

export const MEASUREMENT_FILE = 'measurement.json';

export interface MeasureOptions {
  /** A run, checkpoint or `pretrained_model`. */
  checkpoint: string;
  /** Directory of what is written; what an earlier measurement left there is replaced. */
  output: string;
  cells: EvaluateOptions['cells'];
  trials: number;
  split: 'test' | 'validation';
  /** Questions as `dualvla data multimodal` writes them; null: none are asked. */
  questions: string | null;
  /** LeRobot data of held-out demonstrations; null: no action error. */
  heldOut: string | null;
  /** Draw whether to think instead of doing the likelier. */
  sampleSkipping: boolean;
  commit: string;
  device?: string;
  signal?: AbortSignal;
  onProgress?: (part: 'scenes' | 'questions' | 'held-out frames', done: number, total: number) => void;
}

/** @throws NoPretrainedModelError, the simulator's and the readers' errors; AbortError when stopped */
export async function measureModel(options: MeasureOptions): Promise<Measurement> {
  const { checkpoint, output, cells, trials, split, device = 'cpu', signal, onProgress = () => undefined } = options;
  const started = performance.now();
  mkdirSync(output, { recursive: true });
  const file = (name: string): string => join(output, name);
  rmSync(file(MEASUREMENT_FILE), { force: true });
  const { seed, sampleSkipping, recipe, job_name } = settingsOf(checkpoint, options);

  const log = new EpisodeLog(file('episodes.jsonl'));
  log.clear();
  const traces = new TraceWriter(file('traces.jsonl.gz'));
  const policy = loadCheckpointPolicy(checkpoint, { device, sampleSkipping });
  const limits = signal === undefined ? {} : { signal };
  for await (const { trace, done, total } of evaluate({ cells, trials, split, policy, log, trace: true, ...limits })) {
    if (trace !== undefined) traces.add(trace);
    onProgress('scenes', done, total);
  }

  const multimodal =
    options.questions === null
      ? {}
      : await evaluateMultimodal({
          root: options.questions,
          split,
          answerer: loadCheckpointAnswerer(checkpoint, { device }),
          signal,
          onProgress: (done, total) => onProgress('questions', done, total),
        });
  const errors =
    options.heldOut === null
      ? null
      : await heldOutErrors(checkpoint, {
          root: options.heldOut,
          device,
          ...(sampleSkipping && { uniform: seededUniform(seed) }),
          signal,
          onProgress: (done, total) => onProgress('held-out frames', done, total),
        });

  const recorded = inOrder(readTraces(file('traces.jsonl.gz')), cells);
  const judge = new RuleJudge();
  const measurement: Measurement = {
    recipe,
    model: job_name,
    seed,
    commit: options.commit,
    engine: `libtorch ${torch.version}`,
    split,
    trials,
    success: successTableOf({ cells, trials, split, log }),
    multimodal,
    vlaScore: meanVlaScore(await judgeTraces(recorded, judge), judge.name),
    reasoning: policy.thinking.reasoned > 0 ? { ...reasoningValidity(recorded) } : null,
    thinking: { ...policy.thinking, secondsPerPrediction: errors?.secondsPerPrediction ?? null },
    actionError: errors && { own: errors.own, plain: errors.plain, byPhase: errors.byPhase },
    seconds: (performance.now() - started) / 1000,
  };
  const path = file(MEASUREMENT_FILE);
  writeFileSync(`${path}.tmp`, `${JSON.stringify(measurement, null, 2)}\n`);
  renameSync(`${path}.tmp`, path);
  return measurement;
}

/** Episodes are written as they end; sums and resamples of them are to come out the same whichever ends first. */
export function inOrder(traces: readonly EpisodeTrace[], cells: EvaluateOptions['cells']): EpisodeTrace[] {
  const places = new Map(cells.map(({ task, variant }, i) => [cellKey(task, variant), i]));
  const place = ({ task, variant }: EpisodeTrace): number => places.get(cellKey(task, variant)) ?? cells.length;
  return [...traces].sort((a, b) => place(a) - place(b) || a.index - b.index);
}

/** What the training run says of itself. */
function settingsOf(checkpoint: string, { sampleSkipping }: Pick<MeasureOptions, 'sampleSkipping'>) {
  const path = join(findPretrained(checkpoint), 'train_config.json');
  const config = (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}) as {
    recipe?: string;
    job_name?: string;
    seed?: number;
  };
  return {
    recipe: config.recipe ?? '',
    job_name: config.job_name ?? checkpoint,
    seed: config.seed ?? 0,
    sampleSkipping,
  };
}

/** Uniform draws in [0, 1), the same for the same seed. */
function seededUniform(seed: number): () => number {
  let state = (seed + 1) >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
