/**
 * One attempt of the scripted expert at one seed, recorded as an episode if it succeeds: what the camera and the joints show, the expert's
 * clean action as the label (the executed one may be disturbed), and its reasoning.
 */
import { type Episode, encodePng, type ImageSequence } from '../data/index.js';
import { episodeReasoning, type FrameFacts } from './demonstration-reasoning.js';
import type { CameraName, Env, Observation } from './env.js';
import { Expert } from './expert.js';
import { project } from './renderer.js';

export interface AttemptOptions {
  readonly seed: number;
  readonly perturbProbability: number;
  readonly failedGraspProbability: number;
}

export interface Attempt {
  readonly success: boolean;
  readonly steps: number;
  /** Steps whose executed action differed from its label. */
  readonly disturbed: number;
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
  const labels: Float32Array[] = [];
  const facts: FrameFacts[] = [];
  let disturbed = 0;
  for (;;) {
    const step = expert.act();
    observations.push(observation);
    labels.push(step.cleanAction);
    facts.push(factsOf(env, step.phase));
    if (step.disturbed) disturbed++;
    const result = env.step(step.action);
    observation = result.observation;
    if (!result.done) continue;
    const steps = observations.length;
    if (!result.success) return { success: false, steps, disturbed };
    return { success: true, steps, disturbed, ...record(env, observations, labels, facts) };
  }
}

function record(
  env: Env,
  observations: readonly Observation[],
  labels: readonly Float32Array[],
  facts: readonly FrameFacts[],
): { episode: Episode; pngs: Record<string, Uint8Array[]> } {
  const length = observations.length;
  const state = new Float32Array(length * 7);
  const action = new Float32Array(length * 7);
  observations.forEach((observation, t) => {
    state.set(observation.state, t * 7);
    action.set(labels[t] as Float32Array, t * 7);
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
  const reasoning = episodeReasoning(facts, action, fps, env.seed);
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

/** What is true now, in words. */
function factsOf(env: Env, phase: string): FrameFacts {
  const state = env.privileged();
  const camera = env.camera('third' satisfies CameraName);
  const { u, v } = project(camera, state.gripper.position);
  return {
    plan: env.instruction,
    subtask: phase,
    subtaskReason: `the gripper is in the phase ${phase}`,
    moveReason: `the phase is ${phase}`,
    gripper: [u, v],
    objects: [],
  };
}
