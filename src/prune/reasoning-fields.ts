/**
 * Reasoning by its fields: ECoT's texts have a field a line (`SUBTASK: grasp the pot`), and pruning changes each of them differently. How
 * often each is there, kept, and the same as on the frame before.
 *
 * Knows nothing about how frames are chosen.
 */
import { ECOT_TAGS } from '../data/index.js';
import { ReasoningCounter, type ReasoningStatistics } from './reasoning-statistics.js';

export interface ReasoningFieldStatistics {
  /** ECoT's tag; `text` for what has none. */
  readonly field: string;
  /** Frames that have the field, and those that keep it. */
  readonly frames: number;
  readonly kept: number;
  /** Different texts of the field, before and after. */
  readonly distinctBefore: number;
  readonly distinctAfter: number;
  readonly before: ReasoningStatistics;
  readonly after: ReasoningStatistics;
}

/** Longest first, so that SUBTASK REASONING is not taken for SUBTASK. */
const TAGS = ECOT_TAGS.map(([tag]) => tag).sort((a, b) => b.length - a.length);
const LINE = new RegExp(`^(${TAGS.join('|')}): ?(.*)$`);

/** A text's fields; lines without a tag belong to the field before, those before the first to `text`. */
export function reasoningFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  let current = 'text';
  for (const line of text.split('\n')) {
    const match = LINE.exec(line);
    if (match) current = match[1] as string;
    const words = (match ? (match[2] as string) : line).trim();
    if (words === '') continue;
    const before = fields.get(current);
    fields.set(current, before === undefined ? words : `${before}\n${words}`);
  }
  return fields;
}

interface Collected {
  readonly before: ReasoningCounter;
  readonly after: ReasoningCounter;
  readonly textsBefore: Set<string>;
  readonly textsAfter: Set<string>;
}

/** Collects episode by episode. */
export interface FieldStatistics {
  /** @param texts [T], "" for none @param keep [T] */
  add(texts: readonly string[], keep: ArrayLike<number>): void;
  statistics(): ReasoningFieldStatistics[];
}

export function fieldStatistics(): FieldStatistics {
  const all = new Map<string, Collected>();
  return {
    add(texts, keep) {
      const split = texts.map((text) => (text === '' ? null : reasoningFields(text)));
      for (const field of new Set(split.flatMap((fields) => [...(fields?.keys() ?? [])]))) {
        let own = all.get(field);
        if (!own) {
          own = {
            before: new ReasoningCounter(),
            after: new ReasoningCounter(),
            textsBefore: new Set(),
            textsAfter: new Set(),
          };
          all.set(field, own);
        }
        const values = split.map((fields) => fields?.get(field) ?? '');
        const kept = values.map((value, t) => (keep[t] === 1 ? value : ''));
        own.before.add(values);
        own.after.add(kept);
        for (const value of values) if (value !== '') own.textsBefore.add(value);
        for (const value of kept) if (value !== '') own.textsAfter.add(value);
      }
    },
    statistics: () =>
      [...all].map(([field, { before, after, textsBefore, textsAfter }]) => {
        const [a, b] = [before.statistics(), after.statistics()];
        return {
          field,
          frames: a.frames,
          kept: b.frames,
          distinctBefore: textsBefore.size,
          distinctAfter: textsAfter.size,
          before: a,
          after: b,
        };
      }),
  };
}
