/** Questions about where things are, as the camera sees it. */
import { onTabletop, type QuestionType } from './question.js';
import { anyHeldOut, type ColoredThing, coloredThings, drawDifferent, isHeldOutThing } from './things.js';
import { SHAPES } from './vocabulary.js';

const GAP = 0.24;
/** Distances in the image from which a relation is plain. */
const BESIDE = 0.24;
const BEHIND = 0.16;

const thirdOf = (u: number): string | undefined =>
  u < 0.35 ? 'left' : u > 0.65 ? 'right' : Math.abs(u - 0.5) < 0.08 ? 'middle' : undefined;

const PLACE = onTabletop({
  family: 'spatial-relation',
  name: 'part of the picture',
  weight: 1,
  values: () => ['left', 'middle', 'right'],
  draw: (random, seed, shown) => drawDifferent(random, seed, shown, 1 + random.int(3), GAP),
  ask(view, random) {
    const things = coloredThings(view);
    const thing = things.length > 0 && sayable(things) ? random.pick(things) : undefined;
    const answer = thing && thirdOf(thing.u);
    if (!thing || !answer) return undefined;
    const question = random.pick([
      `Is the ${thing.noun} left, right or in the middle?`,
      `Where is the ${thing.noun}: left, middle or right?`,
      `In which part of the picture is the ${thing.noun}: left, middle or right?`,
    ]);
    return { question, answer, heldOut: isHeldOutThing(thing) };
  },
});

/** Whether the nouns alone tell the things apart. */
const sayable = (things: readonly ColoredThing[]): boolean =>
  new Set(things.map(({ noun }) => noun)).size === things.length;

const BESIDE_WHAT = onTabletop({
  family: 'spatial-relation',
  name: 'left or right of',
  weight: 1,
  values: () => ['left', 'right'],
  draw: (random, seed, shown) => drawDifferent(random, seed, shown, 2 + random.int(2), GAP),
  ask(view, random) {
    const [first, second] = random.shuffle(coloredThings(view));
    if (!first || !second || !sayable([first, second])) return undefined;
    if (!sayable(coloredThings(view)) || Math.abs(first.u - second.u) < BESIDE) return undefined;
    const question = random.pick([
      `Is the ${first.noun} left or right of the ${second.noun}?`,
      `On which side of the ${second.noun} is the ${first.noun}: left or right?`,
    ]);
    return { question, answer: first.u < second.u ? 'left' : 'right', heldOut: anyHeldOut(first, second) };
  },
});

const NEARER = onTabletop({
  family: 'spatial-relation',
  name: 'closer to the camera',
  weight: 1,
  values: () => ['first', 'second'],
  draw: (random, seed, shown) => drawDifferent(random, seed, shown, 2, GAP),
  ask(view, random) {
    const things = coloredThings(view);
    const [first, second] = random.shuffle(things);
    if (things.length !== 2 || !first || !second || !sayable(things) || Math.abs(first.v - second.v) < BEHIND)
      return undefined;
    const nearer = random.chance(0.5);
    const question = random.pick([
      `Which is ${nearer ? 'closer to' : 'farther from'} the camera, the ${first.noun} or the ${second.noun}?`,
      `What is ${nearer ? 'closer' : 'farther away'}: the ${first.noun} or the ${second.noun}?`,
    ]);
    const isFirst = first.v > second.v === nearer;
    return {
      question,
      answer: isFirst ? first.noun : second.noun,
      value: isFirst ? 'first' : 'second',
      heldOut: anyHeldOut(first, second),
    };
  },
});

const OUTERMOST = onTabletop({
  family: 'spatial-relation',
  name: 'farthest left or right',
  weight: 1,
  choosable: true,
  values: () => SHAPES,
  draw: (random, seed, shown) => drawDifferent(random, seed, shown, 2 + random.int(2), GAP),
  ask(view, random) {
    const side = random.pick(['left', 'right'] as const);
    const things = [...coloredThings(view)].sort((a, b) => (side === 'left' ? a.u - b.u : b.u - a.u));
    const [first, next] = things;
    if (!first || !next || !sayable(things) || Math.abs(first.u - next.u) < BESIDE / 2) return undefined;
    const question = random.pick([
      `Which thing is farthest to the ${side}?`,
      `What is the ${side}most thing?`,
      `Name the thing farthest ${side}.`,
    ]);
    return { question, answer: first.noun, heldOut: isHeldOutThing(first) };
  },
});

export const SPATIAL_RELATION_TYPES: readonly QuestionType[] = [PLACE, BESIDE_WHAT, NEARER, OUTERMOST];
