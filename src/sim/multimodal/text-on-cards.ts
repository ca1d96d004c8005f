/** Questions about the characters on cards that lie on the table. */
import type { Random } from '../random.js';
import { onTabletop, type QuestionType } from './question.js';
import { layOutCards } from './tabletop.js';
import { COLOR_NAMES, type Color, DIGITS, type Digit, isHeldOutCode, LETTERS, type Letter } from './vocabulary.js';

const colorsOf = (random: Random): [Color, Color] => random.shuffle(COLOR_NAMES).slice(0, 2) as [Color, Color];

const single = (name: string, what: string, texts: readonly string[]): QuestionType =>
  onTabletop({
    family: 'text-on-cards',
    name,
    weight: 1,
    choosable: true,
    values: () => texts,
    draw: (random, seed) => layOutCards(random, seed, [{ text: random.pick(texts), color: random.pick(COLOR_NAMES) }]),
    ask({ cards: [card, another] }, random) {
      if (!card || another || !texts.includes(card.text)) return undefined;
      const question = random.pick([
        `What ${what} is on the card?`,
        `Which ${what} does the card show?`,
        `Read the ${what} on the card.`,
      ]);
      return { question, answer: card.text, heldOut: false };
    },
  });

const isHeldOutText = (text: string): boolean =>
  text.length === 2 && isHeldOutCode(LETTERS.indexOf(text[0] as Letter), DIGITS.indexOf(text[1] as Digit));

const CODES = LETTERS.flatMap((letter) => DIGITS.map((digit) => `${letter}${digit}`));

const CODE = onTabletop({
  family: 'text-on-cards',
  name: 'letter and digit',
  weight: 1,
  choosable: true,
  values: (shown) => CODES.filter((code) => shown || !isHeldOutText(code)),
  draw: (random, seed) => layOutCards(random, seed, [{ text: random.pick(CODES), color: random.pick(COLOR_NAMES) }]),
  ask({ cards: [card, another] }, random, shown) {
    if (!card || another || card.text.length !== 2) return undefined;
    const heldOut = isHeldOutText(card.text);
    if (heldOut && !shown) return undefined;
    const question = random.pick(['What is written on the card?', 'Read the card.', 'What does the card say?']);
    return { question, answer: card.text, heldOut };
  },
});

const drawTwo = (random: Random, seed: number): ReturnType<typeof layOutCards> => {
  const colors = colorsOf(random);
  return layOutCards(
    random,
    seed,
    random
      .shuffle(LETTERS)
      .slice(0, 2)
      .map((text, i) => ({ text, color: colors[i] as Color })),
  );
};

const isLetter = (text: string): boolean => LETTERS.some((letter) => letter === text);

const ON_COLOR = onTabletop({
  family: 'text-on-cards',
  name: 'letter on the card of a color',
  weight: 1,
  choosable: true,
  values: () => LETTERS,
  draw: drawTwo,
  ask({ cards }, random) {
    const card = random.pick(cards);
    if (cards.length !== 2 || !card || !cards.every(({ text }) => isLetter(text))) return undefined;
    const question = random.pick([
      `What letter is on the ${card.color} card?`,
      `Which letter does the ${card.color} card show?`,
      `Read the ${card.color} card.`,
    ]);
    return { question, answer: card.text, heldOut: false };
  },
});

const COLOR_OF = onTabletop({
  family: 'text-on-cards',
  name: 'color of the card with a letter',
  weight: 1,
  choosable: true,
  values: () => COLOR_NAMES,
  draw: drawTwo,
  ask({ cards }, random) {
    const card = random.pick(cards);
    if (cards.length !== 2 || !card || !cards.every(({ text }) => isLetter(text))) return undefined;
    const question = random.pick([
      `What color is the card with the ${card.text}?`,
      `Which color does the card with the ${card.text} have?`,
    ]);
    return { question, answer: card.color, heldOut: false };
  },
});

export const TEXT_ON_CARDS_TYPES: readonly QuestionType[] = [
  single('letter', 'letter', LETTERS),
  single('digit', 'number', DIGITS),
  CODE,
  ON_COLOR,
  COLOR_OF,
];
