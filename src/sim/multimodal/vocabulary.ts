/**
 * The words of the multimodal data: question families, colours, things, characters, and which combinations are kept for the test.
 * Knows nothing of pictures.
 */
import type { Split } from '../random.js';

/** The eight families, the embedded counterparts of the paper's eight multimodal benchmarks. */
export const FAMILIES = [
  'attribute',
  'counting',
  'spatial-relation',
  'text-on-cards',
  'table',
  'chart',
  'multi-step',
  'open',
] as const;
export type Family = (typeof FAMILIES)[number];

/** Display values, far enough apart under every lighting. */
export const COLORS = {
  red: '#d2191c',
  green: '#22a038',
  blue: '#2458d6',
  yellow: '#f3d318',
  purple: '#6f2da8',
  pink: '#f590c6',
} as const;
export type Color = keyof typeof COLORS;
export const COLOR_NAMES = Object.keys(COLORS) as readonly Color[];

/** Things that come in every colour. */
export const SHAPES = ['block', 'ball', 'can', 'plate', 'towel'] as const;
export type Shape = (typeof SHAPES)[number];

/** Things of the embedded benchmark in their own look. */
export const BENCHMARK_THINGS = ['carrot', 'eggplant', 'spoon', 'sponge', 'basket'] as const;
export type BenchmarkThing = (typeof BENCHMARK_THINGS)[number];
export type Noun = Shape | BenchmarkThing;

/** One colour a shape that no training picture shows. */
const TEST_COLOR: Readonly<Record<Shape, Color>> = {
  block: 'purple',
  ball: 'yellow',
  can: 'pink',
  plate: 'green',
  towel: 'red',
};

export const isHeldOutPair = (color: Color, shape: Shape): boolean => TEST_COLOR[shape] === color;

/** Letters that stay apart in a 5 x 7 font at low resolution. */
export const LETTERS = ['A', 'C', 'E', 'H', 'K', 'L', 'T', 'X'] as const;
export type Letter = (typeof LETTERS)[number];
export const DIGITS = ['1', '2', '3', '4', '5', '6'] as const;
export type Digit = (typeof DIGITS)[number];

/** Every fifth combination of two lists is kept for the test, spread so that each element is seen in training. */
export const isHeldOutCode = (first: number, second: number): boolean => (first + 2 * second) % 5 === 0;

/** Whether a split may show held-out combinations: only the test does. */
export const showsHeldOut = (split: Split): boolean => split === 'test';

/** Combinations that only the test shows, in words, for the data set's description. */
export function heldOutCombinations(): Record<string, string[]> {
  return {
    'colour and thing': SHAPES.map((shape) => `${TEST_COLOR[shape]} ${shape}`),
    'letter and digit on one card': LETTERS.flatMap((letter, i) =>
      DIGITS.flatMap((digit, j) => (isHeldOutCode(i, j) ? [`${letter}${digit}`] : [])),
    ),
  };
}
