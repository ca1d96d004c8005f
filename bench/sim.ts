/**
 * Benchmarks of the embedded simulator on one core, and the expert's success table.
 *
 *   npx tsx bench/sim.ts                       speed: control steps/s and frames/s
 *   npx tsx bench/sim.ts --expert 200          expert success over the first 200 validation seeds of every task
 *   npx tsx bench/sim.ts --expert 100 --tasks google/move-near --variants vm,va --perturb 0.1 --misses 0.5
 *
 * Rates are calls per second of CPU time of one thread, so that other processes do not count; a busy machine still lowers them (caches, shared cores).
 * Build first (npm run build).
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { Env, Expert, expertTable, TASK_IDS, type TaskId, type Variant, validationSeed } from 'dualvla/sim';

const { values } = parseArgs({
  options: {
    expert: { type: 'string' },
    tasks: { type: 'string', default: TASK_IDS.join(',') },
    variants: { type: 'string', default: 'vm' },
    perturb: { type: 'string', default: '0' },
    misses: { type: 'string', default: '0' },
    workers: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
});

const median = (times: number[]): number => times.sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;

/** CPU time of one call, milliseconds. */
function timed(times: number[], run: () => void): void {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  times.push((user + system) / 1000);
}

/** WebAssembly is compiled in tiers: the first seconds are slower. */
async function warmUp(): Promise<void> {
  const env = await Env.create({ task: 'widowx/put-carrot-on-plate' });
  for (let i = 0; i < 10; i++) {
    env.reset(validationSeed(i));
    const expert = new Expert(env);
    while (!env.step(expert.act().action).done);
  }
  env.dispose();
}

async function speed(): Promise<void> {
  console.log(`${cpus()[0]?.model.trim()} (${cpus().length} cores), node ${process.version}\n`);
  console.log('| task | control steps/s | frames/s 64 px | 64 px, no shadow | 96 px | 128 px | 224 px | ms a reset |');
  console.log('|---|---|---|---|---|---|---|---|');
  await warmUp();
  for (const task of TASK_IDS) {
    const env = await Env.create({ task, cameras: [] });
    const plain = await Env.create({ task, cameras: [], shadows: false });
    const [steps, resets]: [number[], number[]] = [[], []];
    const frames = new Map<string, number[]>(['64', '64 plain', '96', '128', '224'].map((key) => [key, []]));
    for (let i = 0; i < 14; i++) {
      timed(resets, () => env.reset(validationSeed(i)));
      plain.reset(validationSeed(i));
      for (const camera of ['third', 'wrist'] as const) {
        for (const [key, times] of frames) {
          const [size, kind] = key.split(' ');
          const target = kind ? plain : env;
          timed(times, () => void target.render(camera, Number(size)));
        }
      }
      const expert = new Expert(env);
      for (let done = false; !done; ) {
        const { action } = expert.act();
        timed(steps, () => {
          done = env.step(action).done;
        });
      }
    }
    const rate = (times: number[] | undefined): string => (1000 / median(times ?? [])).toFixed(0);
    const cells = ['64', '64 plain', '96', '128', '224'].map((key) => rate(frames.get(key)));
    console.log(`| ${task} | ${rate(steps)} | ${cells.join(' | ')} | ${median(resets).toFixed(1)} |`);
    env.dispose();
    plain.dispose();
  }
}

async function expert(episodes: number): Promise<void> {
  const options = {
    episodes,
    tasks: values.tasks.split(',') as TaskId[],
    variants: values.variants.split(',') as Variant[],
    workers: Number(values.workers),
    expert: { perturbProbability: Number(values.perturb), failedGraspProbability: Number(values.misses) },
  };
  if (!values.json) {
    console.log('| task | variant | success | median steps | longest | failed seeds |\n|---|---|---|---|---|---|');
  }
  for await (const row of expertTable(options)) {
    if (values.json) console.log(JSON.stringify(row));
    else {
      const failed = row.failedSeeds.join(' ') || '-';
      console.log(
        `| ${row.task} | ${row.variant} | ${row.successes}/${row.trials} | ${row.medianSteps} | ${row.maxSteps} | ${failed} |`,
      );
    }
  }
}

if (values.expert === undefined) await speed();
else await expert(Number(values.expert));
