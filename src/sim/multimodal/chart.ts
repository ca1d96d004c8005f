/** Questions about bar charts of two to four bars. */
import type { Random } from '../random.js';
import { type Bar, type Chart, MAX_BAR } from './drawings.js';
import { onDrawing, type QuestionType } from './question.js';
import { COLOR_NAMES, isHeldOutCode } from './vocabulary.js';

const HEIGHTS = Array.from({ length: MAX_BAR }, (_, i) => String(i + 1));

/** Some colours never have some heights in training charts. */
export const isHeldOutBar = ({ color, height }: Bar): boolean => isHeldOutCode(COLOR_NAMES.indexOf(color), height);

export function drawChart(random: Random, seed: number, shown: boolean, count = 2 + random.int(3)): Chart {
  const bars = random
    .shuffle(COLOR_NAMES)
    .slice(0, count)
    .map((color): Bar => {
      for (;;) {
        const bar = { color, height: 1 + random.int(MAX_BAR) };
        if (shown || !isHeldOutBar(bar)) return bar;
      }
    });
  return { kind: 'chart', seed, bars };
}

const drawFew = (random: Random, seed: number, shown: boolean): Chart =>
  drawChart(random, seed, shown, 2 + random.int(2));

/** The bar that is higher, or lower, than every other. */
function extreme(bars: readonly Bar[], highest: boolean): Bar | undefined {
  const [first, second] = [...bars].sort((a, b) => (highest ? b.height - a.height : a.height - b.height));
  return first && second && first.height !== second.height ? first : undefined;
}

const extremeType = (highest: boolean): QuestionType =>
  onDrawing('chart', {
    family: 'chart',
    name: highest ? 'highest bar' : 'lowest bar',
    weight: 0.75,
    choosable: true,
    values: () => COLOR_NAMES,
    draw: drawFew,
    ask({ bars }, random) {
      const bar = extreme(bars, highest);
      if (!bar) return undefined;
      const [most, size] = highest ? ['highest', 'tallest'] : ['lowest', 'shortest'];
      const question = random.pick([
        `What color is the ${most} bar?`,
        `Which color has the ${size} bar?`,
        `Name the color of the ${size} bar.`,
      ]);
      return { question, answer: bar.color, heldOut: isHeldOutBar(bar) };
    },
  });

const HEIGHT = onDrawing('chart', {
  family: 'chart',
  name: 'height of a bar',
  weight: 1.5,
  choosable: true,
  values: () => HEIGHTS,
  draw: drawFew,
  ask({ bars }, random) {
    const bar = random.pick(bars);
    const question = random.pick([
      `How high is the ${bar.color} bar?`,
      `What is the value of the ${bar.color} bar?`,
      `What number does the ${bar.color} bar reach?`,
    ]);
    return { question, answer: String(bar.height), heldOut: isHeldOutBar(bar) };
  },
});

const HIGHER = onDrawing('chart', {
  family: 'chart',
  name: 'comparison of two bars',
  weight: 1,
  values: () => ['yes', 'no'],
  draw: drawFew,
  ask({ bars }, random) {
    const [a, b] = random.shuffle(bars) as [Bar, Bar];
    if (a.height === b.height) return undefined;
    const higher = random.chance(0.5);
    const question = random.pick([
      `Is the ${a.color} bar ${higher ? 'higher' : 'lower'} than the ${b.color} bar?`,
      `Is ${a.color} ${higher ? 'more' : 'less'} than ${b.color}?`,
    ]);
    return {
      question,
      answer: a.height > b.height === higher ? 'yes' : 'no',
      heldOut: isHeldOutBar(a) || isHeldOutBar(b),
    };
  },
});

const NUMBER = onDrawing('chart', {
  family: 'chart',
  name: 'number of bars',
  weight: 0.5,
  values: () => ['2', '3', '4'],
  draw: drawChart,
  ask({ bars }, random) {
    const question = random.pick(['How many bars does the chart have?', 'Count the bars.', 'How many bars are there?']);
    return { question, answer: String(bars.length), heldOut: bars.some(isHeldOutBar) };
  },
});

export const CHART_TYPES: readonly QuestionType[] = [extremeType(true), extremeType(false), HEIGHT, HIGHER, NUMBER];
