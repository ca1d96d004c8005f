#!/usr/bin/env node
/**
 * Makes the specialist that ships in models/specialist and that `dualvla demo` starts from: the one of study `paper-discrete`, 800
 * demonstrations of each of four tasks, from a VLM trained on 20 000 questions. Copies what inference and further training need, and says
 * in origin.json how it came about and what it reached on the study's test scenes.
 *
 *   node scripts/make-specialist.mjs [--work outputs/paper-discrete] [--out models/specialist]
 *
 * One and a half hours of one core, or what is left of them: a study that has its specialist is used as it is.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const USAGE = `node scripts/make-specialist.mjs [--work FOLDER] [--out FOLDER]

Makes the specialist that ships: the one of study paper-discrete. One and a half hours of one core, or what is left of them:
a study that has its specialist is used as it is.

  --work FOLDER   the study (outputs/paper-discrete)
  --out FOLDER    the specialist (models/specialist)
`;
const { values: flags } = options();
if (flags.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}

function options() {
  try {
    return parseArgs({
      options: {
        work: { type: 'string', default: 'outputs/paper-discrete' },
        out: { type: 'string', default: 'models/specialist' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
}
const STUDY = 'paper-discrete';
const FILES = ['config.json', 'dataset_statistics.json', 'model.safetensors', 'tokenizer.json'];

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
const words = ['study', 'run', STUDY, '--output', flags.work, '--seeds', '1', '--only', 'specialist', '--jobs', '2'];
const { status } = spawnSync(process.execPath, [bin, ...words], { stdio: ['ignore', 'inherit', 'inherit'] });
if (status !== 0) process.exit(status ?? 1);

const folder = join(flags.work, 'seed-0', 'specialist');
const from = join(folder, 'train', 'checkpoints', 'last', 'pretrained_model');
mkdirSync(flags.out, { recursive: true });
for (const file of FILES) copyFileSync(join(from, file), join(flags.out, file));

// The folder where it was made says nothing to others.
const config = readFileSync(join(from, 'train_config.json'), 'utf8');
writeFileSync(join(flags.out, 'train_config.json'), config.replaceAll(`${resolve(flags.work)}/`, `outputs/${STUDY}/`));

const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
const { steps, batch_size, seed } = read(join(from, 'train_config.json'));
const measured = read(join(folder, 'test', 'measurement.json'));
const origin = {
  made_by: 'scripts/make-specialist.mjs',
  study: STUDY,
  seed,
  commit: read(join(flags.work, 'steps.json'))['seed-0/train/specialist'].commit,
  samples: steps * batch_size,
  measured_on: `${measured.trials} ${measured.split} scenes a task`,
  success: measured.success,
  action_error: measured.actionError.own,
};
writeFileSync(join(flags.out, 'origin.json'), `${JSON.stringify(origin, null, 2)}\n`);
process.stdout.write(`${flags.out}: ${JSON.stringify(origin.success)}\n`);
