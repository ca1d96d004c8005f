#!/usr/bin/env node
/**
 * Makes a specialist that ships: models/specialist, that of study `paper-discrete`, from which `dualvla demo` starts, and
 * models/specialist-frozen, that of `paper-frozen`; both are what the results in results/ were made from. 800 demonstrations of each of
 * four tasks, from a VLM trained on 20 000 questions. Copies what inference and further training need, and says in origin.json how it
 * came about and what it reached on the study's test scenes.
 *
 *   node scripts/make-specialist.mjs [--study paper-discrete] [--work outputs/paper-discrete] [--out models/specialist]
 *
 * One and a half hours of one core, or what is left of them: a study that has its specialist is used as it is.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SHIPPED = { 'paper-discrete': 'models/specialist', 'paper-frozen': 'models/specialist-frozen' };
const USAGE = `node scripts/make-specialist.mjs [--study NAME] [--work FOLDER] [--out FOLDER]

Makes a specialist that ships: the one of a study. One and a half hours of one core, or what is left of them:
a study that has its specialist is used as it is.

  --study NAME    ${Object.keys(SHIPPED).join(' or ')} (${Object.keys(SHIPPED)[0]})
  --work FOLDER   the study (outputs/NAME)
  --out FOLDER    the specialist (${Object.values(SHIPPED).join(' or ')})
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
        study: { type: 'string', default: 'paper-discrete' },
        work: { type: 'string' },
        out: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
}
const study = flags.study;
const shipsAs = SHIPPED[study];
if (shipsAs === undefined) {
  process.stderr.write(`error: no specialist of '${study}' ships\n\n${USAGE}`);
  process.exit(2);
}
const work = flags.work ?? join('outputs', study);
const out = flags.out ?? shipsAs;
const FILES = ['config.json', 'dataset_statistics.json', 'model.safetensors', 'tokenizer.json'];

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
const words = ['study', 'run', study, '--output', work, '--seeds', '1', '--only', 'specialist', '--jobs', '2'];
const { status } = spawnSync(process.execPath, [bin, ...words], { stdio: ['ignore', 'inherit', 'inherit'] });
if (status !== 0) process.exit(status ?? 1);

const folder = join(work, 'seed-0', 'specialist');
const from = join(folder, 'train', 'checkpoints', 'last', 'pretrained_model');
mkdirSync(out, { recursive: true });
for (const file of FILES) copyFileSync(join(from, file), join(out, file));

const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
// The folder where it was made (which may have moved since) says nothing to others.
const config = readFileSync(join(from, 'train_config.json'), 'utf8');
const madeIn = JSON.parse(config).output_dir.replace(/seed-0.specialist.train$/, '');
writeFileSync(join(out, 'train_config.json'), config.replaceAll(madeIn, `outputs/${study}/`));

const { steps, batch_size, seed } = read(join(from, 'train_config.json'));
const measured = read(join(folder, 'test', 'measurement.json'));
const origin = {
  made_by: 'scripts/make-specialist.mjs',
  study,
  seed,
  commit: read(join(work, 'steps.json'))['seed-0/train/specialist'].commit,
  samples: steps * batch_size,
  measured_on: `${measured.trials} ${measured.split} scenes a task`,
  success: measured.success,
  action_error: measured.actionError.own,
};
writeFileSync(join(out, 'origin.json'), `${JSON.stringify(origin, null, 2)}\n`);
process.stdout.write(`${out}: ${JSON.stringify(origin.success)}\n`);
