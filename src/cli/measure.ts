/** `dualvla measure`: one trained model measured in every way that a study compares. */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { Measurement } from '../eval/measurement.js';
import { oneOf, required, wholeNumber } from './options.js';
import { findTasks, findVariants } from './policies.js';
import { withStopSignal } from './stop-signal.js';
import { formatSuccessTable } from './success-lines.js';
import { Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla measure --policy outputs/demo/seed-0/base/train --study demo --out outputs/measured/base
  dualvla measure --policy RUN --study paper-discrete --out DIR --questions outputs/data/questions --held-out outputs/data/held-out

Success in closed loop, questions about pictures, VLA Score with the rule judge, validity of the reasoning, action error on
held-out demonstrations, time and tokens a prediction. Everything goes to DIR/measurement.json, every episode to
DIR/episodes.jsonl and, step by step, to DIR/traces.jsonl.gz.
`;

interface MeasureFlags {
  policy?: string;
  study: string;
  out?: string;
  split: 'test' | 'validation';
  episodes?: number;
  questions?: string;
  heldOut?: string;
  sampleSkipping?: boolean;
  device: string;
  json?: boolean;
}

export function registerMeasure(program: Command): void {
  program
    .command('measure')
    .description('everything about one model: success, questions, VLA Score, action error, time')
    .option('--policy <run>', 'a run, a checkpoint or its pretrained_model')
    .option('--study <recipe>', 'whose tasks and variants', 'demo')
    .option('--out <dir>', 'where the results go; earlier ones are replaced')
    .option('--split <name>', 'test or validation scenes and questions', oneOf('split', ['test', 'validation']), 'test')
    .option('--episodes <n>', "scenes a task and variant in place of the recipe's", wholeNumber(1))
    .option('--questions <dir>', "questions ('dualvla data multimodal'); none without")
    .option('--held-out <dir>', 'held-out demonstrations for the action error; none without')
    .option('--sample-skipping', 'draw whether to think instead of doing the likelier (models of pruned data)')
    .option('--device <name>', 'cpu, cuda, cuda:1 ...', 'cpu')
    .option('--json', 'print the measurement as JSON')
    .addHelpText('before', EXAMPLES)
    .action(runMeasure);
}

async function runMeasure(flags: MeasureFlags): Promise<void> {
  const checkpoint = resolve(required(flags.policy, '--policy <run>'));
  const output = resolve(required(flags.out, '--out <dir>'));
  const { findRecipe } = await import('../recipes/index.js');
  const { commitOf } = await import('../eval/provenance.js');
  const { cellsOfAll } = await import('../eval/evaluate.js');
  const { measureModel, MEASUREMENT_FILE } = await import('../score/measure-model.js');
  const { evaluation } = findRecipe(flags.study);
  const cells = cellsOfAll(await findTasks(evaluation.tasks), await findVariants(evaluation.variants));
  let progress: { part: string; bar: Progress } | undefined;
  const measurement = await withStopSignal(
    (signal) =>
      measureModel({
        checkpoint,
        output,
        cells,
        trials: flags.episodes ?? evaluation.trials,
        split: flags.split,
        questions: flags.questions ?? null,
        heldOut: flags.heldOut ?? null,
        sampleSkipping: flags.sampleSkipping ?? false,
        commit: commitOf(fileURLToPath(new URL('../..', import.meta.url))),
        device: flags.device,
        signal,
        onProgress: (part, done, total) => {
          if (progress?.part !== part) {
            progress?.bar.clear();
            progress = { part, bar: new Progress(`measure ${part}`, total) };
          }
          progress.bar.update(done, '');
        },
      }),
    () => process.stderr.write('stopping; the same command begins again\n'),
  );
  progress?.bar.clear();
  process.stdout.write(flags.json ? `${JSON.stringify(measurement, null, 2)}\n` : describe(measurement));
  if (!flags.json) process.stdout.write(`${join(output, MEASUREMENT_FILE)}\n`);
}

function describe({ success, multimodal, vlaScore, thinking, actionError }: Measurement): string {
  const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`;
  const lines = [formatSuccessTable(success)];
  for (const [family, { correct, total }] of Object.entries(multimodal))
    lines.push(`${family.padEnd(18)} ${percent(correct, total)} (${correct}/${total})`);
  const { R, A, I, RA, score, interval, judge } = vlaScore;
  const marks = `${R === undefined ? '' : `R ${R.toFixed(1)}, `}A ${A.toFixed(1)}, I ${I.toFixed(1)}, RA ${RA.toFixed(1)}`;
  lines.push(`VLA Score ${score.toFixed(1)} (${interval.map((x) => x.toFixed(1)).join(' to ')}; ${marks}; ${judge})`);
  const { predictions, reasoned, tokens, secondsPerPrediction } = thinking;
  const time = secondsPerPrediction === null ? '' : `, ${(1000 * secondsPerPrediction).toFixed(1)} ms a prediction`;
  lines.push(`thinks before ${percent(reasoned, predictions)} of predictions, ${tokens} tokens${time}`);
  if (actionError !== null) {
    const { own, plain } = actionError;
    lines.push(`action error ${own.motion.toFixed(4)}, with reasoning suppressed ${plain.motion.toFixed(4)}`);
  }
  return `${lines.join('\n')}\n`;
}
