/**
 * A compiled scene with one robot: reads poses, contacts and gripper, places things, and carries out one 7-dim action.
 * Knows nothing of tasks, images or variation.
 */
import { SimActionError } from './errors.js';
import { Kinematics, type ToolPose } from './kinematics.js';
import type { ObjectSpec } from './objects.js';
import { Physics } from './physics.js';
import {
  add,
  clamp,
  distance,
  fromRpy,
  limitNorm,
  type Mat3,
  multiply,
  norm,
  orthonormal,
  type Pose,
  rotationVector,
  scale,
  sub,
  toRpy,
  transpose,
  type Vec3,
} from './pose.js';
import { joints, type RobotSpec, TOOL_ABOVE_TIP } from './robots.js';
import { sceneMjcf } from './scene.js';

/** Lowest height of the fingertips above the table: pads that touch it cannot close. */
const MIN_TIP_HEIGHT = 0.0035;
/** A target whose inverse kinematics misses by more is refused (the previous one stays). */
const MAX_IK_ERROR = 0.008;
/** How far the commanded tool may run ahead of the measured one (it leans on something). */
const LEASH = 0.03;
/** Share of a control step over which joint targets are ramped. */
const RAMP = 0.6;
/** Narrowest thing that counts as held, metres. */
const MIN_HELD_GAP = 0.005;
/** Where objects that a seed does not use wait: out of sight, without gravity or contact. */
const PARKED: Vec3 = [0, 0, -5];

interface Handle {
  readonly spec: ObjectSpec;
  readonly body: number;
  readonly qpos: number;
  readonly dof: number;
}

/** A mechanism of a scene, such as a cabinet: MJCF, its slide joints, and bodies that contacts are reported for. */
export interface Fixture {
  readonly mjcf: string;
  readonly bodies: readonly string[];
  readonly joints: readonly string[];
}

export interface ActionOutcome {
  /** The action after clipping. */
  readonly applied: Float32Array;
  /** False when the commanded pose was out of reach and the old one kept. */
  readonly reachable: boolean;
}

export class World {
  readonly robot: RobotSpec;
  readonly physics: Physics;
  readonly kinematics: Kinematics;
  readonly objects: ReadonlyMap<string, ObjectSpec>;
  readonly #fixtures: readonly Fixture[];
  readonly #handles: ReadonlyMap<string, Handle>;
  readonly #bodyLabel: string[] = [];
  readonly #armQpos: readonly number[];
  readonly #armCtrl: readonly number[];
  readonly #fingerQpos: readonly [number, number];
  readonly #fingerDof: readonly [number, number];
  readonly #gripperCtrl: number;
  readonly #toolSite: number;
  readonly #frameSite: number;
  readonly #slides: ReadonlyMap<string, { qpos: number; dof: number }>;
  #target: ToolPose = { position: [0, 0, 0], rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
  #joints: Float64Array = new Float64Array(6);
  /** Pairs in contact at the last physics step; read when somebody asks, because the bindings take 10 us a contact. */
  #touching: ReadonlySet<string> | undefined;
  readonly #parked = new Set<string>();

  private constructor(
    robot: RobotSpec,
    physics: Physics,
    objects: readonly ObjectSpec[],
    fixtures: readonly Fixture[],
  ) {
    this.robot = robot;
    this.physics = physics;
    this.kinematics = new Kinematics(robot);
    this.objects = new Map(objects.map((spec) => [spec.name, spec]));
    this.#fixtures = fixtures;
    this.#handles = new Map(
      objects.map((spec) => [
        spec.name,
        {
          spec,
          body: physics.bodyId(spec.name),
          qpos: spec.free ? physics.qposAddress(spec.name) : -1,
          dof: spec.free ? physics.dofAddress(spec.name) : -1,
        },
      ]),
    );
    this.#armQpos = joints(robot).map((joint) => physics.qposAddress(joint.name));
    this.#armCtrl = joints(robot).map((joint) => physics.actuatorId(joint.name));
    this.#fingerQpos = [physics.qposAddress('finger_left'), physics.qposAddress('finger_right')];
    this.#fingerDof = [physics.dofAddress('finger_left'), physics.dofAddress('finger_right')];
    this.#gripperCtrl = physics.actuatorId('gripper');
    this.#toolSite = physics.siteId('tool');
    this.#frameSite = physics.siteId('gripper_frame');
    this.#slides = new Map(
      fixtures
        .flatMap((fixture) => fixture.joints)
        .map((name) => [name, { qpos: physics.qposAddress(name), dof: physics.dofAddress(name) }]),
    );
    this.#bodyLabel = Array.from({ length: physics.numBodies }, (_, body) => (body === 0 ? 'table' : 'robot'));
    for (const name of ['finger_left', 'finger_right', ...this.objects.keys(), ...fixtures.flatMap((f) => f.bodies)]) {
      this.#bodyLabel[physics.bodyId(name)] = name;
    }
  }

  static async create(
    robot: RobotSpec,
    objects: readonly ObjectSpec[],
    fixtures: readonly Fixture[] = [],
  ): Promise<World> {
    return new World(robot, await Physics.compile(worldMjcf(robot, objects, fixtures)), objects, fixtures);
  }

  /**
   * A world of its own with some of the objects only, compiled at once (2 ms of processor time). A parked object is not free: each of the four
   * that a move-near scene leaves out costs 5 % of a physics step.
   */
  only(names: ReadonlySet<string>): World {
    const objects = [...this.objects.values()].filter((spec) => names.has(spec.name));
    const physics = this.physics.compileAnother(worldMjcf(this.robot, objects, this.#fixtures));
    return new World(this.robot, physics, objects, this.#fixtures);
  }

  /**
   * Physics back to its defaults, everything parked, robot at `tool` with open jaws. `nominal` is the undisturbed start pose, solved first so
   * that every start has the same arm configuration. Returns false if the pose is out of reach.
   */
  reset(tool: ToolPose, nominal: ToolPose = tool): boolean {
    this.physics.reset();
    this.#touching = undefined;
    const gravity = this.physics.model('body_gravcomp');
    for (const { spec, body } of this.#handles.values()) {
      this.#parked.add(spec.name);
      gravity[body] = 1;
      this.#setCollision(body, false);
      this.#setPose(spec.name, { position: PARKED, quaternion: [1, 0, 0, 0] });
    }
    const near = this.kinematics.inverse(nominal, this.robot.guess, 100);
    const solution = this.kinematics.inverse(tool, near.q, 100);
    this.#joints = solution.q;
    this.#target = this.kinematics.forward(solution.q);
    const qpos = this.physics.data('qpos');
    const ctrl = this.physics.data('ctrl');
    for (let i = 0; i < 6; i++) {
      qpos[this.#armQpos[i] as number] = solution.q[i] as number;
      ctrl[this.#armCtrl[i] as number] = solution.q[i] as number;
    }
    for (const address of this.#fingerQpos) qpos[address] = this.robot.gripper.stroke;
    ctrl[this.#gripperCtrl] = this.robot.gripper.stroke;
    return solution.positionError < 0.002 && solution.rotationError < 0.02;
  }

  /** Places an object in the scene (un-parks it). Call {@link settle} when all are placed. */
  place(name: string, pose: Pose): void {
    const handle = this.#handle(name);
    this.#parked.delete(name);
    this.physics.model('body_gravcomp')[handle.body] = 0;
    this.#setCollision(handle.body, true);
    this.#setPose(name, pose);
  }

  /** Whether an object takes part in the present scene. */
  present(name: string): boolean {
    return !this.#parked.has(name);
  }

  /** Moves a fixture's root body (one that is not jointed to the world). */
  placeFixture(body: string, pose: Pose): void {
    const id = this.physics.bodyId(body);
    this.physics.model('body_pos').set(pose.position, 3 * id);
    this.physics.model('body_quat').set(pose.quaternion, 4 * id);
  }

  setSlide(joint: string, value: number): void {
    this.physics.data('qpos')[this.#slide(joint).qpos] = value;
  }

  /** Position of a fixture's slide joint, metres. */
  slide(joint: string): number {
    return this.physics.data('qpos')[this.#slide(joint).qpos] as number;
  }

  /** Lets the scene come to rest for `steps` physics steps. */
  settle(steps: number): void {
    this.physics.forward();
    for (let i = 0; i < steps; i++) this.physics.step();
    this.physics.assertStable('while the scene settled');
    this.physics.forward();
    this.#touching = undefined;
  }

  #slide(joint: string): { qpos: number; dof: number } {
    const slide = this.#slides.get(joint);
    if (!slide) throw new Error(`no slide joint '${joint}'`);
    return slide;
  }

  #handle(name: string): Handle {
    const handle = this.#handles.get(name);
    if (!handle) throw new Error(`no object '${name}' in this scene`);
    return handle;
  }

  #setCollision(body: number, on: boolean): void {
    const first = this.physics.model('body_geomadr')[body] as number;
    const count = this.physics.model('body_geomnum')[body] as number;
    const [type, affinity, group] = [
      this.physics.model('geom_contype'),
      this.physics.model('geom_conaffinity'),
      this.physics.model('geom_group'),
    ];
    for (let geom = first; geom < first + count; geom++) {
      // Group 1 holds parts that are drawn only (objects.ts).
      const solid = (group[geom] as number) !== 1;
      type[geom] = on && solid ? 1 : 0;
      affinity[geom] = on && solid ? 3 : 0;
    }
  }

  #setPose(name: string, { position, quaternion }: Pose): void {
    const { body, qpos, spec } = this.#handle(name);
    if (spec.free) {
      this.physics.data('qpos').set([...position, ...quaternion], qpos);
    } else {
      this.physics.model('body_pos').set(position, 3 * body);
      this.physics.model('body_quat').set(quaternion, 4 * body);
    }
  }

  // --- reading -------------------------------------------------------------------------------------------------------------

  /** Measured tool pose in the base frame. */
  tool(): ToolPose {
    return this.physics.sitePose(this.#toolSite);
  }

  /** Frame that the wrist camera is fixed to. */
  gripperFrame(): ToolPose {
    return this.physics.sitePose(this.#frameSite);
  }

  /** Tool pose that the last action asked for. */
  target(): ToolPose {
    return this.#target;
  }

  /** Measured distance between the pads, metres. */
  jawGap(): number {
    const qpos = this.physics.data('qpos');
    return Math.max(0, (qpos[this.#fingerQpos[0]] as number) + (qpos[this.#fingerQpos[1]] as number));
  }

  /** Measured opening: 1 fully open, 0 closed on nothing. */
  opening(): number {
    return clamp(this.jawGap() / (2 * this.robot.gripper.stroke), 0, 1);
  }

  /** [x, y, z, roll, pitch, yaw, opening] in the base frame. */
  proprioception(): Float32Array {
    const { position, rotation } = this.tool();
    return Float32Array.from([...position, ...toRpy(rotation), this.opening()]);
  }

  objectPose(name: string): Pose {
    return this.physics.bodyPose(this.#handle(name).body);
  }

  /** Where an object was put since {@link reset}; unlike {@link objectPose} it needs no forward pass. */
  placedPose(name: string): Pose {
    const { body, qpos, spec } = this.#handle(name);
    const v = spec.free
      ? this.physics.data('qpos').slice(qpos, qpos + 7)
      : [
          ...this.physics.model('body_pos').slice(3 * body, 3 * body + 3),
          ...this.physics.model('body_quat').slice(4 * body, 4 * body + 4),
        ];
    const [x, y, z, w, a, b, c] = v as unknown as [number, number, number, number, number, number, number];
    return { position: [x, y, z], quaternion: [w, a, b, c] };
  }

  bodyPose(name: string): Pose {
    return this.physics.bodyPose(this.physics.bodyId(name));
  }

  /** Linear speed of a free object, m/s. */
  speed(name: string): number {
    const { dof } = this.#handle(name);
    const qvel = this.physics.data('qvel');
    return dof < 0 ? 0 : Math.hypot(qvel[dof] as number, qvel[dof + 1] as number, qvel[dof + 2] as number);
  }

  /** Whether two things touch: object names, fixture bodies, `finger_left`, `finger_right`, `robot`, `table`. */
  touching(a: string, b: string): boolean {
    return this.#contacts().has(a < b ? `${a}|${b}` : `${b}|${a}`);
  }

  touchesRobot(name: string): boolean {
    return this.touching(name, 'finger_left') || this.touching(name, 'finger_right') || this.touching(name, 'robot');
  }

  /**
   * Held: the jaws were told to close, something keeps them apart, and it is this. One pad may touch more lightly than the contact
   * tolerance shows, so one touching pad is enough unless both touch something else.
   */
  holds(name: string): boolean {
    const [left, right] = [this.touching(name, 'finger_left'), this.touching(name, 'finger_right')];
    if ((!left && !right) || !this.#gripperClosed() || this.jawGap() < MIN_HELD_GAP) return false;
    if (left && right) return true;
    const squeezed = this.contactPairs().some(
      ([a, b]) => a === 'finger_left' && b !== name && this.touching(b, 'finger_right'),
    );
    return !squeezed && this.#jawSpeed() < 0.02;
  }

  #gripperClosed(): boolean {
    return (this.physics.data('ctrl')[this.#gripperCtrl] as number) < this.robot.gripper.stroke / 2;
  }

  #jawSpeed(): number {
    const qvel = this.physics.data('qvel');
    return Math.abs(qvel[this.#fingerDof[0]] as number) + Math.abs(qvel[this.#fingerDof[1]] as number);
  }

  /** All present contact pairs. */
  contactPairs(): [string, string][] {
    return [...this.#contacts()].map((pair) => pair.split('|') as [string, string]);
  }

  #contacts(): ReadonlySet<string> {
    if (this.#touching) return this.#touching;
    const touching = new Set<string>();
    for (const { body1, body2 } of this.physics.contacts()) {
      const [a, b] = [this.#bodyLabel[body1] as string, this.#bodyLabel[body2] as string];
      touching.add(a < b ? `${a}|${b}` : `${b}|${a}`);
    }
    this.#touching = touching;
    return touching;
  }

  // --- acting --------------------------------------------------------------------------------------------------------------

  /**
   * One control step. Translation (m) and roll-pitch-yaw (rad, about the base axes) move the previous target; both are clipped to the robot's
   * limits, the height is kept off the table, and a target out of reach is refused.
   */
  act(action: ArrayLike<number>): ActionOutcome {
    const applied = this.clipAction(action);
    const [dx, dy, dz, roll, pitch, yaw, grip] = applied as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const measured = this.tool();
    const base = this.#leashed(measured);
    const raised = add(base.position, [dx, dy, dz]);
    const rotation = multiply(fromRpy(roll, pitch, yaw), base.rotation);
    const wanted: ToolPose = {
      position: [raised[0], raised[1], Math.max(raised[2], this.#lowestHeight(rotation))],
      rotation: orthonormal(rotation),
    };
    const solution = this.kinematics.inverse(wanted, this.#joints);
    const reachable = solution.positionError <= MAX_IK_ERROR && solution.rotationError <= 0.1;
    const from = this.#joints;
    if (reachable) {
      this.#joints = solution.q;
      this.#target = wanted;
    } else {
      this.#target = base;
    }
    this.#drive(from, this.#joints, grip >= 0.5 ? this.robot.gripper.stroke : 0);
    return { applied, reachable };
  }

  /** Checks and clips an action; throws {@link SimActionError} unless it is seven finite numbers. */
  clipAction(action: ArrayLike<number>): Float32Array {
    if (action.length !== 7)
      throw new SimActionError(`an action has 7 numbers (dx dy dz droll dpitch dyaw gripper), got ${action.length}`);
    for (let i = 0; i < 7; i++) {
      if (!Number.isFinite(action[i]))
        throw new SimActionError(`action[${i}] is ${action[i]}; all seven must be finite`);
    }
    const part = (i: number): number => action[i] as number;
    const move = limitNorm([part(0), part(1), part(2)], this.robot.maxTranslation);
    const turn = limitNorm([part(3), part(4), part(5)], this.robot.maxRotation);
    return Float32Array.from([...move, ...turn, clamp(part(6), 0, 1)]);
  }

  /** The previous target, pulled back to within {@link LEASH} of where the tool really is. */
  #leashed(measured: ToolPose): ToolPose {
    const gap = sub(this.#target.position, measured.position);
    const length = norm(gap);
    if (length <= LEASH) return this.#target;
    return { position: add(measured.position, scale(gap, LEASH / length)), rotation: this.#target.rotation };
  }

  /** Lowest tool height for an orientation: the fingertips, tilted or not, stay above the table. */
  #lowestHeight(rotation: Mat3): number {
    const down = rotation[8];
    const side = Math.sqrt(Math.max(0, 1 - down * down)) * (this.robot.gripper.fingerWidth / 2);
    return MIN_TIP_HEIGHT + TOOL_ABOVE_TIP * Math.max(0, down) + side;
  }

  #drive(from: Float64Array, to: Float64Array, finger: number): void {
    const { substeps } = this.robot;
    this.#touching = undefined;
    const ramp = Math.max(1, Math.round(substeps * RAMP));
    this.physics.data('ctrl')[this.#gripperCtrl] = finger;
    for (let k = 1; k <= substeps; k++) {
      if (k <= ramp) {
        const ctrl = this.physics.data('ctrl');
        const t = k / ramp;
        for (let i = 0; i < 6; i++) {
          ctrl[this.#armCtrl[i] as number] = (from[i] as number) + ((to[i] as number) - (from[i] as number)) * t;
        }
      }
      this.physics.step();
    }
    this.physics.assertStable('during a control step');
  }

  /** Distance between commanded and measured tool position, metres. */
  trackingError(): number {
    return distance(this.#target.position, this.tool().position);
  }

  dispose(): void {
    this.physics.dispose();
  }
}

const worldMjcf = (robot: RobotSpec, objects: readonly ObjectSpec[], fixtures: readonly Fixture[]): string =>
  sceneMjcf(robot, objects, fixtures.map((fixture) => fixture.mjcf).join('\n'));

/** Rotation error (rad) between two orientations. */
export const rotationDistance = (a: Mat3, b: Mat3): number => norm(rotationVector(multiply(a, transpose(b))));
