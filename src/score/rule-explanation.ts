/** What the rule judge's marks come from, in a sentence or two: for examples that are shown to other judges. */
import type { EpisodeTrace } from '../eval/trace.js';
import { reasoningValidity } from './reasoning-validity.js';
import { ANCHORS, actionMeasures } from './rule-judge.js';

/** Which of two words fits a measure between its anchors. */
const graded = (value: number, { worst, best }: { worst: number; best: number }, words: readonly string[]): string => {
  const share = Math.min(0.999, Math.max(0, (value - worst) / (best - worst)));
  return words[Math.floor(share * words.length)] as string;
};

export function explainMarks(episode: EpisodeTrace): string {
  const measures = actionMeasures(episode);
  const smooth = graded(measures.logDimensionlessJerk, ANCHORS.logDimensionlessJerk, [
    'very jerky',
    'unsteady',
    'smooth',
  ]);
  const direct = graded(measures.pathEfficiency, ANCHORS.pathEfficiency, [
    'wanders far off the direct way',
    'makes detours',
    'goes nearly the direct way',
  ]);
  const touching = Math.round(measures.collisions * episode.trace.length);
  const collisions =
    touching === 0 ? 'touches nothing that it should not' : `touches what it should not in ${touching} steps`;
  const furthest = Math.max(...episode.trace.map(({ progress }) => progress), episode.end.progress);
  const done = episode.success
    ? 'The task is done.'
    : `The task is not done: ${Math.round(100 * furthest)} % of the way at best.`;
  return `The motion is ${smooth}, ${direct} and ${collisions}. ${done}${wordsOf(episode)}`;
}

function wordsOf(episode: EpisodeTrace): string {
  if (!episode.reasons) return '';
  const { reasoned, subtask, objects, move } = reasoningValidity([episode]);
  if (reasoned === 0) return ' It never says what it thinks.';
  const percent = (share: number | undefined): string => `${Math.round(100 * (share ?? 0))} %`;
  return ` The stated subtask is right in ${percent(subtask)} of the steps, the stated objects in ${percent(objects)}, and the stated moves fit the motion in ${percent(move)}.`;
}
