/**
 * The kinematic part of a robot description (URDF): from joint positions to the pose of a link, for the motion layer on joint-space data.
 *
 *   T(link) = product over the chain of  origin(xyz, rpy) * motion(q)    rotation about, or translation along, the joint's axis
 *
 * Source: the URDF joint specification (wiki.ros.org/urdf/XML/joint): `revolute`, `continuous`, `prismatic` and `fixed` joints;
 * `origin rpy` is R = Rz(yaw) Ry(pitch) Rx(roll); the axis is in the joint's frame, (1, 0, 0) if absent. Meshes, inertias and limits are
 * not looked at. A mimic joint, `planar` and `floating` ones on the chain are errors, not guesses.
 *
 * Knows nothing about data sets.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DOMParser, type Element } from '@xmldom/xmldom';
import { multiplyRotations, type RotationMatrix, rotationAbout, rotationFromRpy } from '../data/rotation.js';
import { PruneError } from './errors.js';

const KINDS = ['revolute', 'continuous', 'prismatic', 'fixed'] as const;
type Vector = readonly [number, number, number];

interface UrdfJoint {
  readonly name: string;
  readonly kind: string;
  readonly parent: string;
  readonly child: string;
  /** Metres. */
  readonly xyz: Vector;
  readonly rotation: RotationMatrix;
  /** Unit length. */
  readonly axis: Vector;
  readonly mimics: string | null;
}

/** A pose: metres, and a rotation matrix. */
export interface LinkPose {
  readonly position: Vector;
  readonly rotation: RotationMatrix;
}

/** The joints between the root and one link. */
export interface KinematicChain {
  readonly link: string;
  /** Names of the joints that move, from the root on; `pose` takes their positions in this order. */
  readonly joints: readonly string[];
  /** Pose of the link in the root's frame. @param positions radians, of prismatic joints metres */
  pose(positions: ArrayLike<number>): LinkPose;
}

export class Urdf {
  readonly #byChild: ReadonlyMap<string, UrdfJoint>;
  readonly links: readonly string[];

  private constructor(
    readonly file: string,
    readonly joints: readonly UrdfJoint[],
    /** Tells descriptions apart: the start of a hash of the text. */
    readonly digest: string,
  ) {
    this.#byChild = new Map(joints.map((joint) => [joint.child, joint]));
    this.links = [...new Set(joints.flatMap(({ parent, child }) => [parent, child]))];
  }

  /** Reads a URDF file. Throws PruneError naming the file, and the joint that is wrong. */
  static open(file: string): Urdf {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (cause) {
      throw new PruneError('The URDF file cannot be read', { file, cause });
    }
    return Urdf.parse(text, file);
  }

  /** @param file what errors name */
  static parse(text: string, file: string): Urdf {
    const fail = (what: string, field?: string, hint?: string): never => {
      throw new PruneError(what, { file, field, hint });
    };
    if (/<!DOCTYPE|<!ENTITY/i.test(text)) fail('A URDF with a document type or entities is not read');
    const root = parseXml(text, file);
    if (root.tagName !== 'robot')
      fail(
        `Not a URDF: the outermost element is <${root.tagName}>, not <robot>`,
        undefined,
        'A xacro file becomes one with: xacro robot.urdf.xacro > robot.urdf',
      );
    const joints: UrdfJoint[] = [];
    for (const element of children(root, 'joint')) {
      const name = element.getAttribute('name') ?? '';
      const field = `joint ${name || '(without name)'}`;
      const numbers = (owner: Element | undefined, attribute: string, fallback: Vector): Vector => {
        const words = owner?.getAttribute(attribute);
        if (words === undefined || words === null) return fallback;
        const values = words.trim().split(/\s+/).map(Number);
        if (values.length !== 3 || !values.every(Number.isFinite))
          fail(`${attribute}="${words}" is not three numbers`, field);
        return values as unknown as Vector;
      };
      const link = (which: string): string =>
        children(element, which)[0]?.getAttribute('link') ?? fail(`The joint has no <${which} link="...">`, field);
      const [origin] = children(element, 'origin');
      const axis = numbers(children(element, 'axis')[0], 'xyz', [1, 0, 0]);
      const length = Math.hypot(...axis);
      const kind = element.getAttribute('type') ?? '';
      if (name === '') fail('A joint has no name', field);
      if (length === 0 && kind !== 'fixed') fail('The axis has no direction', field);
      joints.push({
        name,
        kind,
        parent: link('parent'),
        child: link('child'),
        xyz: numbers(origin, 'xyz', [0, 0, 0]),
        rotation: rotationFromRpy(...numbers(origin, 'rpy', [0, 0, 0])),
        axis: axis.map((value) => value / (length || 1)) as unknown as Vector,
        mimics: children(element, 'mimic')[0]?.getAttribute('joint') ?? null,
      });
    }
    if (joints.length === 0) fail('The URDF has no joint');
    checkTree(joints, fail);
    return new Urdf(file, joints, createHash('sha256').update(text).digest('hex').slice(0, 16));
  }

  /** Links at which a chain ends. */
  get endLinks(): readonly string[] {
    const parents = new Set(this.joints.map(({ parent }) => parent));
    return this.links.filter((link) => !parents.has(link));
  }

  /**
   * The chain to `link`; without a name, to the only link at which a chain ends. Throws PruneError for a link that is not there or not the
   * only one, and for joints that this project cannot follow.
   */
  chain(link?: string): KinematicChain {
    const end = link ?? this.#onlyEnd();
    if (!this.links.includes(end))
      throw new PruneError(`There is no link "${end}"`, {
        file: this.file,
        hint: `Its links: ${this.links.join(', ')}`,
      });
    const path: UrdfJoint[] = [];
    for (let at = this.#byChild.get(end); at; at = this.#byChild.get(at.parent)) path.unshift(at);
    for (const { name, kind, mimics } of path) {
      const field = `joint ${name}`;
      if (!(KINDS as readonly string[]).includes(kind))
        throw new PruneError(`A joint of type "${kind}" is on the way to "${end}"; known are ${KINDS.join(', ')}`, {
          file: this.file,
          field,
        });
      if (mimics !== null)
        throw new PruneError(`The joint mimics "${mimics}", which is not supported on the way to an end link`, {
          file: this.file,
          field,
          hint: 'Choose a link before it with --end-link, e.g. the flange in place of a finger',
        });
    }
    return {
      link: end,
      joints: path.filter(({ kind }) => kind !== 'fixed').map(({ name }) => name),
      pose: (positions) => poseOf(path, positions),
    };
  }

  #onlyEnd(): string {
    const [end, ...others] = this.endLinks;
    if (end === undefined || others.length > 0)
      throw new PruneError(`The robot ends in ${this.endLinks.length} links`, {
        file: this.file,
        hint: `Name the tool's with --end-link: ${this.endLinks.join(', ')}`,
      });
    return end;
  }
}

function parseXml(text: string, file: string): Element {
  try {
    const parser = new DOMParser({
      onError: (level, message) => {
        if (level !== 'warning') throw new Error(String(message));
      },
    });
    const root = parser.parseFromString(text, 'text/xml').documentElement;
    if (root) return root;
  } catch (cause) {
    const [reason = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw new PruneError(`The URDF is not well-formed XML: ${reason}`, { file, cause });
  }
  throw new PruneError('The URDF is empty', { file });
}

function children(element: Element, name: string): Element[] {
  return Array.from(element.childNodes).filter(
    (node): node is Element => node.nodeType === 1 && (node as Element).tagName === name,
  );
}

function checkTree(joints: readonly UrdfJoint[], fail: (what: string, field?: string) => never): void {
  const parentOf = new Map<string, UrdfJoint>();
  const names = new Set<string>();
  for (const joint of joints) {
    if (names.has(joint.name)) fail('Two joints have this name', `joint ${joint.name}`);
    names.add(joint.name);
    if (parentOf.has(joint.child)) fail(`Link "${joint.child}" has two parents`, `joint ${joint.name}`);
    parentOf.set(joint.child, joint);
  }
  for (const { name, child } of joints) {
    let steps = 0;
    for (let at = parentOf.get(child); at; at = parentOf.get(at.parent))
      if (++steps > joints.length) fail('The joints form a loop', `joint ${name}`);
  }
}

function poseOf(path: readonly UrdfJoint[], positions: ArrayLike<number>): LinkPose {
  let position: Vector = [0, 0, 0];
  let rotation: RotationMatrix = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  let at = 0;
  for (const { kind, xyz, rotation: own, axis } of path) {
    position = add(position, turn(rotation, xyz));
    rotation = multiplyRotations(rotation, own);
    if (kind === 'fixed') continue;
    const q = positions[at++] as number;
    if (kind === 'prismatic')
      position = add(position, turn(rotation, axis.map((value) => value * q) as unknown as Vector));
    else rotation = multiplyRotations(rotation, rotationAbout(axis, q));
  }
  return { position, rotation };
}

const turn = (r: RotationMatrix, [x, y, z]: Vector): Vector => [
  r[0] * x + r[1] * y + r[2] * z,
  r[3] * x + r[4] * y + r[5] * z,
  r[6] * x + r[7] * y + r[8] * z,
];
const add = (a: Vector, b: Vector): Vector => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
