/** Questions that take two steps: find, then look beside; count, then compare; read, then add. */
import type { Random } from '../random.js';
import { drawChart, isHeldOutBar } from './chart.js';
import { onDrawing, onTabletop, type QuestionType } from './question.js';
import { drawColor, layOut, layOutCards, type Tabletop } from './tabletop.js';
import { anyHeldOut, coloredThings, drawDifferent, isHeldOutThing, plural } from './things.js';
import { COLOR_NAMES, type Color, SHAPES } from './vocabulary.js';

/** Neighbours in a row are at least so far apart along it. */
const APART = 0.18;

const BESIDE = onTabletop({
  family: 'multi-step',
  name: 'color of the neighbor',
  weight: 1,
  choosable: true,
  values: () => COLOR_NAMES,
  draw: (random, seed, shown) => drawDifferent(random, seed, shown, 3, 0.2),
  ask(view, random) {
    const row = [...coloredThings(view)].sort((a, b) => a.u - b.u);
    const [left, middle, right] = row;
    if (row.length !== 3 || !left || !middle || !right) return undefined;
    if (new Set(row.map(({ noun }) => noun)).size !== 3) return undefined;
    if (middle.u - left.u < APART || right.u - middle.u < APART) return undefined;
    const side = random.pick(['left', 'right'] as const);
    const thing = side === 'left' ? left : right;
    const question = random.pick([
      `What color is the thing ${side} of the ${middle.noun}?`,
      `Look ${side} of the ${middle.noun}. What color is the thing there?`,
    ]);
    return { question, answer: thing.color, heldOut: isHeldOutThing(thing) };
  },
});

function drawTwoKinds(random: Random, seed: number, shown: boolean): Tabletop | undefined {
  const [first, second] = random.shuffle(SHAPES);
  if (!first || !second) return undefined;
  const counts = random.pick([
    [1, 1],
    [2, 2],
    [1, 2],
    [1, 3],
    [2, 1],
    [3, 1],
  ] as const);
  const wanted = [first, second].flatMap((noun, i) =>
    Array.from({ length: counts[i] as number }, () => ({ noun, color: drawColor(random, noun, shown) })),
  );
  return layOut(random, seed, wanted, 0.19);
}

const MORE = onTabletop({
  family: 'multi-step',
  name: 'more of which kind',
  weight: 1,
  values: () => ['first', 'second', 'same'],
  draw: drawTwoKinds,
  ask(view, random) {
    const things = coloredThings(view);
    const [first, second, third] = random.shuffle([...new Set(things.map(({ noun }) => noun))]);
    if (!first || !second || third) return undefined;
    const difference =
      things.filter(({ noun }) => noun === first).length - things.filter(({ noun }) => noun === second).length;
    const value = difference === 0 ? 'same' : difference > 0 ? 'first' : 'second';
    const question = random.pick([
      `Are there more ${plural(first)}, more ${plural(second)} or the same number?`,
      `Which are more: ${plural(first)}, ${plural(second)}, or the same?`,
    ]);
    const answer = value === 'same' ? 'same' : plural(value === 'first' ? first : second);
    return { question, answer, value, heldOut: anyHeldOut(...things) };
  },
});

const TERMS = ['1', '2', '3'] as const;
/** A pair of terms, in this order, that training never shows. */
const isHeldOutSum = (first: string, second: string): boolean => first === '1' && second === '3';

const SUM = onTabletop({
  family: 'multi-step',
  name: 'sum of two cards',
  weight: 1,
  choosable: true,
  values: () => ['2', '3', '4', '5', '6'],
  draw(random, seed, shown) {
    const [first, second] = [random.pick(TERMS), random.pick(TERMS)];
    if (isHeldOutSum(first, second) && !shown) return undefined;
    const colors = random.shuffle(COLOR_NAMES) as [Color, Color];
    return layOutCards(random, seed, [
      { text: first, color: colors[0] },
      { text: second, color: colors[1] },
    ]);
  },
  ask({ cards: [first, second] }, random) {
    const isTerm = (text: string | undefined): boolean => TERMS.some((term) => term === text);
    if (!first || !second || !isTerm(first.text) || !isTerm(second.text)) return undefined;
    const question = random.pick([
      'What is the sum of the two numbers?',
      'Add the numbers on the cards.',
      'How much are the two numbers together?',
    ]);
    return {
      question,
      answer: String(Number(first.text) + Number(second.text)),
      heldOut: isHeldOutSum(first.text, second.text),
    };
  },
});

const DIFFERENCE = onDrawing('chart', {
  family: 'multi-step',
  name: 'difference of two bars',
  weight: 1,
  values: () => ['1', '2', '3', '4'],
  choosable: true,
  draw: (random, seed, shown) => drawChart(random, seed, shown, 2),
  ask({ bars: [first, second] }, random) {
    if (!first || !second || first.height === second.height) return undefined;
    const [high, low] = first.height > second.height ? [first, second] : [second, first];
    const question = random.pick([
      `How much higher is the ${high.color} bar than the ${low.color} bar?`,
      `What is the difference between the ${high.color} and the ${low.color} bar?`,
    ]);
    return { question, answer: String(high.height - low.height), heldOut: isHeldOutBar(high) || isHeldOutBar(low) };
  },
});

export const MULTI_STEP_TYPES: readonly QuestionType[] = [BESIDE, MORE, SUM, DIFFERENCE];
