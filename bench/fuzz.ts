/**
 * Damaged files of every format: each must be read, or refused with a named error, in bounded time and memory.
 *
 *   npx tsx bench/fuzz.ts --format rlds --inputs 10000 [--seed 1] [--seconds 30] [--memory 1024] [--json]
 *   npx tsx bench/fuzz.ts --format all --inputs 10000
 *   npx tsx bench/fuzz.ts --format rlds --seed 1 --only 4711        one input again
 *
 * Inputs follow from the seed, which is printed. Reading happens in a process of its own: one that hangs on an input longer than --seconds
 * is ended, and a new one goes on behind it. Exit code 1 where anything was found. Build first (npm run build).
 */
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Finding, Tally } from './fuzz/child.js';
import { FORMATS } from './fuzz/formats.js';

const { values } = parseArgs({
  options: {
    format: { type: 'string', default: 'all' },
    inputs: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string', default: '30' },
    memory: { type: 'string', default: '1024' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

interface Result extends Tally {
  readonly format: string;
  readonly inputs: number;
  readonly seconds: number;
  readonly findings: Finding[];
}

const CHILD = fileURLToPath(new URL('./fuzz/child.ts', import.meta.url));

async function fuzz(name: string, first: number, last: number): Promise<Result> {
  const work = mkdtempSync(join(tmpdir(), 'dualvla-fuzz-'));
  const started = performance.now();
  const findings: Finding[] = [];
  const total: Tally = { read: 0, refused: 0, peakMb: 0 };
  try {
    mkdirSync(join(work, 'sound'));
    await FORMATS[name]?.prepare(join(work, 'sound'));
    for (let next = first; next < last; ) {
      const { finding, tally, reached } = await runChild(name, next, last, work);
      findings.push(...finding);
      total.read += tally.read;
      total.refused += tally.refused;
      total.peakMb = Math.max(total.peakMb, tally.peakMb);
      next = reached;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return { format: name, inputs: last - first, seconds: (performance.now() - started) / 1000, findings, ...total };
}

/** Runs a child from an input on until it is done, hangs or dies. */
function runChild(
  name: string,
  from: number,
  to: number,
  work: string,
): Promise<{ finding: Finding[]; tally: Tally; reached: number }> {
  const place = join(work, 'place');
  writeFileSync(place, String(from));
  const at = (): number => Number(existsSync(place) ? readFileSync(place, 'utf8') : from) || from;
  const finding: Finding[] = [];
  let tally: Tally = { read: 0, refused: 0, peakMb: 0 };
  let reached: number | undefined;
  const child = fork(CHILD, [name, values.seed, String(from), String(to), work, values.memory], {
    execArgv: ['--import', 'tsx', '--max-old-space-size=768'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr?.on('data', (data: Buffer) => {
    stderr = (stderr + data.toString()).slice(-2000);
  });
  child.on('message', (message: { finding?: Finding; tally?: Tally; next?: number }) => {
    if (message.finding) finding.push(message.finding);
    if (message.tally) tally = message.tally;
    if (message.next !== undefined) reached = message.next;
  });
  let [last, since] = [-1, performance.now()];
  const watch = setInterval(() => {
    const now = at();
    if (now !== last) [last, since] = [now, performance.now()];
    else if (performance.now() - since > Number(values.seconds) * 1000) child.kill('SIGKILL');
  }, 250);
  return new Promise((resolve) => {
    child.on('close', (status, signal) => {
      clearInterval(watch);
      if (reached === undefined) {
        const index = at();
        const kind = signal === 'SIGKILL' ? 'hang' : 'crash';
        finding.push({ index, file: '', kind, message: `status ${status ?? signal}: ${stderr.slice(-600)}` });
        reached = index + 1;
      }
      resolve({ finding, tally, reached });
    });
  });
}

const names = values.format === 'all' ? Object.keys(FORMATS) : values.format.split(',');
const unknown = names.find((name) => !(name in FORMATS));
if (unknown !== undefined) {
  console.error(`there is no format ${unknown}; there are ${Object.keys(FORMATS).join(', ')}`);
  process.exit(2);
}
const first = Number(values.only ?? 0);
const last = values.only === undefined ? Number(values.inputs) : first + 1;
if (!values.json) {
  console.log(`seed ${values.seed}\n`);
  console.log(
    '| format | inputs | read | refused by name | findings | inputs/s | peak MiB |\n|---|---|---|---|---|---|---|',
  );
}
const results: Result[] = [];
for (const name of names) {
  const result = await fuzz(name, first, last);
  results.push(result);
  const { inputs, read, refused, findings, seconds, peakMb } = result;
  if (values.json) continue;
  console.log(
    `| ${name} | ${inputs} | ${read} | ${refused} | ${findings.length} | ${(inputs / seconds).toFixed(0)} | ${peakMb.toFixed(0)} |`,
  );
  for (const { index, file, kind, message } of findings.slice(0, 20))
    console.error(`${name}: input ${index} (${file}): ${kind}: ${message}`);
}
if (values.json) console.log(JSON.stringify({ seed: Number(values.seed), results }));
process.exitCode = results.some(({ findings }) => findings.length > 0) ? 1 : 0;
