/**
 * The engine against Python on the same libtorch: cost of a call, and a transformer's training step in float32 and
 * bfloat16. Both sides run in processes of their own and in turn, so that what else the machine does meets both.
 *
 *   npx tsx bench/engine.ts [--rounds 5] [--steps 5] [--threads <cores>] [--python /usr/bin/python3] [--json]
 *   npx tsx bench/engine.ts --steps 0      calls and the small perceptron alone, a minute
 *
 * Times of calls and of the perceptron are processor time; of the transformer's steps wall time, with the ratio of processor times beside it, which other work on
 * the machine disturbs less. Each is the best of all rounds. Ratios above 1 mean that TypeScript is faster. Without a
 * Python torch of the same version it measures TypeScript alone. Both get the same settings of OpenMP.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { torch } from 'dualvla/torch';
import { engineEnvironment } from '../src/torch/cpu.js';
import type { Request } from './engine-child.js';
import { type Style, stepFlops, TRANSFORMER } from './engine-workloads.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    steps: { type: 'string', default: '5' },
    threads: { type: 'string' },
    python: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const steps = Number(values.steps);
const threads = Number(values.threads ?? torch.get_num_threads());

const CALLS = [
  ...['a.add(b)', 'torch.add(a, b)', 'a.add_(b)', 'a.mul(0.5)', 'a.add(b, {alpha})', 'a.view([1, 1])'],
  ...['m.transpose(0, 1)', 'm.sum([1], true)'],
];

/** A process that answers requests one after the other. */
class Side {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(
    readonly name: string,
    command: string,
    args: string[],
  ) {
    this.#process = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'inherit'] as never,
      env: { ...engineEnvironment(process.env), ...process.env },
    }) as ChildProcessWithoutNullStreams;
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async ask<T>(request: Request): Promise<T> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.name} ended without an answer to ${request.kind}`);
    return JSON.parse(value) as T;
  }

  end(): void {
    this.#process.stdin.end();
  }
}

interface StepTime {
  seconds: number;
  cpu: number;
  losses: number[];
}

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const node = new Side('TypeScript', process.execPath, ['--import', 'tsx', file('./engine-child.ts')]);
const python = findPython();
const sides = python ? [node, new Side('Python', python, [file('./engine_workloads.py')])] : [node];
const other = sides[1];

for (const side of sides) await side.ask({ kind: 'hello', threads });
const result = {
  libtorch: torch.version,
  threads,
  python: python ?? null,
  calls: await measureCalls(),
  // V8 compiles a step's functions again and again over the first thousands of its calls.
  perceptron: await measureSteps('perceptron', 'plain', false, 6000),
  matmul: steps === 0 ? null : { float32: await measureMatmul(false), bfloat16: await measureMatmul(true) },
  transformer:
    steps === 0
      ? {}
      : {
          'float32 plain': await measureSteps('f32 plain', 'plain', false, steps),
          'float32 library': await measureSteps('f32 library', 'library', false, steps),
          'bfloat16 plain': await measureSteps('bf16 plain', 'plain', true, steps),
          'bfloat16 library': await measureSteps('bf16 library', 'library', true, steps),
        },
};
for (const side of sides) side.end();
process.stdout.write(values.json ? `${JSON.stringify(result, null, 2)}\n` : render());

async function measureCalls() {
  const rows: Record<string, { js: number; python: number | null }> = {};
  for (const name of CALLS) {
    const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let round = 0; round <= rounds; round++) {
      for (const [i, side] of sides.entries()) {
        const count = 50_000;
        const { seconds } = await side.ask<{ seconds: number }>({ kind: 'calls', name, count });
        if (round > 0) best[i] = Math.min(best[i]!, (seconds / count) * 1e6);
      }
    }
    rows[name] = { js: best[0]!, python: other ? best[1]! : null };
  }
  return rows;
}

async function measureMatmul(bfloat16: boolean) {
  let best = 0;
  for (let round = 0; round < rounds; round++) {
    for (const size of [1024, 2048]) {
      best = Math.max(best, (await node.ask<{ rate: number }>({ kind: 'matmul', size, bfloat16 })).rate);
    }
  }
  return best;
}

async function measureSteps(name: string, style: Style, bfloat16: boolean, count: number) {
  const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const cpu = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const losses: number[][] = [[], []];
  for (const side of sides) await side.ask({ kind: 'peak' });
  for (let round = 0; round <= rounds; round++) {
    for (const [i, side] of sides.entries()) {
      const request = { kind: 'step', name, count, shape: TRANSFORMER, bfloat16, style } as const;
      const answer = await side.ask<StepTime>(request);
      losses[i]!.push(...answer.losses);
      if (round === 0) continue;
      best[i] = Math.min(best[i]!, answer.seconds / count);
      cpu[i] = Math.min(cpu[i]!, answer.cpu / count);
    }
  }
  const peaks: number[] = [];
  for (const side of sides) {
    peaks.push((await side.ask<{ megabytes: number }>({ kind: 'peak' })).megabytes);
    await side.ask({ kind: 'forget' });
  }
  const differences = losses[0]!.map((loss, i) => Math.abs(loss - (losses[1]![i] ?? loss)));
  return {
    js: best[0]!,
    python: other ? best[1]! : null,
    jsCpu: cpu[0]!,
    pythonCpu: other ? cpu[1]! : null,
    jsPeakMegabytes: peaks[0]!,
    pythonPeakMegabytes: peaks[1] ?? null,
    firstLoss: losses[0]![0]!,
    lastLoss: losses[0]!.at(-1)!,
    largestLossDifference: other ? Math.max(...differences) : null,
  };
}

/** A Python whose torch has the version of our libtorch; another version would compare engines, not languages. */
function findPython(): string | undefined {
  const wanted = torch.version.split('.').slice(0, 2).join('.');
  for (const command of values.python ? [values.python] : ['python3', '/usr/bin/python3']) {
    const { status, stdout } = spawnSync(command, ['-c', 'import torch; print(torch.__version__)'], {
      encoding: 'utf8',
    });
    if (status === 0 && stdout.startsWith(`${wanted}.`)) return command;
  }
  return undefined;
}

function render(): string {
  const lines = [
    `libtorch ${result.libtorch}, ${threads} threads, ${python ?? 'no Python torch of this version found'}`,
    '',
  ];
  lines.push('| call | TypeScript us | Python us | ratio |', '|---|---|---|---|');
  for (const [name, row] of Object.entries(result.calls)) lines.push(row4(name, row.js, row.python, 2));
  const { perceptron: p } = result;
  lines.push(
    row4('perceptron, forward + backward', p.jsCpu * 1e6, p.pythonCpu === null ? null : p.pythonCpu * 1e6, 1),
    '',
  );
  if (result.matmul === null) return lines.join('\n');
  const { float32, bfloat16 } = result.matmul;
  lines.push(`matmul: float32 ${float32.toFixed(0)} GFLOP/s, bfloat16 ${bfloat16.toFixed(0)} GFLOP/s`, '');
  lines.push(
    '| transformer step | TypeScript ms | Python ms | ratio | ratio of CPU time | share of matmul rate | peak MB (Python) | loss, largest difference |',
    '|---|---|---|---|---|---|---|---|',
  );
  for (const [name, row] of Object.entries(result.transformer)) {
    const rate = name.startsWith('float32') ? float32 : bfloat16;
    const share = (stepFlops(TRANSFORMER) / row.js / 1e9 / rate) * 100;
    const ratio = row.python === null ? '-' : (row.python / row.js).toFixed(2);
    const processor = row.pythonCpu === null ? '-' : (row.pythonCpu / row.jsCpu).toFixed(2);
    const ms = (seconds: number | null): string => (seconds === null ? '-' : (seconds * 1000).toFixed(0));
    const peak = `${row.jsPeakMegabytes.toFixed(0)} (${row.pythonPeakMegabytes?.toFixed(0) ?? '-'})`;
    const loss = `${row.firstLoss.toFixed(5)} to ${row.lastLoss.toFixed(5)}, ${row.largestLossDifference?.toExponential(1) ?? '-'}`;
    lines.push(
      `| ${name} | ${ms(row.js)} | ${ms(row.python)} | ${ratio} | ${processor} | ${share.toFixed(0)} % | ${peak} | ${loss} |`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function row4(name: string, js: number, reference: number | null, digits: number): string {
  const ratio = reference === null ? '-' : (reference / js).toFixed(2);
  return `| ${name} | ${js.toFixed(digits)} | ${reference?.toFixed(digits) ?? '-'} | ${ratio} |`;
}
