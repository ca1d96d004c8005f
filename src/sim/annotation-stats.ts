/**
 * What the reasoning of a data set is like: length, repetition from frame to frame, bits a frame, when its cuts come and how often it is
 * wrong against the true phases. The numbers by which annotations are compared with real ones (docs/annotations.md).
 *
 * Knows nothing of tokens: whoever has a tokenizer passes `length`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { type LeRobotDataset, PHASE_KEY, PROVENANCE_FILE, REASONING_TEXT_KEY } from '../data/index.js';
import { parseReasoning, REASONING_TAGS, type ReasoningTag } from './annotation-format.js';
import { type PlanWords, phasesOfSubtask, planWords } from './annotation-plan.js';
import type { EpisodeNote } from './demonstration-crew.js';
import { SimOptionError } from './errors.js';
import { taskOf } from './tasks/index.js';

/** An episode's texts [T] and true phases [T], and its scene in the annotator's words where they are known. */
export interface AnnotatedTexts {
  readonly texts: readonly string[];
  readonly phases: readonly string[];
  readonly fps: number;
  readonly words: PlanWords | null;
}

export interface ReasoningStats {
  readonly episodes: number;
  readonly frames: number;
  /** Words and signs a frame; tokens where a tokenizer was given. */
  readonly length: { readonly mean: number; readonly min: number; readonly max: number };
  /** Share of frames (but each episode's first) whose whole text equals that of the frame before, and by field. */
  readonly repeated: number;
  readonly repeatedByField: Partial<Record<ReasoningTag, number>>;
  readonly distinctTexts: number;
  /** Bits a frame that an episode's texts need after DEFLATE, and that a first frame alone needs. */
  readonly bits: { readonly frame: number; readonly first: number };
  /** Spans of one subtask an episode, and their mean seconds. */
  readonly spans: { readonly perEpisode: number; readonly seconds: number };
  /** Cuts between subtasks against the nearest true change of phase that would justify them; seconds, positive is late. */
  readonly lag: { readonly mean: number; readonly sd: number } | null;
  /** Share of frames whose subtask does not cover the true phase; null where the words are of another style. */
  readonly subtaskErrors: number | null;
}

const WORDS = /[\p{L}]+|\p{N}|[^\s\p{L}\p{N}]+/gu;

/** @param length tokens of a text; default counts words, digits and runs of signs */
export function reasoningStats(
  episodes: readonly AnnotatedTexts[],
  length: (text: string) => number = (text) => text.match(WORDS)?.length ?? 0,
): ReasoningStats {
  const lengths = new Map<string, number>();
  const lengthOf = (text: string): number => {
    const n = lengths.get(text) ?? length(text);
    lengths.set(text, n);
    return n;
  };
  const all = episodes.flatMap(({ texts }) => texts.map(lengthOf));
  let [same, pairs, numSpans, spanSeconds, wrong, judged] = [0, 0, 0, 0, 0, 0];
  const sameField = new Map<ReasoningTag, { same: number; pairs: number }>();
  const lags: number[] = [];
  const bits = { frame: 0, first: 0 };
  for (const { texts, phases, fps, words } of episodes) {
    const parsed = texts.map(parseReasoning);
    texts.forEach((text, t) => {
      if (t === 0) return;
      pairs++;
      if (text === texts[t - 1]) same++;
      for (const tag of REASONING_TAGS) {
        const [now, before] = [parsed[t]?.fields[tag], parsed[t - 1]?.fields[tag]];
        if (now === undefined || before === undefined) continue;
        const count = sameField.get(tag) ?? { same: 0, pairs: 0 };
        sameField.set(tag, count);
        count.pairs++;
        if (now === before) count.same++;
      }
    });
    bits.frame += 8 * deflateRawSync(texts.join('\n'), { level: 9 }).length;
    bits.first += 8 * deflateRawSync(texts[0] ?? '', { level: 9 }).length;
    const subtasks = parsed.map(({ fields }) => fields.SUBTASK ?? '');
    const cuts = subtasks.flatMap((subtask, t) => (t === 0 || subtask !== subtasks[t - 1] ? [t] : []));
    numSpans += cuts.length;
    spanSeconds += texts.length / fps;
    if (!words) continue;
    const covered = subtasks.map((subtask) => phasesOfSubtask(words, subtask) as ReadonlySet<string> | null);
    covered.forEach((set, t) => {
      judged++;
      if (!set?.has(phases[t] as string)) wrong++;
    });
    for (const cut of cuts.slice(1)) {
      const after = covered[cut];
      // Where the phases enter what this span says, nearest to where the span begins.
      const entries = phases.flatMap((phase, t) =>
        t > 0 && after?.has(phase) && !after.has(phases[t - 1] as string) ? [t] : [],
      );
      const nearest = entries.sort((a, b) => Math.abs(a - cut) - Math.abs(b - cut))[0];
      if (nearest !== undefined) lags.push((cut - nearest) / fps);
    }
  }
  const frames = all.length;
  const meanLag = lags.reduce((sum, lag) => sum + lag, 0) / Math.max(1, lags.length);
  const spread = Math.sqrt(lags.reduce((sum, lag) => sum + (lag - meanLag) ** 2, 0) / Math.max(1, lags.length));
  return {
    episodes: episodes.length,
    frames,
    length: {
      mean: all.reduce((sum, n) => sum + n, 0) / Math.max(1, frames),
      min: all.reduce((least, n) => Math.min(least, n), Number.POSITIVE_INFINITY),
      max: all.reduce((most, n) => Math.max(most, n), 0),
    },
    repeated: same / Math.max(1, pairs),
    repeatedByField: Object.fromEntries([...sameField].map(([tag, count]) => [tag, count.same / count.pairs])),
    distinctTexts: lengths.size,
    bits: { frame: bits.frame / Math.max(1, frames), first: bits.first / Math.max(1, episodes.length) },
    spans: {
      perEpisode: numSpans / Math.max(1, episodes.length),
      seconds: spanSeconds / Math.max(1, numSpans),
    },
    lag: lags.length > 0 ? { mean: meanLag, sd: spread } : null,
    subtaskErrors: judged > 0 ? wrong / judged : null,
  };
}

/** Texts and phases of a generated data set. @throws SimOptionError if it has no reasoning or no phases, or was generated elsewhere */
export async function annotatedTexts(dataset: LeRobotDataset): Promise<AnnotatedTexts[]> {
  for (const key of [REASONING_TEXT_KEY, PHASE_KEY]) {
    if (!(key in dataset.features))
      throw new SimOptionError(`${dataset.folder} has no column ${key}; generate it with: dualvla data generate`);
  }
  const columns = await dataset.readColumns([REASONING_TEXT_KEY, PHASE_KEY]);
  const column = (key: string, from: number, to: number): string[] =>
    ((columns.get(key) ?? []) as string[]).slice(from, to);
  const notes = await episodeNotes(dataset.folder);
  return dataset.episodes.map(({ index, fromIndex, toIndex }) => {
    const note = notes[index];
    const [subjectNoun, referenceNoun] = note?.nouns ?? [];
    const nouns = referenceNoun === undefined ? {} : { referenceNoun };
    return {
      texts: column(REASONING_TEXT_KEY, fromIndex, toIndex),
      phases: column(PHASE_KEY, fromIndex, toIndex),
      fps: dataset.fps,
      words: note && subjectNoun !== undefined ? planWords(taskOf(note.task).kind, { subjectNoun, ...nouns }) : null,
    };
  });
}

/** What the generator remembers of each episode; empty for a data set that it has not made. */
async function episodeNotes(folder: string): Promise<readonly EpisodeNote[]> {
  const text = await readFile(join(folder, PROVENANCE_FILE), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{"episodes":[]}';
    throw error;
  });
  return (JSON.parse(text) as { episodes: readonly EpisodeNote[] }).episodes;
}
