/**
 * VLA-IT annotations (InstructVLA, Yang et al. 2025): `{file_path: {episode_id: {features: {move_primitive: [one a step]},
 * alt_instruction?: {Caption, CR | CC | QA: [{question, answer}]}}}}`. `alt_instruction` belongs to the whole episode.
 *
 * The original loader looks steps up by frame after its transform, as embodied-CoT does: see `stepOffset` in ecot.ts. For a step that is
 * not in the file it takes {"move_primitive": null}; a pruned step is therefore null here, and the list keeps its length.
 */
import { z } from 'zod';
import { type KeepStep, type PrunedAnnotations, withReasoning } from './ecot.js';
import { type AnnotationEntry, rewriteAnnotations } from './ecot-json-stream.js';
import type { Episode } from './episode.js';
import { CorruptDatasetError } from './errors.js';
import type { LanguageRow } from './language.js';

const turn = z.looseObject({ question: z.string(), answer: z.string() });
/** Questions and answers by kind; a list or a single one. */
const turns = z.union([z.array(turn), turn]).nullish();
const entrySchema = z.looseObject({
  features: z.looseObject({ move_primitive: z.array(z.string().nullable()) }),
  alt_instruction: z.looseObject({ Caption: z.unknown(), CR: turns, CC: turns, QA: turns }).nullish(),
});
export type VlaItAnnotation = z.infer<typeof entrySchema>;

/** Checks one episode's value. Throws CorruptDatasetError naming file, episode and field. */
export function parseVlaIt(entry: AnnotationEntry, file: string): VlaItAnnotation {
  const parsed = entrySchema.safeParse(entry.value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CorruptDatasetError(`Episode ${entry.episodeId} of ${entry.filePath}: ${issue?.message ?? 'wrong'}`, {
    file,
    field: issue?.path.join('.'),
  });
}

/** Questions and answers about the episode, all kinds. */
export function vlaItQuestions(annotation: VlaItAnnotation): { kind: string; question: string; answer: string }[] {
  const kinds = ['CR', 'CC', 'QA'] as const;
  return kinds.flatMap((kind) => {
    const given = annotation.alt_instruction?.[kind];
    const list = Array.isArray(given) ? given : given ? [given] : [];
    return list.map(({ question, answer }) => ({ kind, question, answer }));
  });
}

/** The episode with its move primitives as reasoning: frame t gets that of step t + stepOffset, as a text `MOVE: ...` and as `motion` rows. */
export function annotateWithVlaIt(
  episode: Episode,
  annotation: VlaItAnnotation | undefined,
  stepOffset: number,
): { readonly episode: Episode; readonly annotated: number } {
  const primitives = annotation?.features.move_primitive ?? [];
  const moves = Array.from({ length: episode.length }, (_, t) => primitives[t + stepOffset]?.trim() ?? '');
  const rows: LanguageRow[] = [];
  for (const [t, content] of moves.entries())
    if (content !== '' && content !== rows.at(-1)?.content)
      rows.push({ role: 'assistant', content, style: 'motion', timestamp: t / episode.fps, camera: null });
  const texts = moves.map((move) => (move === '' ? '' : `MOVE: ${move}`));
  return { episode: withReasoning(episode, texts, rows), annotated: texts.filter((text) => text !== '').length };
}

/** Writes a copy of a VLA-IT file with null for every step that `keep` gives up. Streamed and atomic. */
export function writePrunedVlaIt(input: string, output: string, keep: KeepStep): PrunedAnnotations {
  let steps = 0;
  let kept = 0;
  const summary = rewriteAnnotations(input, output, (entry) => {
    const { features } = parseVlaIt(entry, input);
    const { filePath, episodeId } = entry;
    const pruned = features.move_primitive.map((move, step) => {
      if (move === null) return null;
      steps++;
      if (!keep({ filePath, episodeId, step })) return null;
      kept++;
      return move;
    });
    return { ...(entry.value as object), features: { ...features, move_primitive: pruned } };
  });
  return { ...summary, steps, kept };
}
