/** Questions that ask for a number of things: all, of a colour, of a kind. */
import type { Random } from '../random.js';
import { onTabletop, type QuestionType } from './question.js';
import { drawColor, drawShape, layOut, type Tabletop, type Wanted } from './tabletop.js';
import { anyHeldOut, coloredThings, drawAny, plural } from './things.js';
import { COLOR_NAMES, isHeldOutPair, SHAPES } from './vocabulary.js';

const MOST = 5;
const GAP = 0.19;
const numbers = (low: number, high: number): string[] =>
  Array.from({ length: high - low + 1 }, (_, i) => String(low + i));

const ALL = onTabletop({
  family: 'counting',
  name: 'things',
  weight: 1,
  choosable: true,
  values: () => numbers(1, MOST),
  draw: (random, seed, shown) => drawAny(random, seed, shown, 1 + random.int(MOST), GAP),
  ask(view, random) {
    const things = coloredThings(view);
    if (things.length === 0) return undefined;
    const question = random.pick([
      'How many things are on the table?',
      'How many objects do you see?',
      'Count the things on the table.',
    ]);
    return { question, answer: String(things.length), heldOut: anyHeldOut(...things) };
  },
});

/** A picture with 0 to 3 things of one sort, told by `of`, among others. */
function drawSome(random: Random, seed: number, of: () => Wanted, other: () => Wanted): Tabletop | undefined {
  const count = random.int(4);
  const others = count === 0 ? 1 + random.int(3) : random.int(3);
  return layOut(random, seed, [...Array.from({ length: count }, of), ...Array.from({ length: others }, other)], GAP);
}

const OF_COLOR = onTabletop({
  family: 'counting',
  name: 'things of a color',
  weight: 1,
  choosable: true,
  values: () => numbers(0, 3),
  draw: (random, seed, shown) => {
    const color = random.pick(COLOR_NAMES);
    const shapes = SHAPES.filter((shape) => shown || !isHeldOutPair(color, shape));
    return drawSome(
      random,
      seed,
      () => ({ noun: random.pick(shapes), color }),
      () => drawShape(random, shown),
    );
  },
  ask(view, random) {
    const things = coloredThings(view);
    const color = random.pick(COLOR_NAMES);
    const found = things.filter((thing) => thing.color === color);
    if (things.length === 0 || found.length > 3) return undefined;
    const question = random.pick([
      `How many ${color} things are there?`,
      `How many things are ${color}?`,
      `Count the ${color} things.`,
    ]);
    return { question, answer: String(found.length), heldOut: anyHeldOut(...found) };
  },
});

const OF_SHAPE = onTabletop({
  family: 'counting',
  name: 'things of a kind',
  weight: 1,
  choosable: true,
  values: () => numbers(0, 3),
  draw: (random, seed, shown) => {
    const noun = random.pick(SHAPES);
    return drawSome(
      random,
      seed,
      () => ({ noun, color: drawColor(random, noun, shown) }),
      () => drawShape(random, shown),
    );
  },
  ask(view, random) {
    const things = coloredThings(view);
    const noun = random.pick(SHAPES);
    const found = things.filter((thing) => thing.noun === noun);
    if (things.length === 0 || found.length > 3) return undefined;
    const question = random.pick([
      `How many ${plural(noun)} are there?`,
      `How many ${plural(noun)} do you see?`,
      `Count the ${plural(noun)}.`,
    ]);
    return { question, answer: String(found.length), heldOut: anyHeldOut(...found) };
  },
});

export const COUNTING_TYPES: readonly QuestionType[] = [ALL, OF_COLOR, OF_SHAPE];
