/** Evaluation with a progress line, for the verbs that evaluate. */
import type { EvaluateOptions } from '../eval/evaluate.js';
import { withStopSignal } from './stop-signal.js';
import { Progress } from './terminal.js';

/** Runs what the log misses. Throws AbortError when stopped with Ctrl-C. */
export async function runEvaluation(options: EvaluateOptions, label: string, hint = 'stopping'): Promise<void> {
  const { evaluate } = await import('../eval/evaluate.js');
  const progress = new Progress(`evaluate ${label}`, options.cells.length * options.trials);
  const successes = new Map<string, [number, number]>();
  await withStopSignal(
    async (signal) => {
      for await (const { record, done } of evaluate({ ...options, signal })) {
        const key = `${record.task} ${record.variant}`;
        const [won, tried] = successes.get(key) ?? [0, 0];
        successes.set(key, [won + (record.success ? 1 : 0), tried + 1]);
        progress.update(done, `${key} ${won + (record.success ? 1 : 0)}/${tried + 1}`);
      }
    },
    () => process.stderr.write(`${hint}\n`),
  );
  progress.clear();
}
