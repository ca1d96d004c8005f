/**
 * ECoT annotations (embodied-CoT, Zawalski et al. 2024): for every step of an episode its reasoning, and features of the whole episode.
 * `{file_path: {episode_id: {metadata, features: {state_3d, move_primitive, gripper_position, bboxes}, reasoning: {"i": {task, plan,
 * subtask, subtask_reason, move, move_reason}}}}}`. Text, pruning and what a reader of frames must know about raw steps.
 *
 * A key "i" counts **raw steps**. embodied-CoT looks it up by the frame after its transform, which on Bridge has dropped step 0: every frame
 * gets the reasoning of the step before it. Here frame t takes reasoning t + stepOffset, 1 on Bridge (its issue 15); 0 repeats the original.
 */
import { z } from 'zod';
import { type AnnotationEntry, type RewriteSummary, rewriteAnnotations } from './ecot-json-stream.js';
import type { Column, Episode } from './episode.js';
import { CorruptDatasetError } from './errors.js';
import {
  type Features,
  LANGUAGE_EVENTS_KEY,
  LANGUAGE_PERSISTENT_KEY,
  REASONING_KEEP_KEY,
  REASONING_TEXT_KEY,
} from './features.js';
import { type LanguageRow, mergeRows } from './language.js';

const textOrParts = z.union([z.string(), z.array(z.unknown()), z.record(z.string(), z.unknown())]).nullish();
const reasoningSchema = z.looseObject({
  task: textOrParts,
  plan: textOrParts,
  subtask: textOrParts,
  subtask_reason: textOrParts,
  move: textOrParts,
  move_reason: textOrParts,
});
const position = z.array(z.number());
const featuresSchema = z.looseObject({
  state_3d: z.array(position).nullish(),
  move_primitive: z.array(z.string()).nullish(),
  gripper_position: z.array(position.nullable()).nullish(),
  gripper_positions: z.array(position.nullable()).nullish(),
  bboxes: z.array(z.array(z.tuple([z.number(), z.string(), position]))).nullish(),
});
const entrySchema = z.looseObject({
  features: featuresSchema.nullish(),
  reasoning: z.record(z.string(), reasoningSchema).nullish(),
});

export type EcotAnnotation = z.infer<typeof entrySchema>;

/** One step's reasoning as texts; absent where the annotation says nothing. */
export interface EcotStep {
  readonly task?: string | undefined;
  readonly plan?: string | undefined;
  readonly visibleObjects?: string | undefined;
  readonly subtaskReason?: string | undefined;
  readonly subtask?: string | undefined;
  readonly moveReason?: string | undefined;
  readonly move?: string | undefined;
  readonly gripperPosition?: string | undefined;
}

/** embodied-CoT's fields in its order, with their names in the text. */
export const ECOT_TAGS = [
  ['TASK', 'task'],
  ['PLAN', 'plan'],
  ['VISIBLE OBJECTS', 'visibleObjects'],
  ['SUBTASK REASONING', 'subtaskReason'],
  ['SUBTASK', 'subtask'],
  ['MOVE REASONING', 'moveReason'],
  ['MOVE', 'move'],
  ['GRIPPER POSITION', 'gripperPosition'],
] as const satisfies readonly (readonly [string, keyof EcotStep])[];

/** How many gripper positions from its own step on a text lists; embodied-CoT repeats the last one behind the end. */
export const GRIPPER_POSITIONS = 5;

/** Checks one episode's value. Throws CorruptDatasetError naming file, episode and field. */
export function parseEcot(entry: AnnotationEntry, file: string): EcotAnnotation {
  const parsed = entrySchema.safeParse(entry.value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CorruptDatasetError(`Episode ${entry.episodeId} of ${entry.filePath}: ${issue?.message ?? 'wrong'}`, {
    file,
    field: issue?.path.join('.'),
  });
}

/** The reasoning of raw step `step`; undefined where there is none. */
export function ecotStep(annotation: EcotAnnotation, step: number): EcotStep | undefined {
  const reasoning = annotation.reasoning?.[String(step)];
  if (!reasoning) return undefined;
  const features = annotation.features ?? {};
  const boxes = features.bboxes?.[step];
  const text = (value: z.infer<typeof textOrParts>): string | undefined => {
    const joined = (
      typeof value === 'string'
        ? value
        : Object.values(value ?? {})
            .map(String)
            .join(' ')
    ).trim();
    return joined === '' ? undefined : joined;
  };
  return {
    task: text(reasoning.task),
    plan: text(reasoning.plan),
    visibleObjects:
      boxes && boxes.length > 0 ? boxes.map(([, name, box]) => `${name} [${box.join(', ')}]`).join(', ') : undefined,
    subtaskReason: text(reasoning.subtask_reason),
    subtask: text(reasoning.subtask),
    moveReason: text(reasoning.move_reason),
    move: text(reasoning.move),
    gripperPosition: gripperPositions(features.gripper_position ?? features.gripper_positions ?? [], step),
  };
}

function gripperPositions(positions: readonly (readonly number[] | null)[], step: number): string | undefined {
  if (step >= positions.length) return undefined;
  const numbers: number[] = [];
  for (let i = 0; i < GRIPPER_POSITIONS; i++) {
    const next = positions[Math.min(step + i, positions.length - 1)];
    if (!next) return undefined;
    numbers.push(...next);
  }
  return `[${numbers.join(', ')}]`;
}

/** A step's reasoning as one text, a field a line: `SUBTASK: grasp the pot`. */
export function ecotText(step: EcotStep): string {
  return ECOT_TAGS.flatMap(([tag, key]) => (step[key] === undefined ? [] : [`${tag}: ${step[key]}`])).join('\n');
}

/** The columns that reasoning adds to a data set. */
export const REASONING_FEATURES: Features = {
  [LANGUAGE_PERSISTENT_KEY]: { dtype: 'language', shape: [1], names: null },
  [LANGUAGE_EVENTS_KEY]: { dtype: 'language', shape: [1], names: null },
  [REASONING_TEXT_KEY]: { dtype: 'string', shape: [1], names: null },
  [REASONING_KEEP_KEY]: { dtype: 'bool', shape: [1], names: null },
};

/** The episode with `texts` (one a frame, "" for none) and persistent rows; `reasoning.keep` is 1 where there is a text. */
export function withReasoning(episode: Episode, texts: readonly string[], rows: readonly LanguageRow[]): Episode {
  const columns: Record<string, Column> = {
    ...episode.columns,
    [REASONING_TEXT_KEY]: { dtype: 'string', values: texts },
    [REASONING_KEEP_KEY]: {
      dtype: 'bool',
      shape: [1],
      values: Uint8Array.from(texts, (text) => (text === '' ? 0 : 1)),
    },
  };
  return { ...episode, columns, languagePersistent: rows, languageEvents: texts.map(() => []) };
}

/**
 * The episode with its ECoT reasoning: frame t gets that of step t + stepOffset. Steps without reasoning get "". PLAN, SUBTASK and MOVE
 * become persistent rows at their transitions. An episode without annotation gets empty texts.
 */
export function annotateWithEcot(
  episode: Episode,
  annotation: EcotAnnotation | undefined,
  stepOffset: number,
): { readonly episode: Episode; readonly annotated: number } {
  const steps = Array.from({ length: episode.length }, (_, t) =>
    annotation ? ecotStep(annotation, t + stepOffset) : undefined,
  );
  const rows = (
    [
      ['plan', 'plan'],
      ['subtask', 'subtask'],
      ['motion', 'move'],
    ] as const
  ).map(([style, key]) => {
    const list: LanguageRow[] = [];
    for (const [t, step] of steps.entries()) {
      const content = step?.[key];
      if (content !== undefined && content !== list.at(-1)?.content)
        list.push({ role: 'assistant', content, style, timestamp: t / episode.fps, camera: null });
    }
    return list;
  });
  const texts = steps.map((step) => (step ? ecotText(step) : ''));
  const annotated = texts.filter((text) => text !== '').length;
  return { episode: withReasoning(episode, texts, mergeRows(...rows)), annotated };
}

/** Where a step's reasoning lies. */
export interface AnnotationPlace {
  readonly filePath: string;
  readonly episodeId: string;
  /** Raw step: the key or index in the annotation file. */
  readonly step: number;
}
export type KeepStep = (place: AnnotationPlace) => boolean;

export interface PrunedAnnotations extends RewriteSummary {
  /** Steps with reasoning in the input, and those that kept it. */
  readonly steps: number;
  readonly kept: number;
}

/**
 * Writes a copy of an ECoT file in which `reasoning["i"]` is deleted wherever `keep` says no: embodied-CoT then trains on the action alone
 * there. Everything else stays. Streamed and atomic. Throws CorruptDatasetError for a step that is no number.
 */
export function writePrunedEcot(input: string, output: string, keep: KeepStep): PrunedAnnotations {
  let steps = 0;
  let kept = 0;
  const summary = rewriteAnnotations(input, output, (entry) => {
    const annotation = parseEcot(entry, input);
    if (!annotation.reasoning) return entry.value;
    const reasoning: Record<string, unknown> = {};
    for (const [key, value] of Object.entries((entry.value as { reasoning: Record<string, unknown> }).reasoning)) {
      if (!/^\d+$/.test(key))
        throw new CorruptDatasetError(`Episode ${entry.episodeId} of ${entry.filePath}: "${key}" is no step`, {
          file: input,
          field: 'reasoning',
        });
      steps++;
      if (!keep({ filePath: entry.filePath, episodeId: entry.episodeId, step: Number(key) })) continue;
      kept++;
      reasoning[key] = value;
    }
    return { ...(entry.value as object), reasoning };
  });
  return { ...summary, steps, kept };
}
