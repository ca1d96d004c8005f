/** `dualvla rollout`: runs a policy on one task, counts successes and films it. */
import type { Command } from 'commander';
import type { RolloutEpisode } from '../eval/rollout.js';
import { wilsonInterval } from '../eval/wilson.js';
import type { Split } from '../sim/index.js';
import { UsageError } from './errors.js';
import { oneOf, required, wholeNumber } from './options.js';
import { findPolicy } from './policies.js';
import { withStopSignal } from './stop-signal.js';
import { formatInterval, formatRate, Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla rollout --task widowx/put-carrot-on-plate --policy expert --video carrot.mp4
  dualvla rollout --task google/open-drawer --variant va --policy random --episodes 20
  dualvla rollout --task widowx/put-carrot-on-plate --policy models/specialist --episodes 100 --json

Scenes are numbered within a split; --seed S --episodes N runs S, S+1, ... The same seed is the same scene for every policy.
`;

interface RolloutFlags {
  task?: string;
  policy?: string;
  variant: string;
  episodes: number;
  seed: number;
  split: Split;
  video?: string;
  size: number;
  camera: 'third' | 'wrist';
  json?: boolean;
}

export function registerRollout(program: Command): void {
  program
    .command('rollout')
    .description('run a policy on one task, count successes, film it')
    .option('--task <robot/task>', "the task; 'dualvla sim tasks' lists them")
    .option('--policy <who>', 'expert, random, or a checkpoint (a run, a checkpoint or its pretrained_model)')
    .option('--variant <name>', 'vm (fixed look), va (changed look) or one factor, va:lighting ...', 'vm')
    .option('--episodes <n>', 'how many', wholeNumber(1), 1)
    .option('--seed <s>', 'number of the first scene within the split', wholeNumber(), 0)
    .option(
      '--split <name>',
      'test, validation or train scenes',
      oneOf('split', ['test', 'validation', 'train']),
      'test',
    )
    .option('--video <file.mp4>', 'film all episodes into one file')
    .option('--size <pixels>', 'side of the film', wholeNumber(16), 256)
    .option('--camera <name>', 'third or wrist', oneOf('camera', ['third', 'wrist']), 'third')
    .option('--json', 'print {task, variant, successes, trials} and what it was run with')
    .addHelpText('before', EXAMPLES)
    .action(runRollout);
}

async function runRollout(flags: RolloutFlags): Promise<void> {
  const { taskOf } = await import('../sim/index.js');
  const { parseVariant } = await import('../sim/variation.js');
  const task = taskOf(required(flags.task, '--task <robot/task>')).id;
  const who = required(flags.policy, '--policy <who>');
  const variant = parseVariant(flags.variant);
  if (flags.video !== undefined && flags.size % 2 === 1) throw new UsageError('--size: mp4 needs an even number');
  if (flags.video !== undefined && !flags.video.endsWith('.mp4')) throw new UsageError('--video: the file is an .mp4');
  const { rollout } = await import('../eval/rollout.js');
  const policy = await findPolicy(who);
  const episodes = Array.from({ length: flags.episodes }, (_, i) => flags.seed + i);
  const film =
    flags.video === undefined ? {} : { film: { camera: flags.camera, size: flags.size, episodes: new Set(episodes) } };
  const progress = new Progress(`rollout ${task}`, episodes.length);
  const done: RolloutEpisode[] = [];
  await withStopSignal(
    async (signal) => {
      for await (const episode of rollout({ task, variant, split: flags.split, episodes, policy, ...film, signal })) {
        done.push(episode);
        progress.update(done.length);
      }
    },
    () => process.stderr.write('stopping\n'),
  );
  progress.clear();
  done.sort((a, b) => a.record.index - b.record.index);
  const count = { successes: done.filter(({ record }) => record.success).length, trials: done.length };
  if (flags.video !== undefined) {
    const { writeFilm } = await import('../eval/film.js');
    const filmed = done.map(({ record, frames, controlHz }) => ({ success: record.success, frames, controlHz }));
    await writeFilm(flags.video, filmed, flags.size);
  }
  if (flags.json) {
    const { split, seed } = flags;
    process.stdout.write(`${JSON.stringify({ task, variant, ...count, split, seed, policy: who })}\n`);
    return;
  }
  for (const { record } of done.length <= 20 ? done : []) {
    const outcome = record.success ? 'success' : 'failure';
    process.stdout.write(`${outcome}  ${record.steps} steps  seed ${record.index}  "${record.instruction}"\n`);
  }
  const rate = `${count.successes}/${count.trials}  ${formatRate(count.successes / count.trials)}`;
  const interval = `95 % interval ${formatInterval(wilsonInterval(count))} %`;
  process.stdout.write(`${task} ${variant}  ${rate}  ${interval}${flags.video ? `  film: ${flags.video}` : ''}\n`);
}
