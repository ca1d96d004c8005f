/** Questions about colour and kind of a thing, and whether a combination of the two is there. */
import { onTabletop, type QuestionType } from './question.js';
import {
  anyHeldOut,
  coloredThings,
  drawAny,
  drawDifferent,
  isHeldOutThing,
  shapesOf,
  unique,
  withArticle,
} from './things.js';
import { COLOR_NAMES, type Color, isHeldOutPair, SHAPES, type Shape } from './vocabulary.js';

const colorOf = (shape: Shape): QuestionType =>
  onTabletop({
    family: 'attribute',
    name: `color of ${shape}`,
    weight: 1 / SHAPES.length,
    choosable: true,
    values: (shown) => COLOR_NAMES.filter((color) => shown || !isHeldOutPair(color, shape)),
    draw: (random, seed, shown) => drawDifferent(random, seed, shown, 1 + random.int(3)),
    ask(view, random) {
      const thing = unique(coloredThings(view), ({ noun }) => noun).find(({ noun }) => noun === shape);
      if (!thing) return undefined;
      const question = random.pick([
        `What color is the ${shape}?`,
        `Which color does the ${shape} have?`,
        `Name the color of the ${shape}.`,
      ]);
      return { question, answer: thing.color, heldOut: isHeldOutThing(thing) };
    },
  });

const shapeOf = (color: Color): QuestionType =>
  onTabletop({
    family: 'attribute',
    name: `thing of color ${color}`,
    weight: 1 / COLOR_NAMES.length,
    choosable: true,
    values: (shown) => shapesOf(color, shown),
    draw: (random, seed, shown) => drawAny(random, seed, shown, 1 + random.int(3)),
    ask(view, random) {
      const thing = unique(coloredThings(view), (other) => other.color).find((other) => other.color === color);
      if (!thing) return undefined;
      const question = random.pick([
        `What is the ${color} thing?`,
        `Which thing is ${color}?`,
        `What kind of thing is ${color} here?`,
      ]);
      return { question, answer: thing.noun, heldOut: isHeldOutThing(thing) };
    },
  });

const EXISTS = onTabletop({
  family: 'attribute',
  name: 'combination present',
  weight: 1,
  values: () => ['yes', 'no'],
  draw: (random, seed, shown) => drawAny(random, seed, shown, 2),
  ask(view, random, shown) {
    const things = coloredThings(view);
    const [first, second] = things;
    if (things.length !== 2 || !first || !second || first.color === second.color || first.noun === second.noun)
      return undefined;
    // "No" is asked about a colour and a kind that are both there, but not together: the pair has to be bound.
    const present = random.chance(0.5);
    const [color, noun] = present ? [first.color, first.noun] : [first.color, second.noun];
    const heldOut = isHeldOutPair(color, noun);
    if (heldOut && !shown) return undefined;
    const thing = withArticle(`${color} ${noun}`);
    const question = random.pick([`Is there ${thing}?`, `Does the picture show ${thing}?`, `Can you see ${thing}?`]);
    return { question, answer: present ? 'yes' : 'no', heldOut: heldOut || anyHeldOut(first, second) };
  },
});

export const ATTRIBUTE_TYPES: readonly QuestionType[] = [...SHAPES.map(colorOf), ...COLOR_NAMES.map(shapeOf), EXISTS];
