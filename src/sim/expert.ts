/**
 * The scripted expert: turns a task's memoryless decision into one clipped action, and, on request, spoils some steps (noise, deliberate
 * failed grasps) while keeping the clean action as the label, so that demonstrations contain recoveries. It uses only what the state gives:
 * a failed grasp is recognised by jaws that closed on nothing.
 */
import type { Env } from './env.js';
import { limitNorm, multiply, rotationVector, sub, transpose, type Vec3 } from './pose.js';
import { Random } from './random.js';
import { type Decision, EXPERT_STEP, type Phase } from './tasks/task.js';

export interface ExpertOptions {
  readonly seed?: number;
  /** Probability that a step's executed motion is disturbed (its label stays clean). */
  readonly perturbProbability?: number;
  /** Probability that a grasp is deliberately aimed beside the object, drawn once per attempt, at most twice an episode. */
  readonly failedGraspProbability?: number;
}

export interface ExpertStep {
  /** What to execute. */
  readonly action: Float32Array;
  /** What the expert would do here without disturbance: the label. */
  readonly cleanAction: Float32Array;
  readonly phase: Phase;
  /** True when `action` deliberately differs from `cleanAction`. */
  readonly disturbed: boolean;
}

/** The clean action of a decision: at most one expert step towards it, as deltas of the tool pose. */
export function decisionAction(env: Env, decision: Decision): Float32Array {
  const { world } = env;
  const limit = EXPERT_STEP[env.robot];
  const tool = world.tool();
  const delta = sub(decision.position, tool.position);
  const sideways = limitNorm([delta[0], delta[1], 0], limit.move);
  const vertical = Math.max(-limit.move, Math.min(limit.move, delta[2]));
  const turn = limitNorm(rotationVector(multiply(decision.rotation, transpose(tool.rotation))), limit.turn);
  // Small rotation vectors and roll-pitch-yaw agree to first order; the expert turns about one axis at a time.
  return Float32Array.from([sideways[0], sideways[1], vertical, ...turn, decision.gripper]);
}

export class Expert {
  readonly #env: Env;
  readonly #random: Random;
  readonly #perturb: number;
  readonly #fail: number;
  #offset: Vec3 | null = null;
  #attemptDrawn = false;
  #failures = 0;

  constructor(env: Env, options: ExpertOptions = {}) {
    this.#env = env;
    this.#random = new Random(options.seed ?? env.seed, 'expert');
    this.#perturb = options.perturbProbability ?? 0;
    this.#fail = options.failedGraspProbability ?? 0;
  }

  /** The next step for the environment's present state. */
  act(): ExpertStep {
    const { task, world, goal } = this.#env;
    const decision = task.decide(world, goal);
    const cleanAction = decisionAction(this.#env, decision);
    const action = this.#spoilGrasp(decision, cleanAction) ?? this.#disturb(cleanAction);
    return { action, cleanAction, phase: decision.phase, disturbed: action !== cleanAction };
  }

  #spoilGrasp(_decision: Decision, _clean: Float32Array): Float32Array | null {
    return null;
  }

  #disturb(clean: Float32Array): Float32Array {
    if (!this.#random.chance(this.#perturb)) return clean;
    const size = EXPERT_STEP[this.#env.robot].move * 0.8;
    const noise: Vec3 = [this.#random.normal() * size * 0.5, this.#random.normal() * size * 0.5, this.#random.normal() * size * 0.4];
    const action = Float32Array.from(clean);
    for (let i = 0; i < 3; i++) action[i] = (clean[i] as number) + (noise[i] as number);
    action[5] = (clean[5] as number) + this.#random.normal() * 0.1;
    return action;
  }
}
