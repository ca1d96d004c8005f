/** Words about the things of a tabletop picture, shared by the question families. */

import type { Random } from '../random.js';
import { drawColor, drawShape, isShape, layOut, type Tabletop, type Thing, type Wanted } from './tabletop.js';
import { type Color, isHeldOutPair, type Noun, SHAPES, type Shape } from './vocabulary.js';

/** A thing that comes in colours. */
export type ColoredThing = Thing & { readonly noun: Shape; readonly color: Color };

const isColored = (thing: Thing): thing is ColoredThing => isShape(thing.noun) && thing.color !== undefined;

/** The recolourable things of a picture that shows no others. */
export function coloredThings({ things, cards }: Tabletop): readonly ColoredThing[] {
  return cards.length === 0 && things.every(isColored) ? (things as readonly ColoredThing[]) : [];
}

/** The elements whose key no other element has. */
export function unique<T>(list: readonly T[], key: (element: T) => unknown): T[] {
  return list.filter((element) => list.filter((other) => key(other) === key(element)).length === 1);
}

export const isHeldOutThing = ({ noun, color }: ColoredThing): boolean => isHeldOutPair(color, noun);

/** Whether one of the things shows a held-out combination. */
export const anyHeldOut = (...things: readonly ColoredThing[]): boolean => things.some(isHeldOutThing);

export const withArticle = (words: string): string => `${/^[aeiou]/.test(words) ? 'an' : 'a'} ${words}`;

/** "a carrot, a red ball and a plate" */
export function listed(parts: readonly string[]): string {
  return parts.length <= 1 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

export const plural = (noun: Noun): string => `${noun}s`;

/** A picture of things of different nouns and any colours. */
export function drawDifferent(
  random: Random,
  seed: number,
  shown: boolean,
  count: number,
  gap?: number,
): Tabletop | undefined {
  const wanted = random
    .shuffle(SHAPES)
    .slice(0, count)
    .map((noun) => ({ noun, color: drawColor(random, noun, shown) }));
  return layOut(random, seed, wanted, gap);
}

/** A picture of any things. */
export function drawAny(
  random: Random,
  seed: number,
  shown: boolean,
  count: number,
  gap?: number,
): Tabletop | undefined {
  return layOut(
    random,
    seed,
    Array.from({ length: count }, (): Wanted => drawShape(random, shown)),
    gap,
  );
}

/** Shapes that a colour comes in. */
export const shapesOf = (color: Color, shown: boolean): readonly Shape[] =>
  SHAPES.filter((shape) => shown || !isHeldOutPair(color, shape));
