/** Evaluation with a progress line, for the verbs that evaluate. */
import type { EvaluateOptions } from '../eval/evaluate.js';
import type { EpisodeTrace } from '../eval/trace.js';
import { Progress } from './terminal.js';

/** Runs what the log misses. @throws AbortError when the options' signal is aborted */
export async function runEvaluation(
  options: EvaluateOptions,
  label: string,
  onTrace: (trace: EpisodeTrace) => void = () => undefined,
): Promise<void> {
  const { evaluate } = await import('../eval/evaluate.js');
  const progress = new Progress(`evaluate ${label}`, options.cells.length * options.trials);
  const counts = new Map<string, { successes: number; trials: number }>();
  for await (const { record, trace, done } of evaluate(options)) {
    if (trace !== undefined) onTrace(trace);
    const key = `${record.task} ${record.variant}`;
    const count = counts.get(key) ?? { successes: 0, trials: 0 };
    counts.set(key, count);
    count.trials++;
    if (record.success) count.successes++;
    progress.update(done, `${key} ${count.successes}/${count.trials}`);
  }
  progress.clear();
}
