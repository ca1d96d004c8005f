/**
 * The layout of reasoning texts, written and read back: ECoT's tags in ECoT's order, one a line. Positions are cells of a 10 x 10 grid over
 * the third-person image (`carrot [4,5,5,6]`, no spaces) or percent of its sides (`carrot [41, 52, 50, 60]`, with spaces).
 * Reading takes whatever a model has generated. Knows nothing of scenes.
 */
import type { ImageBox } from './narration.js';

/** Tags in ECoT's order. */
export const REASONING_TAGS = [
  'TASK',
  'PLAN',
  'VISIBLE OBJECTS',
  'SUBTASK REASONING',
  'SUBTASK',
  'MOVE REASONING',
  'MOVE',
  'GRIPPER POSITION',
] as const;
export type ReasoningTag = (typeof REASONING_TAGS)[number];
export type ReasoningFields = Partial<Readonly<Record<ReasoningTag, string>>>;

export const GRID = 10;

/** Fields that are there, in order, one a line. */
export function formatFields(fields: ReasoningFields): string {
  return REASONING_TAGS.flatMap((tag) => (fields[tag] === undefined ? [] : [`${tag}: ${fields[tag]}`])).join('\n');
}

export interface ParsedReasoning {
  readonly fields: ReasoningFields;
  readonly objects: readonly { readonly name: string; readonly box: ImageBox }[];
  readonly gripper: readonly [number, number] | null;
  /** Half a unit of the layout: how far a position can be from what was meant. */
  readonly resolution: number;
  /** What could not be read: unknown or repeated tags, tags out of order, boxes that are none. Empty for a well-formed text. */
  readonly faults: readonly string[];
}

const TAGGED = new RegExp(`(${[...REASONING_TAGS].sort((a, b) => b.length - a.length).join('|')}): ?`, 'g');
const BRACKET = /([^[\],]*)\[([^\]]*)\]/g;

/** Reads a text back. Never throws: what is unreadable is listed in `faults`. */
export function parseReasoning(text: string): ParsedReasoning {
  const faults: string[] = [];
  const fields: Partial<Record<ReasoningTag, string>> = {};
  const found = [...text.matchAll(TAGGED)];
  const first = found[0]?.index ?? text.length;
  if (text.slice(0, first).trim() !== '') faults.push('text before the first tag');
  let last = -1;
  found.forEach((match, i) => {
    const tag = match[1] as ReasoningTag;
    const order = REASONING_TAGS.indexOf(tag);
    if (fields[tag] !== undefined) {
      faults.push(`${tag} twice`);
      return;
    }
    if (order < last) faults.push(`${tag} out of order`);
    last = Math.max(last, order);
    const value = text.slice(match.index + match[0].length, found[i + 1]?.index ?? text.length).trim();
    if (value === '') faults.push(`${tag} empty`);
    fields[tag] = value;
  });
  if (found.length === 0) faults.push('no tag');
  const cells = !/\d,\s/.test(`${fields['VISIBLE OBJECTS'] ?? ''} ${fields['GRIPPER POSITION'] ?? ''}`);
  const read = (numbers: string, count: number): number[] | null => {
    const values = numbers.split(',').map((word) => word.trim());
    if (values.length !== count || values.some((word) => !/^\d{1,3}$/.test(word))) return null;
    const limit = cells ? GRID - 1 : 100;
    const parsed = values.map(Number);
    return parsed.some((value) => value > limit) ? null : parsed.map((v) => (cells ? (v + 0.5) / GRID : v / 100));
  };
  const objects: { name: string; box: ImageBox }[] = [];
  const seen = fields['VISIBLE OBJECTS'];
  if (seen !== undefined && seen !== 'none') {
    const boxes = [...seen.matchAll(BRACKET)];
    if (boxes.length === 0) faults.push('VISIBLE OBJECTS without a box');
    for (const [, name = '', numbers = ''] of boxes) {
      const box = read(numbers, 4) as [number, number, number, number] | null;
      if (box === null || name.trim() === '' || box[2] < box[0] || box[3] < box[1]) faults.push(`no box: ${numbers}`);
      else objects.push({ name: name.trim(), box });
    }
  }
  let gripper: [number, number] | null = null;
  const position = fields['GRIPPER POSITION'];
  if (position !== undefined) {
    gripper = read(/^\[([^\]]*)\]$/.exec(position)?.[1] ?? '', 2) as [number, number] | null;
    if (gripper === null) faults.push(`no position: ${position}`);
  }
  return { fields, objects, gripper, resolution: cells ? 0.5 / GRID : 0.005, faults };
}

const cell = (value: number): number => Math.min(GRID - 1, Math.max(0, Math.floor(value * GRID)));
const percent = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * 100);

/** A position or a box as the layout writes it. */
export function formatPosition(values: readonly number[], unit: 'cells' | 'percent'): string {
  return unit === 'cells' ? `[${values.map(cell).join(',')}]` : `[${values.map(percent).join(', ')}]`;
}
