/**
 * A thin, typed layer over the official MuJoCo WebAssembly build: compile, step, contacts, rays. Knows nothing of robots or tasks.
 *
 * The bindings' heap views die when WebAssembly memory grows (their length becomes 0) and are then fetched again here; contacts,
 * vectors and buffers are C++ objects that must be deleted, so they never leave this file.
 */
import loadMujoco, {
  type DoubleBuffer,
  type IntBuffer,
  type MainModule,
  type MjData,
  type MjModel,
} from '@mujoco/mujoco';
import { SimError, SimStateError, SimUnstableError } from './errors.js';
import type { Mat3, Pose, Vec3 } from './pose.js';

let modulePromise: Promise<MainModule> | undefined;

/** The MuJoCo module of this thread, loaded once (about 0.2 s). */
function mujocoModule(): Promise<MainModule> {
  modulePromise ??= loadMujoco() as Promise<MainModule>;
  return modulePromise;
}

type DataField =
  | 'qpos'
  | 'qvel'
  | 'ctrl'
  | 'xpos'
  | 'xquat'
  | 'geom_xpos'
  | 'geom_xmat'
  | 'site_xpos'
  | 'site_xmat'
  | 'qacc_warmstart';
type ModelField =
  | 'body_pos'
  | 'body_quat'
  | 'body_gravcomp'
  | 'geom_size'
  | 'geom_pos'
  | 'body_geomadr'
  | 'body_geomnum'
  | 'body_rootid'
  | 'geom_bodyid'
  | 'geom_contype'
  | 'geom_conaffinity'
  | 'geom_group'
  | 'geom_type'
  | 'geom_aabb'
  | 'jnt_qposadr'
  | 'jnt_dofadr'
  | 'body_jntadr';

/** What {@link Physics.castRays} fills: per ray the geom (-1 = none), the distance (-1 = none) and the surface normal. Views, valid until the next call. */
export interface RayHits {
  readonly geom: Int32Array;
  readonly distance: Float64Array;
  readonly normal: Float64Array;
}

export interface Contact {
  readonly body1: number;
  readonly body2: number;
}

/** Geom groups that rays see: 0-2 are drawn, 3 is collision only. */
const VISIBLE_GROUPS = [1, 1, 1, 0, 0, 0];
const RAY_CUTOFF = 20;

export class Physics {
  /** Seconds a physics step. */
  readonly timestep: number;
  readonly #mujoco: MainModule;
  readonly #model: MjModel;
  readonly #data: MjData;
  readonly #views = new Map<string, Float64Array | Int32Array>();
  /** Result buffers by number of rays: the bindings insist on exact sizes. */
  readonly #rayBuffers = new Map<number, { geom: IntBuffer; distance: DoubleBuffer; normal: DoubleBuffer }>();
  #expectedTime = 0;
  #disposed = false;

  private constructor(mujoco: MainModule, model: MjModel, data: MjData) {
    this.#mujoco = mujoco;
    this.#model = model;
    this.#data = data;
    // Kept: each look at the model's options makes a new handle, as expensive as a tenth of a physics step.
    this.timestep = model.opt.timestep;
  }

  /** Compiles MJCF text. Throws a {@link SimError} with MuJoCo's own message if the text is invalid. */
  static async compile(xml: string): Promise<Physics> {
    return Physics.#compiled(await mujocoModule(), xml);
  }

  /** Another scene, compiled at once because MuJoCo is loaded. Throws as {@link compile} does. */
  compileAnother(xml: string): Physics {
    return Physics.#compiled(this.#mujoco, xml);
  }

  static #compiled(mujoco: MainModule, xml: string): Physics {
    let model: MjModel | null = null;
    try {
      model = mujoco.MjModel.from_xml_string(xml);
    } catch (cause) {
      throw new SimError(
        `MuJoCo could not compile the scene: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
    if (!model) throw new SimError('MuJoCo could not compile the scene (no model returned)');
    return new Physics(mujoco, model, new mujoco.MjData(model));
  }

  get numGeoms(): number {
    return this.#model.ngeom;
  }

  get numBodies(): number {
    return this.#model.nbody;
  }

  /** A live view of a field of mjData (float64). Do not keep it across calls. */
  data(field: DataField): Float64Array {
    return this.#view(`d.${field}`, () => this.#data[field] as Float64Array) as Float64Array;
  }

  /** A live view of a float64 field of mjModel. */
  model(field: ModelField): Float64Array | Int32Array {
    return this.#view(`m.${field}`, () => this.#model[field] as Float64Array | Int32Array);
  }

  #view(key: string, fetch: () => Float64Array | Int32Array): Float64Array | Int32Array {
    if (this.#disposed) throw new SimStateError('the simulation was disposed; create a new environment');
    let view = this.#views.get(key);
    if (!view || view.length === 0) {
      view = fetch();
      this.#views.set(key, view);
    }
    return view;
  }

  #id(kind: 'mjOBJ_BODY' | 'mjOBJ_GEOM' | 'mjOBJ_JOINT' | 'mjOBJ_SITE' | 'mjOBJ_ACTUATOR', name: string): number {
    const id = this.#mujoco.mj_name2id(this.#model, this.#mujoco.mjtObj[kind].value, name);
    if (id < 0) throw new SimError(`the scene has no ${kind.slice(6).toLowerCase()} named '${name}'`);
    return id;
  }

  bodyId(name: string): number {
    return this.#id('mjOBJ_BODY', name);
  }

  siteId(name: string): number {
    return this.#id('mjOBJ_SITE', name);
  }

  actuatorId(name: string): number {
    return this.#id('mjOBJ_ACTUATOR', name);
  }

  /** Address of a joint's first coordinate in qpos. */
  qposAddress(joint: string): number {
    return this.model('jnt_qposadr')[this.#id('mjOBJ_JOINT', joint)] ?? 0;
  }

  /** Address of a joint's first velocity in qvel. */
  dofAddress(joint: string): number {
    return this.model('jnt_dofadr')[this.#id('mjOBJ_JOINT', joint)] ?? 0;
  }

  /** Name of each geom, in MuJoCo's order. */
  geomNames(): string[] {
    const kind = this.#mujoco.mjtObj.mjOBJ_GEOM.value;
    return Array.from({ length: this.numGeoms }, (_, id) => this.#mujoco.mj_id2name(this.#model, kind, id) ?? '');
  }

  bodyPose(body: number): Pose {
    const p = this.data('xpos');
    const q = this.data('xquat');
    const [i, j] = [3 * body, 4 * body];
    return {
      position: [p[i] as number, p[i + 1] as number, p[i + 2] as number],
      quaternion: [q[j] as number, q[j + 1] as number, q[j + 2] as number, q[j + 3] as number],
    };
  }

  sitePose(site: number): { position: Vec3; rotation: Mat3 } {
    const p = this.data('site_xpos').slice(3 * site, 3 * site + 3);
    const m = this.data('site_xmat').slice(9 * site, 9 * site + 9);
    return { position: [p[0] as number, p[1] as number, p[2] as number], rotation: [...m] as unknown as Mat3 };
  }

  /** All state back to the model's defaults, time 0. */
  reset(): void {
    this.#mujoco.mj_resetData(this.#model, this.#data);
    this.#expectedTime = 0;
  }

  /** Positions and contacts for the present qpos, without moving time. */
  forward(): void {
    this.#mujoco.mj_forward(this.#model, this.#data);
  }

  /** One physics step. */
  step(): void {
    this.#mujoco.mj_step(this.#model, this.#data);
    this.#expectedTime += this.timestep;
  }

  /** Throws {@link SimUnstableError} if MuJoCo reset itself since {@link reset} (it does so on non-finite accelerations) or a coordinate is not finite. */
  assertStable(where: string): void {
    const restarted = Math.abs(this.#data.time - this.#expectedTime) > this.timestep / 2;
    const qpos = this.data('qpos');
    let finite = true;
    for (let i = 0; i < qpos.length; i++) finite &&= Math.abs(qpos[i] as number) < 1e3;
    if (restarted || !finite) {
      throw new SimUnstableError(`the physics diverged ${where}; call reset(seed) before the next step`);
    }
  }

  /** Body pairs in contact at the last step. */
  contacts(): Contact[] {
    const bodyOf = this.model('geom_bodyid');
    const list = this.#data.contact;
    const pairs: Contact[] = [];
    try {
      const count = list.size();
      for (let i = 0; i < count; i++) {
        const contact = list.get(i);
        if (!contact) continue;
        if (contact.dist < 0.0005) {
          pairs.push({ body1: bodyOf[contact.geom1] as number, body2: bodyOf[contact.geom2] as number });
        }
        contact.delete();
      }
    } finally {
      list.delete();
    }
    return pairs;
  }

  /**
   * Casts `count` rays from one origin (MuJoCo's `mj_multiRay`). Result buffers are kept for each distinct count: use few.
   * @param directions unit vectors, at least 3 * count numbers
   */
  castRays(origin: Vec3, directions: Float64Array, count: number): RayHits {
    const buffers = this.#buffersFor(count);
    this.#multiRay(origin, directions, count, buffers.geom, buffers.distance, buffers.normal);
    return { geom: buffers.geom.GetView(), distance: buffers.distance.GetView(), normal: buffers.normal.GetView() };
  }

  /** Distances alone; see {@link castRays}. */
  castDistances(origin: Vec3, directions: Float64Array, count: number): Float64Array {
    const buffers = this.#buffersFor(count);
    this.#multiRay(origin, directions, count, buffers.geom, buffers.distance, null);
    return buffers.distance.GetView();
  }

  #buffersFor(count: number): { geom: IntBuffer; distance: DoubleBuffer; normal: DoubleBuffer } {
    let buffers = this.#rayBuffers.get(count);
    if (!buffers) {
      buffers = {
        geom: new this.#mujoco.IntBuffer(count),
        distance: new this.#mujoco.DoubleBuffer(count),
        normal: new this.#mujoco.DoubleBuffer(3 * count),
      };
      this.#rayBuffers.set(count, buffers);
    }
    return buffers;
  }

  #multiRay(
    origin: Vec3,
    directions: Float64Array,
    count: number,
    geom: IntBuffer,
    distance: DoubleBuffer,
    normal: DoubleBuffer | null,
  ): void {
    const vectors = directions.length === 3 * count ? directions : directions.subarray(0, 3 * count);
    this.#mujoco.mj_multiRay(
      this.#model,
      this.#data,
      origin as unknown as number[],
      vectors as unknown as number[],
      VISIBLE_GROUPS,
      true,
      -1,
      geom,
      distance,
      normal,
      count,
      RAY_CUTOFF,
    );
  }

  /** Frees every C++ object. Safe to call twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const { geom, distance, normal } of this.#rayBuffers.values()) {
      geom.delete();
      distance.delete();
      normal.delete();
    }
    this.#rayBuffers.clear();
    this.#views.clear();
    this.#data.delete();
    this.#model.delete();
  }
}
