/**
 * What a seed and a variant change about the look of a scene: SimplerEnv's two protocols. Visual matching (`vm`) has one fixed look;
 * variant aggregation draws lighting, table, background, distractors and camera pose, one factor at a time or all together.
 * Knows nothing of tasks: objects and start poses are drawn elsewhere, from other streams of the same seed.
 */
import { requireOneOf } from './errors.js';
import { checker, LOOKS, type Look, solid, speckle, stripes, wood } from './looks.js';
import { add, type Vec3 } from './pose.js';
import { Random } from './random.js';
import type { Appearance, Lighting } from './renderer.js';
import type { CameraSpec } from './robots.js';

export const VARIANTS = [
  'vm',
  'va',
  'va:lighting',
  'va:table',
  'va:background',
  'va:distractors',
  'va:camera',
] as const;
export type Variant = (typeof VARIANTS)[number];
export type Factor = 'lighting' | 'table' | 'background' | 'distractors' | 'camera';

/** Whether a variant changes a factor. */
export function varies(variant: Variant, factor: Factor): boolean {
  return variant === 'va' || variant === `va:${factor}`;
}

export const parseVariant = (name: string): Variant => requireOneOf('variant', name, VARIANTS);

const NOMINAL_LIGHT: Omit<Lighting, 'position'> = {
  diffuse: [0.86, 0.84, 0.8],
  ambient: [0.4, 0.42, 0.45],
};

const TABLES: readonly ((random: Random) => Look)[] = [
  (r) =>
    wood(
      r.pick(['#8a5a34', '#6f4a30', '#d9bd92']),
      r.pick(['#5c3a20', '#4a2f1d', '#b08f62']),
      r.range(0.07, 0.2),
      r.int(1000),
    ),
  (r) => {
    const [a, b] = r.pick([
      ['#d8d8d4', '#9aa0a6'],
      ['#5b6770', '#3f484f'],
      ['#cfc4ae', '#a39275'],
    ] as const);
    return speckle(a, b, r.range(0.015, 0.05), r.int(1000));
  },
  (r) => {
    const [a, b] = r.pick([
      ['#e4e1d8', '#8fa6b8'],
      ['#d9cdb8', '#a88f72'],
      ['#6d7a86', '#56616c'],
    ] as const);
    return checker(a, b, r.range(0.05, 0.12));
  },
  (r) => {
    const [a, b] = r.pick([
      ['#d7d3c4', '#a5b7a0'],
      ['#c8b8c4', '#8d7f94'],
      ['#b9c6cf', '#7e93a2'],
    ] as const);
    return stripes(a, b, r.range(0.04, 0.1), r.range(0.2, 0.5));
  },
  (r) => solid(r.pick(['#e9e7e1', '#54616b', '#9fb6a4', '#b08a7a', '#3d4650', '#c9b27c'])),
];

const WALLS: readonly ((random: Random) => Look)[] = [
  (r) => solid(r.pick(['#7fa3b8', '#b8917f', '#5e6b5a', '#e8dcb8', '#484f5c', '#a98fb5']), 0),
  (r) => checker(r.pick(['#b06a52', '#8f9aa3']), r.pick(['#d9cfc4', '#6a737b']), r.range(0.15, 0.4)),
  (r) => stripes(r.pick(['#d5dbe0', '#a3b59a']), r.pick(['#7c8fa3', '#586b54']), r.range(0.15, 0.5), 0.4),
  (r) => speckle(r.pick(['#a8a39a', '#4f5a66']), r.pick(['#7d776d', '#77838f']), r.range(0.1, 0.3), r.int(1000)),
];

/** Lights, table, wall and floor of one seed; `lamp` is the nominal place of the light. */
export function drawAppearance(variant: Variant, seed: number, lamp: Vec3): Appearance {
  const looks: Record<string, Look> = {};
  let lighting: Lighting = { ...NOMINAL_LIGHT, position: lamp };
  if (varies(variant, 'lighting')) {
    const r = new Random(seed, 'lighting');
    const angle = r.range(0, 2 * Math.PI);
    const strength = r.range(0.5, 1.15);
    const tint: Vec3 = [r.range(0.85, 1.1), r.range(0.9, 1.05), r.range(0.8, 1.1)];
    const sky = r.range(0.22, 0.6);
    lighting = {
      position: [
        0.3 + 1.1 * Math.cos(angle) * r.range(0.3, 1),
        1.1 * Math.sin(angle) * r.range(0.3, 1),
        r.range(1.0, 1.8),
      ],
      diffuse: [0.86 * strength * tint[0], 0.84 * strength * tint[1], 0.8 * strength * tint[2]],
      ambient: [sky * tint[0], sky * tint[1], sky * tint[2]],
    };
  }
  if (varies(variant, 'table')) {
    const r = new Random(seed, 'table');
    looks.table = r.pick(TABLES)(r);
  }
  if (varies(variant, 'background')) {
    const r = new Random(seed, 'background');
    looks.wall = r.pick(WALLS)(r);
    looks.floor = r.pick([
      checker('#5a5148', '#6e6459', 0.3),
      solid('#3f4a52', 0),
      speckle('#8d7f6b', '#6d604f', 0.1),
      LOOKS.floor as Look,
    ]);
  }
  return { lighting, looks };
}

/** The third-person camera of one seed: nominal, or moved by up to 5 cm, re-aimed by up to 2 cm, and zoomed by up to 3 degrees. */
export function drawCamera(variant: Variant, seed: number, nominal: CameraSpec): CameraSpec {
  if (!varies(variant, 'camera')) return nominal;
  const r = new Random(seed, 'camera');
  const jitter = (size: number): Vec3 => [r.range(-size, size), r.range(-size, size), r.range(-size, size)];
  return {
    ...nominal,
    position: add(nominal.position, jitter(0.05)),
    lookAt: add(nominal.lookAt, jitter(0.02)),
    fovy: nominal.fovy + r.range(-3, 3),
  };
}
