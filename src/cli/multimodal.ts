/** `dualvla data multimodal`: generates questions about pictures for training, validation and test. */
import type { Command } from 'commander';
import type { MultimodalOptions, MultimodalSummary } from '../sim/multimodal/index.js';
import { list, required, wholeNumber } from './options.js';
import { withStopSignal } from './stop-signal.js';
import { formatRate, formatTable, Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla data multimodal --out outputs/data/multimodal --samples 20000
  dualvla data multimodal --out outputs/data/charts --samples 4000 --families chart,table --image-size 128
  dualvla data multimodal --out outputs/data/multimodal --samples 20000 --resume      continue where it was stopped

Training questions are LLaVA JSON (train.json, images/), validation and test questions one VLMEvalKit TSV a family.
`;

interface MultimodalFlags {
  out?: string;
  samples: number;
  test: number;
  validation: number;
  seed: number;
  imageSize: number;
  families?: string[];
  workers: number;
  resume?: boolean;
  overwrite?: boolean;
  json?: boolean;
}

export function registerMultimodal(data: Command): void {
  data
    .command('multimodal')
    .description('questions about tabletop pictures, cards, tables and charts, in eight families')
    .option('--out <dir>', 'where the data set goes')
    .option('--samples <n>', 'training questions of all families together', wholeNumber(1), 20_000)
    .option('--test <n>', 'test questions a family', wholeNumber(), 100)
    .option('--validation <n>', 'validation questions a family', wholeNumber(), 50)
    .option('--seed <s>', 'other training pictures, 0 to 99', wholeNumber(), 0)
    .option('--image-size <pixels>', 'side of the pictures, 64 to 224', wholeNumber(64), 64)
    .option('--families <a,b>', 'only these families', list)
    .option('--workers <n>', 'drawing threads', wholeNumber(1), 2)
    .option('--resume', 'continue an unfinished data set')
    .option('--overwrite', 'replace the data set that is there')
    .option('--json', 'print a summary as JSON')
    .addHelpText('before', EXAMPLES)
    .action(multimodal);
}

async function multimodal({ json, families, ...flags }: MultimodalFlags): Promise<void> {
  const { parseFamilies } = await import('../sim/multimodal/index.js');
  const options: MultimodalOptions = {
    out: required(flags.out, '--out <dir>'),
    samples: flags.samples,
    test: flags.test,
    validation: flags.validation,
    seed: flags.seed,
    imageSize: flags.imageSize,
    workers: flags.workers,
    ...(families ? { families: parseFamilies(families) } : {}),
    ...(flags.resume ? { resume: true } : {}),
    ...(flags.overwrite ? { overwrite: true } : {}),
  };
  const summary = await withStopSignal(
    (signal) => runMultimodal({ ...options, signal }),
    () => process.stderr.write('stopping; next: the same command with --resume\n'),
  );
  if (json) return print(JSON.stringify(summary));
  print(
    `${summary.folder}: ${summary.samples} training questions about ${summary.pictures} pictures, ${summary.test} test questions`,
  );
  const rows = Object.entries(summary.chance).map(([family, chance]) => ['  ', family, formatRate(chance)]);
  print(formatTable([['  ', 'family', 'by guessing'], ...rows], [2]));
}

/** Generates with a progress line. */
export async function runMultimodal(options: MultimodalOptions): Promise<MultimodalSummary> {
  const { generateMultimodal } = await import('../sim/multimodal/index.js');
  const events = generateMultimodal(options);
  let progress: Progress | undefined;
  for (;;) {
    const { value, done } = await events.next();
    if (done) return value;
    if (value.kind === 'start') {
      progress = new Progress('multimodal pictures', value.total);
      progress.update(value.done);
    } else if (value.kind === 'pictures') progress?.update(value.done);
    else progress?.finish(`${value.samples} questions, ${value.pictures} pictures`);
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
