/**
 * Plans the pictures and questions of a split: which picture shows what, and what is asked about it. The plan depends on its options alone.
 * Within every question type each answer comes equally often (counts differ by at most one), so that guessing scores at chance even for
 * somebody who knows the question. Knows nothing of pixels or files.
 */
import { SimError, SimOptionError } from '../errors.js';
import { Random, type Split, seedOf } from '../random.js';
import { QUESTION_TYPES } from './families.js';
import type { Asked, QuestionType, View } from './question.js';
import { FAMILIES, type Family, showsHeldOut } from './vocabulary.js';

/** A question as it is written down. */
export interface PlannedQuestion {
  readonly family: Family;
  /** Name of its type within the family. */
  readonly type: string;
  readonly question: string;
  /** Words; the text of the right option where there are options. */
  readonly answer: string;
  /** Options A to D. */
  readonly options?: readonly string[];
  readonly facts?: readonly string[];
  readonly chance: number;
  readonly heldOut: boolean;
}

export interface PlannedPicture {
  readonly seed: number;
  readonly view: View;
  readonly questions: readonly PlannedQuestion[];
}

export interface PlanOptions {
  readonly split: Split;
  /** Other training pictures, 0 to {@link MAX_SEED}. Validation and test have one fixed set each. */
  readonly seed: number;
  /** Questions of all families together. */
  readonly questions: number;
  /** Most questions about one picture. */
  readonly perPicture: number;
  readonly families: readonly Family[];
}

/** Pictures of different seeds never share a scene seed, nor do they share any with the robot's episodes (which lie below these). */
const FIRST_SEED: Readonly<Record<Split, number>> = { train: 90_000_000, validation: 900_000, test: 900_000 };
const PICTURES_A_SEED = 100_000;
export const MAX_SEED = 99;
const MULTIPLE_CHOICE = 0.25;
const NUM_OPTIONS = 4;
const MAX_DRAWS = 5000;
/** Draws to find a further question for a picture. */
const FURTHER_DRAWS = 3;

/** Plans pictures one after the other, families in turn. Throws SimOptionError for options that ask for too much. */
export function* planPictures(options: PlanOptions): Generator<PlannedPicture> {
  const { split, seed, questions, perPicture, families } = options;
  if (!Number.isInteger(seed) || seed < 0 || seed > MAX_SEED)
    throw new SimOptionError(`multimodal seed ${seed} must be an integer from 0 to ${MAX_SEED}`);
  if (questions > PICTURES_A_SEED * perPicture) throw tooMany(split);
  const shown = showsHeldOut(split);
  const first = FIRST_SEED[split] + (split === 'train' ? seed * PICTURES_A_SEED : 0);
  const random = new Random(seedOf(split, first), 'multimodal-plan');
  const balance = new Balance(random);
  const left = new Map(families.map((family, i) => [family, share(questions, families.length, i)]));
  for (let number = 0; [...left.values()].some((count) => count > 0); ) {
    for (const family of families) {
      const wanted = Math.min(left.get(family) ?? 0, perPicture);
      if (wanted === 0) continue;
      if (number >= PICTURES_A_SEED) throw tooMany(split);
      const picture = planPicture(family, wanted, seedOf(split, first + number++), shown, random, balance);
      left.set(family, (left.get(family) ?? 0) - picture.questions.length);
      yield picture;
    }
  }
}

const tooMany = (split: Split): SimOptionError =>
  new SimOptionError(`a ${split} set has at most ${PICTURES_A_SEED} pictures; ask for fewer questions`);

/** The i-th of `parts` nearly equal parts of a whole. */
const share = (whole: number, parts: number, i: number): number =>
  Math.floor(((i + 1) * whole) / parts) - Math.floor((i * whole) / parts);

function planPicture(
  family: Family,
  wanted: number,
  seed: number,
  shown: boolean,
  random: Random,
  balance: Balance,
): PlannedPicture {
  const types = QUESTION_TYPES[family];
  const type = balance.nextType(types);
  const value = balance.nextValue(type, shown);
  const { view, asked } = drawFor(type, value, seed, shown, random);
  const questions = [balance.take(type, asked, shown)];
  for (const other of random.shuffle(types)) {
    for (let draw = 0; draw < FURTHER_DRAWS && questions.length < wanted; draw++) {
      const further = other.ask(view, random, shown);
      if (!further || !balance.admits(other, further, shown)) continue;
      if (isAsked(questions, other, further)) continue;
      questions.push(balance.take(other, further, shown));
      break;
    }
  }
  return { seed, view, questions };
}

/** Draws pictures until the question can be asked with the wanted value. */
function drawFor(
  type: QuestionType,
  value: string,
  seed: number,
  shown: boolean,
  random: Random,
): { view: View; asked: Asked } {
  for (let draw = 0; draw < MAX_DRAWS; draw++) {
    const view = type.draw(random, seed, shown);
    const asked = view && type.ask(view, random, shown);
    if (view && asked && countedValue(asked) === value) return { view, asked };
  }
  throw new SimError(`no picture in ${MAX_DRAWS} draws for '${type.name}' (${type.family}) with the answer '${value}'`);
}

const countedValue = (asked: Asked): string => asked.value ?? asked.answer;

/** Whether a picture has this question already, in whatever words. */
const isAsked = (questions: readonly PlannedQuestion[], { name }: QuestionType, { answer }: Asked): boolean =>
  questions.some((other) => other.type === name && other.answer === answer);

/** Counts what was asked, so that types get their share and values come equally often. */
class Balance {
  readonly #random: Random;
  readonly #types = new Map<QuestionType, number>();
  readonly #values = new Map<string, number>();
  readonly #letters = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** The type that lies furthest behind its share. */
  nextType(types: readonly QuestionType[]): QuestionType {
    return this.#least(types, (type) => (this.#types.get(type) ?? 0) / type.weight);
  }

  nextValue(type: QuestionType, shown: boolean): string {
    return this.#least(type.values(shown), (value) => this.#count(type, value));
  }

  /** Whether the value is one of those that came least often. */
  admits(type: QuestionType, asked: Asked, shown: boolean): boolean {
    const values = type.values(shown);
    const value = countedValue(asked);
    return values.includes(value) && values.every((other) => this.#count(type, value) <= this.#count(type, other));
  }

  take(type: QuestionType, asked: Asked, shown: boolean): PlannedQuestion {
    const value = countedValue(asked);
    this.#types.set(type, (this.#types.get(type) ?? 0) + 1);
    this.#values.set(key(type, value), this.#count(type, value) + 1);
    const { family, name } = type;
    const { question, answer, facts, heldOut } = asked;
    const values = type.values(shown);
    const options =
      type.choosable && values.length >= NUM_OPTIONS && this.#random.chance(MULTIPLE_CHOICE)
        ? this.#options(type, answer, values)
        : undefined;
    const chance = asked.chance ?? 1 / (options ? NUM_OPTIONS : values.length);
    return {
      family,
      type: name,
      question,
      answer,
      ...(options ? { options } : {}),
      ...(facts ? { facts } : {}),
      chance,
      heldOut,
    };
  }

  /** Options in random order; the right one is A, B, C and D equally often. */
  #options({ family }: QuestionType, answer: string, values: readonly string[]): string[] {
    const places = Array.from({ length: NUM_OPTIONS }, (_, i) => i);
    const place = this.#least(places, (i) => this.#letters.get(`${family} ${i}`) ?? 0);
    this.#letters.set(`${family} ${place}`, (this.#letters.get(`${family} ${place}`) ?? 0) + 1);
    const options = this.#random.shuffle(values.filter((value) => value !== answer)).slice(0, NUM_OPTIONS - 1);
    options.splice(place, 0, answer);
    return options;
  }

  #count(type: QuestionType, value: string): number {
    return this.#values.get(key(type, value)) ?? 0;
  }

  /** One of those with the least count, at random. */
  #least<T>(list: readonly T[], count: (element: T) => number): T {
    const counts = list.map(count);
    const least = Math.min(...counts);
    return this.#random.pick(list.filter((_, i) => counts[i] === least));
  }
}

const key = (type: QuestionType, value: string): string => `${type.family} ${type.name} ${value}`;

/** Families by name; throws SimOptionError for an unknown one. */
export function parseFamilies(names: readonly string[]): Family[] {
  return names.map((name) => {
    const family = FAMILIES.find((known) => known === name);
    if (!family) throw new SimOptionError(`unknown family '${name}'; valid: ${FAMILIES.join(', ')}`);
    return family;
  });
}
