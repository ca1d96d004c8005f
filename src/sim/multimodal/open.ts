/**
 * Open questions: captions, lists, what the robot could do. An answer is right when it states every fact and is no longer than twice the
 * reference answer (`src/eval/multimodal/`), so that listing everything there is does not help.
 */
import { onTabletop, type QuestionType } from './question.js';
import { drawColor, drawNouns, isShape, layOut, type Thing } from './tabletop.js';
import { anyHeldOut, coloredThings, drawAny, isHeldOutThing, listed, withArticle } from './things.js';
import { BENCHMARK_THINGS, COLOR_NAMES, type Noun, SHAPES } from './vocabulary.js';

const GAP = 0.2;
/** Where one thing can be put on another. */
const PLACES: readonly Noun[] = ['plate', 'towel'];
const NOUNS: readonly Noun[] = [...SHAPES, ...BENCHMARK_THINGS];
const NUM_PAIRS = SHAPES.length * COLOR_NAMES.length;

const fromLeft = <T extends Thing>(things: readonly T[]): T[] => [...things].sort((a, b) => a.u - b.u);

const CAPTION = onTabletop({
  family: 'open',
  name: 'caption',
  weight: 1,
  values: () => ['1', '2'],
  draw: (random, seed, shown) => drawAny(random, seed, shown, 1 + random.int(2), GAP),
  ask(view, random) {
    const things = fromLeft(coloredThings(view));
    const facts = things.map(({ color, noun }) => `${color} ${noun}`);
    if (facts.length === 0 || facts.length > 2 || new Set(facts).size < facts.length) return undefined;
    const question = random.pick([
      'Describe the picture.',
      'What does the picture show?',
      'Write a caption for the picture.',
    ]);
    return {
      question,
      answer: listed(facts.map(withArticle)),
      value: String(facts.length),
      facts,
      chance: NUM_PAIRS ** -facts.length,
      heldOut: anyHeldOut(...things),
    };
  },
});

const LIST = onTabletop({
  family: 'open',
  name: 'list of things',
  weight: 1,
  values: () => NOUNS,
  draw(random, seed, shown) {
    const wanted = drawNouns(random, 1 + random.int(2), true).map((noun) =>
      isShape(noun) ? { noun, color: drawColor(random, noun, shown) } : { noun },
    );
    return layOut(random, seed, wanted, GAP);
  },
  ask({ things, cards }, random) {
    const nouns = fromLeft(things).map(({ noun }) => noun);
    if (cards.length > 0 || nouns.length === 0 || nouns.length > 2 || new Set(nouns).size < nouns.length)
      return undefined;
    const question = random.pick(['What is on the table?', 'Name the things on the table.', 'What lies on the table?']);
    return {
      question,
      answer: listed(nouns.map(withArticle)),
      value: random.pick(nouns),
      facts: nouns,
      chance: NOUNS.length ** -nouns.length,
      heldOut: false,
    };
  },
});

const TASK = onTabletop({
  family: 'open',
  name: 'what the robot could do',
  weight: 1,
  values: () => COLOR_NAMES,
  draw(random, seed, shown) {
    const [noun, place] = [random.pick(['block', 'ball', 'can'] as const), random.pick(['plate', 'towel'] as const)];
    return layOut(
      random,
      seed,
      [
        { noun, color: drawColor(random, noun, shown) },
        { noun: place, color: drawColor(random, place, shown) },
      ],
      GAP,
    );
  },
  ask(view, random) {
    const things = coloredThings(view);
    const [thing, another] = things.filter(({ noun }) => !PLACES.includes(noun));
    const [place, second] = things.filter(({ noun }) => PLACES.includes(noun));
    if (things.length !== 2 || !thing || another || !place || second) return undefined;
    const facts = [`${thing.color} ${thing.noun}`, `${place.color} ${place.noun}`];
    const question = random.pick([
      'What could the robot do?',
      'Which task could the robot do here?',
      'Give the robot a task.',
    ]);
    return {
      question,
      answer: `put the ${facts[0]} on the ${facts[1]}`,
      value: thing.color,
      facts,
      chance: 1 / (3 * COLOR_NAMES.length * PLACES.length * COLOR_NAMES.length),
      heldOut: isHeldOutThing(thing) || isHeldOutThing(place),
    };
  },
});

export const OPEN_TYPES: readonly QuestionType[] = [CAPTION, LIST, TASK];
