/**
 * The scripted expert: turns a task's memoryless decision into one clipped action, and, on request, spoils some steps (noise, deliberate
 * failed grasps) while keeping the clean action as the label, so that demonstrations contain mistakes and their recovery. A failed grasp
 * is recognised by what a policy can see as well: jaws that closed on nothing.
 */
import type { Env } from './env.js';
import { SimOptionError } from './errors.js';
import { narrate, type Reasoning } from './narration.js';
import { limitNorm, multiply, rotationVector, sub, transpose, type Vec3 } from './pose.js';
import { Random } from './random.js';
import { type Decision, EXPERT_STEP, type Phase } from './tasks/task.js';

export interface ExpertOptions {
  /** Seed of the disturbances; default: the environment's scene seed. */
  readonly seed?: number;
  /** Probability that a step's executed motion is disturbed (its label stays clean); default 0. */
  readonly perturbProbability?: number;
  /** Probability that the next grasp deliberately misses, drawn before each of the first two grasps of an episode; default 0. */
  readonly failedGraspProbability?: number;
}

export interface ExpertStep {
  /** What to execute. */
  readonly action: Float32Array;
  /** What the expert would do from here without disturbance: the label. */
  readonly cleanAction: Float32Array;
  readonly phase: Phase;
  /** True when `action` deliberately differs from `cleanAction`; chunks of future actions should be cut off before such a step. */
  readonly disturbed: boolean;
  readonly reasoning: Reasoning;
}

/** At most this many deliberate misses in an episode. */
const MAX_MISSES = 2;
/** A missing approach that takes longer ends with closing the jaws. */
const MAX_MISS_STEPS = 15;

/** The clean action of a decision: at most one expert step towards it, as deltas of the tool pose. */
function decisionAction(env: Env, decision: Decision): Float32Array {
  const limit = EXPERT_STEP[env.robot];
  const tool = env.world.tool();
  const delta = sub(decision.position, tool.position);
  const sideways = limitNorm([delta[0], delta[1], 0], limit.move);
  const vertical = Math.max(-limit.move, Math.min(limit.move, delta[2]));
  // Turns are about one axis at a time and small, where rotation vector and roll-pitch-yaw agree.
  const turn = limitNorm(rotationVector(multiply(decision.rotation, transpose(tool.rotation))), limit.turn);
  return Float32Array.from([sideways[0], sideways[1], vertical, ...turn, decision.gripper]);
}

export class Expert {
  readonly #env: Env;
  readonly #random: Random;
  readonly #perturb: number;
  readonly #fail: number;
  #attempts = 0;
  #wasOpen = false;
  #bias: Vec3 | null = null;
  #missSteps = 0;
  #blindLifts = 0;

  /** For one episode: make a new one after each reset. Throws `SimOptionError` for probabilities outside [0, 1]. */
  constructor(env: Env, options: ExpertOptions = {}) {
    const { seed = env.seed, perturbProbability = 0, failedGraspProbability = 0 } = options;
    for (const [name, p] of Object.entries({ perturbProbability, failedGraspProbability })) {
      if (!(p >= 0 && p <= 1)) throw new SimOptionError(`${name} is ${p}; it must lie in [0, 1]`);
    }
    this.#env = env;
    this.#random = new Random(seed, 'expert');
    this.#perturb = perturbProbability;
    this.#fail = failedGraspProbability;
  }

  /** The next step for the environment's present state. */
  act(): ExpertStep {
    const { task, world, goal } = this.#env;
    const decision = task.decide(world, goal);
    const cleanAction = decisionAction(this.#env, decision);
    const action = this.#miss() ?? this.#disturb(cleanAction);
    const reasoning = narrate(this.#env, decision, cleanAction);
    return { action, cleanAction, phase: decision.phase, disturbed: action !== cleanAction, reasoning };
  }

  /** The executed action while a deliberate miss is under way, or null. */
  #miss(): Float32Array | null {
    const { task, world, goal } = this.#env;
    if (!task.missBy || this.#fail === 0) return null;
    const open = world.opening() >= 0.9;
    if (open && !this.#wasOpen && this.#attempts < MAX_MISSES) {
      this.#attempts++;
      this.#bias = this.#random.chance(this.#fail) ? task.missBy(world, goal, this.#random) : null;
    }
    this.#wasOpen = open;
    if (this.#blindLifts > 0) {
      // The miss goes unnoticed for a step: the closed, empty jaws rise.
      this.#blindLifts--;
      return Float32Array.from([0, 0, this.#random.range(0.015, 0.03), 0, 0, 0, 0]);
    }
    if (!this.#bias) return null;
    const biased = task.decide(world, goal, this.#bias);
    // A finger that lands on the object ends the approach as well: the jaws close where they are.
    const arrived = biased.phase === 'grasp' || world.touchesRobot(goal.subject) || ++this.#missSteps > MAX_MISS_STEPS;
    if (!arrived) return decisionAction(this.#env, biased);
    this.#bias = null;
    this.#missSteps = 0;
    this.#blindLifts = this.#random.int(3);
    return new Float32Array(7);
  }

  #disturb(clean: Float32Array): Float32Array {
    if (!this.#random.chance(this.#perturb)) return clean;
    const size = EXPERT_STEP[this.#env.robot].move * 0.45;
    const action = Float32Array.from(clean);
    for (let i = 0; i < 3; i++) action[i] = (clean[i] as number) + size * this.#random.normal();
    action[5] = (clean[5] as number) + 0.1 * this.#random.normal();
    return action;
  }
}
