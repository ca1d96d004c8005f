/**
 * One attempt of the scripted expert at one seed, recorded as an episode if it succeeds: what the camera and the joints show, the expert's
 * clean action as the label (the executed one may be disturbed), its phase, and reasoning in one of the styles of annotation.ts.
 */
import { DISTURBED_KEY, type Episode, encodePng, type ImageSequence, PHASE_KEY } from '../data/index.js';
import { annotate, type ReasoningStyle } from './annotation.js';
import { type EpisodeReasoning, episodeReasoning } from './demonstration-reasoning.js';
import type { Env, Observation } from './env.js';
import { Expert, type ExpertStep } from './expert.js';

export interface AttemptOptions {
  readonly seed: number;
  readonly perturbProbability: number;
  readonly failedGraspProbability: number;
  readonly reasoning: ReasoningStyle;
}

export interface Attempt {
  readonly success: boolean;
  readonly steps: number;
  /** Steps whose executed action differed from its label. */
  readonly disturbed: number;
  /** How the instruction calls what is acted on, and what that is brought to. */
  readonly nouns: readonly string[];
  /** Present when the attempt succeeded. */
  readonly episode?: Episode;
  /** Camera -> one PNG a frame, of the episode's pictures. */
  readonly pngs?: Record<string, Uint8Array[]>;
}

/** Runs the expert from `seed` to the episode's end. The environment is reset; the same arguments give the same bytes. */
export function attemptDemonstration(env: Env, options: AttemptOptions): Attempt {
  let observation: Observation = env.reset(options.seed);
  const expert = new Expert(env, options);
  const observations: Observation[] = [];
  const expertSteps: ExpertStep[] = [];
  for (;;) {
    const step = expert.act();
    observations.push(observation);
    expertSteps.push(step);
    const result = env.step(step.action);
    observation = result.observation;
    if (!result.done) continue;
    const steps = observations.length;
    const disturbed = expertSteps.filter((one) => one.disturbed).length;
    const { subjectNoun, referenceNoun } = env.goal;
    const nouns = referenceNoun === undefined ? [subjectNoun] : [subjectNoun, referenceNoun];
    if (!result.success) return { success: false, steps, disturbed, nouns };
    return { success: true, steps, disturbed, nouns, ...record(env, observations, expertSteps, options.reasoning) };
  }
}

function record(
  env: Env,
  observations: readonly Observation[],
  steps: readonly ExpertStep[],
  style: ReasoningStyle,
): { episode: Episode; pngs: Record<string, Uint8Array[]> } {
  const length = observations.length;
  const state = new Float32Array(length * 7);
  const action = new Float32Array(length * 7);
  observations.forEach((observation, t) => {
    state.set(observation.state, t * 7);
    action.set((steps[t] as ExpertStep).cleanAction, t * 7);
  });
  const size = env.imageSize;
  const images: Record<string, ImageSequence> = {};
  const pngs: Record<string, Uint8Array[]> = {};
  for (const camera of env.cameras) {
    const data = new Uint8Array(length * size * size * 3);
    const encoded: Uint8Array[] = [];
    observations.forEach((observation, t) => {
      const pixels = observation.images[camera] as Uint8Array;
      data.set(pixels, t * pixels.length);
      encoded.push(encodePng(pixels, size, size));
    });
    images[camera] = { width: size, height: size, data };
    pngs[camera] = encoded;
  }
  const fps = env.controlHz;
  const disturbed = Uint8Array.from(steps, (step) => (step.disturbed ? 1 : 0));
  const reasoning = reasoningOf(env, steps, style, { state, action, disturbed });
  const episode: Episode = {
    index: 0,
    task: env.instruction,
    fps,
    length,
    state,
    stateDim: 7,
    action,
    actionDim: 7,
    images,
    columns: {
      [DISTURBED_KEY]: { dtype: 'bool', shape: [1], values: disturbed },
      [PHASE_KEY]: { dtype: 'string', values: steps.map((step) => step.phase) },
      'reasoning.text': { dtype: 'string', values: reasoning.text },
      'reasoning.keep': { dtype: 'bool', shape: [1], values: new Uint8Array(length).fill(1) },
      'reasoning.scene_score': { dtype: 'float32', shape: [1], values: new Float32Array(length) },
      'reasoning.motion_score': { dtype: 'float32', shape: [1], values: new Float32Array(length) },
    },
    languagePersistent: reasoning.rows,
    languageEvents: [],
  };
  return { episode, pngs };
}

function reasoningOf(
  env: Env,
  steps: readonly ExpertStep[],
  style: ReasoningStyle,
  { state, action, disturbed }: { state: Float32Array; action: Float32Array; disturbed: Uint8Array },
): EpisodeReasoning {
  const said = steps.map((step) => step.reasoning);
  const fps = env.controlHz;
  if (style === 'privileged') return episodeReasoning(said, state, action, disturbed, fps);
  const { seed, goal, instruction, task } = env;
  const frames = steps.map((step) => ({ ...step.reasoning, phase: step.phase }));
  return annotate({ seed, kind: task.kind, goal, instruction, fps, frames, states: state }, style);
}
