/** A process that trains a tiny run until it is told otherwise, for tests of the run's lock: argv is the data set and the run directory. */
import { parseTrainConfig } from './config.js';
import { tinyConfig } from './tiny-run.test-support.js';
import { trainInWorker } from './trainer.js';

const [root = '', runDir = '', mode = 'new'] = process.argv.slice(2);
const config = parseTrainConfig(tinyConfig(root, runDir, 1_000_000));
try {
  for await (const event of trainInWorker(
    config,
    mode === 'new' ? { kind: 'new' } : { kind: 'resume', path: runDir },
  )) {
    if (event.type === 'checkpoint') process.stdout.write('saved\n');
  }
} catch (error) {
  process.stdout.write(`${(error as Error).name}: ${(error as Error).message}\n`);
}
