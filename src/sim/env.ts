/**
 * One environment: a task under a variant, driven by 7-dim actions, observed by camera images, proprioception and an instruction.
 * The same options, seed and actions give the same bytes. Knows nothing of policies, experts or files.
 */
import { placeDistractors } from './distractors.js';
import { SceneSamplingError, SimOptionError, SimStateError } from './errors.js';
import type { ToolPose } from './kinematics.js';
import { DISTRACTORS } from './objects.js';
import { fromRpy, multiply, type Quat, type Vec3 } from './pose.js';
import { Random } from './random.js';
import { attachedCamera, type Camera, lookAt, Renderer } from './renderer.js';
import { type CameraSpec, ROBOTS, type RobotName } from './robots.js';
import { taskOf } from './tasks/index.js';
import type { Goal, Phase, Task, TaskId } from './tasks/task.js';
import { drawAppearance, drawCamera, parseVariant, type Variant, varies } from './variation.js';
import { World } from './world.js';

export const CAMERAS = ['third', 'wrist'] as const;
export type CameraName = (typeof CAMERAS)[number];

export interface EnvOptions {
  readonly task: TaskId;
  /** Visual matching (`vm`, default) or variant aggregation. */
  readonly variant?: Variant;
  /** Side of the square images, 16 to 512; default 64. */
  readonly imageSize?: number;
  /** Cameras in observations; default both. */
  readonly cameras?: readonly CameraName[];
  /** Cast shadows; default true. */
  readonly shadows?: boolean;
}

export interface Observation {
  /** Camera to RGB bytes, `size * size * 3`, row by row from the top. */
  readonly images: Readonly<Record<string, Uint8Array>>;
  /** [x, y, z, roll, pitch, yaw, gripper] measured, in the base frame; metres, radians; gripper 1 open, 0 closed on nothing. */
  readonly state: Float32Array;
  readonly instruction: string;
}

export interface StepResult {
  readonly observation: Observation;
  readonly success: boolean;
  /** Success or cut off. */
  readonly done: boolean;
  readonly truncated: boolean;
  /** Control steps since reset. */
  readonly step: number;
}

/** What a camera cannot see; for experts, judging and annotation, never for a policy. */
export interface PrivilegedState {
  readonly phase: Phase;
  /** 0 at reset to 1 at success. */
  readonly progress: number;
  readonly success: boolean;
  readonly step: number;
  readonly goal: Goal;
  readonly objects: readonly { readonly name: string; readonly position: Vec3; readonly quaternion: Quat }[];
  readonly gripper: {
    readonly position: Vec3;
    /** Distance between the pads, metres. */
    readonly gap: number;
    /** Name of what is between both pads. */
    readonly holding: string | null;
  };
  /** Names of touching pairs. */
  readonly contacts: readonly (readonly [string, string])[];
  /** Slide positions of drawers, metres. */
  readonly slides: Readonly<Record<string, number>>;
}

const MAX_DRAWS = 2000;
const SETTLE_STEPS = 40;
/** Start pose jitter: metres and radians. */
const START_JITTER = { position: 0.02, yaw: 0.1 } as const;

export class Env {
  readonly task: Task;
  readonly variant: Variant;
  readonly imageSize: number;
  readonly cameras: readonly CameraName[];
  readonly shadows: boolean;
  /** Everything that a seed may ask for; scenes are drawn in it. */
  readonly #stock: World;
  #world: World;
  readonly #renderer: Renderer;
  #third: Camera;
  #goal: Goal | undefined;
  #instruction = '';
  #seed = 0;
  #step = 0;
  #held = 0;
  #success = false;
  #over = false;
  #disposed = false;

  private constructor(
    task: Task,
    variant: Variant,
    options: Required<Omit<EnvOptions, 'task' | 'variant'>>,
    world: World,
  ) {
    this.task = task;
    this.variant = variant;
    this.imageSize = options.imageSize;
    this.cameras = options.cameras;
    this.shadows = options.shadows;
    this.#stock = world;
    this.#world = world;
    this.#renderer = new Renderer(world.physics);
    const { position, lookAt: at, up, fovy } = this.#nominalCamera();
    this.#third = lookAt(position, at, up, fovy);
  }

  /** Compiles the scene (about 20 ms; the first in a thread also loads MuJoCo, about 0.2 s). Throws `SimOptionError` for wrong options. */
  static async create(options: EnvOptions): Promise<Env> {
    const task = taskOf(options.task);
    const variant = parseVariant(options.variant ?? 'vm');
    const imageSize = options.imageSize ?? 64;
    assertImageSize(imageSize);
    const cameras = options.cameras ?? CAMERAS;
    for (const name of cameras) assertCamera(name);
    const distractors = varies(variant, 'distractors') ? DISTRACTORS : [];
    const world = await World.create(ROBOTS[task.robot], [...task.objects, ...distractors], task.fixtures);
    return new Env(task, variant, { imageSize, cameras, shadows: options.shadows ?? true }, world);
  }

  /** The present scene; another object after a reset that puts other things on the table. */
  get world(): World {
    return this.#world;
  }

  get robot(): RobotName {
    return this.task.robot;
  }

  get maxSteps(): number {
    return this.task.maxSteps;
  }

  get controlHz(): number {
    return this.world.robot.controlHz;
  }

  get seed(): number {
    return this.#seed;
  }

  /** The present episode's goal. Throws `SimStateError` before the first reset. */
  get goal(): Goal {
    if (!this.#goal) throw new SimStateError('call reset(seed) before anything else');
    return this.#goal;
  }

  get instruction(): string {
    return this.#instruction;
  }

  /** Starts the episode of a seed. Throws `SimOptionError` for a seed that is not an integer in [0, 2^31). */
  reset(seed: number): Observation {
    this.#assertAlive();
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 31) {
      throw new SimOptionError(
        `seed ${seed} must be an integer in [0, 2^31); take one from trainSeed, validationSeed or testSeed`,
      );
    }
    this.#seed = seed;
    this.#over = false;
    this.#success = false;
    this.#step = 0;
    this.#held = 0;
    this.#goal = this.#drawScene(seed);
    this.#instruction = new Random(seed, 'instruction').pick(this.task.instructions(this.#goal));
    this.#renderer.setAppearance(drawAppearance(this.variant, seed, this.world.robot.lamp));
    const { position, lookAt: at, up, fovy } = drawCamera(this.variant, seed, this.#nominalCamera());
    this.#third = lookAt(position, at, up, fovy);
    return this.observe();
  }

  /**
   * One control step. Throws `SimActionError` for a malformed action, `SimStateError` before reset or after the episode's end, and
   * `SimUnstableError` if the physics diverged.
   */
  step(action: ArrayLike<number>): StepResult {
    this.#assertAlive();
    const goal = this.goal;
    if (this.#over) throw new SimStateError('the episode is over; call reset(seed)');
    try {
      this.world.act(action);
    } catch (error) {
      if (error instanceof Error && error.name === 'SimUnstableError') this.#over = true;
      throw error;
    }
    this.#step++;
    this.#held = this.task.success(this.world, goal) ? this.#held + 1 : 0;
    this.#success = this.#held >= this.task.holdSteps;
    const truncated = !this.#success && this.#step >= this.maxSteps;
    this.#over = this.#success || truncated;
    return { observation: this.observe(), success: this.#success, done: this.#over, truncated, step: this.#step };
  }

  /** The present observation. Renders. */
  observe(): Observation {
    const images: Record<string, Uint8Array> = {};
    for (const name of this.cameras) images[name] = this.render(name, this.imageSize);
    return { images, state: this.world.proprioception(), instruction: this.#instruction };
  }

  /** Renders one camera at any size; RGB bytes, `size * size * 3`. Does not change the simulation. */
  render(camera: CameraName, size = this.imageSize, out?: Uint8Array): Uint8Array {
    this.#assertAlive();
    assertCamera(camera);
    assertImageSize(size);
    return this.#renderer.render(this.camera(camera), size, this.shadows, out);
  }

  /** Where a camera is now. */
  camera(name: CameraName): Camera {
    if (name === 'third') return this.#third;
    return attachedCamera(this.world.gripperFrame(), this.world.robot.cameras.wrist);
  }

  privileged(): PrivilegedState {
    this.#assertAlive();
    const { world, task, goal } = this;
    const names = [...world.objects.keys()].filter((name) => world.present(name));
    const bodies = [...names, ...task.fixtures.flatMap((fixture) => fixture.bodies)];
    const holding = bodies.find((name) => world.holds(name)) ?? null;
    return {
      phase: this.#success ? 'done' : task.decide(world, goal).phase,
      progress: this.#success ? 1 : task.progress(world, goal),
      success: this.#success,
      step: this.#step,
      goal,
      objects: bodies.map((name) => ({ name, ...world.bodyPose(name) })),
      gripper: { position: world.tool().position, gap: world.jawGap(), holding },
      contacts: world.contactPairs(),
      slides: Object.fromEntries(task.fixtures.flatMap((f) => f.joints).map((joint) => [joint, world.slide(joint)])),
    };
  }

  /** Frees the simulation's memory. Safe to call twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#world !== this.#stock) this.#world.dispose();
    this.#stock.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #assertAlive(): void {
    if (this.#disposed) throw new SimStateError('this environment was disposed; create a new one');
  }

  #nominalCamera(): CameraSpec {
    const base = this.world.robot.cameras.third;
    return this.task.camera ? { ...base, ...this.task.camera } : base;
  }

  #drawScene(seed: number): Goal {
    const objects = new Random(seed, 'objects');
    const start = new Random(seed, 'start');
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      const jitter = (): number => start.range(-START_JITTER.position, START_JITTER.position);
      const { position, rotation } = this.task.start;
      const tool = {
        position: [position[0] + jitter(), position[1] + jitter(), position[2] + jitter()] as const,
        rotation: multiply(fromRpy(0, 0, start.range(-START_JITTER.yaw, START_JITTER.yaw)), rotation),
      };
      if (!this.#stock.reset(tool, this.task.start)) continue;
      const goal = this.task.sample(this.#stock, objects);
      if (!goal) continue;
      if (varies(this.variant, 'distractors')) {
        placeDistractors(this.#stock, this.task, goal, new Random(seed, 'distractors'));
      }
      this.#enter(tool);
      this.world.settle(SETTLE_STEPS);
      if (!this.task.success(this.world, goal)) return goal;
    }
    throw new SceneSamplingError(
      `no usable scene for ${this.task.id} in ${MAX_DRAWS} draws of seed ${seed}; use another seed`,
    );
  }

  /** Makes the scene that was drawn the present one. Where it leaves out objects of the task, they are not simulated either. */
  #enter(tool: ToolPose): void {
    const stock = this.#stock;
    const placed = [...stock.objects.keys()].filter((name) => stock.present(name));
    if (this.task.objects.every((spec) => stock.present(spec.name))) {
      this.#use(stock);
      return;
    }
    const same = placed.length === this.#world.objects.size && placed.every((name) => this.#world.objects.has(name));
    if (!same) this.#use(stock.only(new Set(placed)));
    this.#world.reset(tool, this.task.start);
    for (const name of placed) this.#world.place(name, stock.placedPose(name));
  }

  #use(world: World): void {
    if (world === this.#world) return;
    if (this.#world !== this.#stock) this.#world.dispose();
    this.#world = world;
    this.#renderer.attach(world.physics);
  }
}

function assertImageSize(size: number): void {
  if (!Number.isInteger(size) || size < 16 || size > 512) {
    throw new SimOptionError(`image size ${size} must be an integer from 16 to 512`);
  }
}

function assertCamera(name: string): void {
  if (!CAMERAS.some((camera) => camera === name)) {
    throw new SimOptionError(`unknown camera '${name}'; valid: ${CAMERAS.join(', ')}`);
  }
}
