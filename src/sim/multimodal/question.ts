/**
 * What a question type is: it draws a picture on which it can be asked, and asks it. Types know nothing of pixels, files or balance.
 */
import type { Random } from '../random.js';
import type { Drawing } from './drawings.js';
import type { Tabletop } from './tabletop.js';
import type { Family } from './vocabulary.js';

/** What a picture shows. */
export type View = Tabletop | Drawing;

/** One question and its answer. */
export interface Asked {
  readonly question: string;
  readonly answer: string;
  /** Which of the type's values this is; balancing counts these. The answer itself by default. */
  readonly value?: string;
  /** For free answers: what an answer has to contain. */
  readonly facts?: readonly string[];
  /** Probability of guessing right; one over the number of values by default. */
  readonly chance?: number;
  /** Whether it is about a combination that training never shows. */
  readonly heldOut: boolean;
}

export interface QuestionType {
  readonly family: Family;
  readonly name: string;
  /** Share of its family's questions, relative to the other types'. */
  readonly weight: number;
  /** Values that come equally often; `shown`: whether held-out combinations may be shown. */
  values(shown: boolean): readonly string[];
  /** Whether values can stand as the options A to D. */
  readonly choosable: boolean;
  /** A picture to ask it on; undefined when the draw fails. */
  draw(random: Random, seed: number, shown: boolean): View | undefined;
  /** The question, or undefined when it cannot be asked on this picture. */
  ask(view: View, random: Random, shown: boolean): Asked | undefined;
}

/** A question type about tabletop pictures. */
export function onTabletop(
  type: Omit<QuestionType, 'ask' | 'choosable'> & {
    readonly choosable?: boolean;
    ask(view: Tabletop, random: Random, shown: boolean): Asked | undefined;
  },
): QuestionType {
  return {
    ...type,
    choosable: type.choosable ?? false,
    ask: (view, random, shown) => (view.kind === 'tabletop' ? type.ask(view, random, shown) : undefined),
  };
}

/** A question type about tables or charts. */
export function onDrawing<K extends Drawing['kind']>(
  kind: K,
  type: Omit<QuestionType, 'ask' | 'choosable'> & {
    readonly choosable?: boolean;
    ask(view: Extract<Drawing, { kind: K }>, random: Random, shown: boolean): Asked | undefined;
  },
): QuestionType {
  return {
    ...type,
    choosable: type.choosable ?? false,
    ask: (view, random, shown) =>
      view.kind === kind ? type.ask(view as Extract<Drawing, { kind: K }>, random, shown) : undefined,
  };
}
