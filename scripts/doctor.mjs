/**
 * The doctor: what engine, threads, BLAS, GPU and tools are found, what is missing, and the command that mends it.
 * Plain JavaScript without dependencies, so that it answers in a fresh clone with nothing installed or built.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { isCompiled } from './compile.mjs';
import * as machine from './machine.mjs';

const { root } = machine;
const SETUP = 'npm run setup';
const GIB = 2 ** 30;
const USAGE = `Usage: dualvla doctor [--json]

  dualvla doctor          what is found, what is missing, and the command that mends it
  dualvla doctor --json   the same for programs

Exit status: 0 all that is needed is there, 1 something is missing, 2 wrong usage.
`;

/**
 * @typedef {{ name: string, status: 'ok' | 'missing' | 'advice', found: string, mend?: string }} Check
 *   `missing` keeps something from working, `advice` makes it slower or concerns an optional part.
 */

/** Runs the verb. @param {string[]} args @returns {number} the exit status. */
export function doctor(args) {
  const flags = new Set(args);
  const json = flags.delete('--json');
  if (flags.delete('--help') || flags.delete('-h')) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (flags.size > 0) {
    process.stderr.write(`error: unknown option or argument '${[...flags][0]}'; next: dualvla doctor --help\n`);
    return 2;
  }
  const report = examine();
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : render(report));
  return report.ok ? 0 : 1;
}

/** Looks at everything; changes nothing. */
export function examine() {
  const engine = machine.findEngine();
  const addon = loadAddon();
  const facts = {
    engine,
    addon,
    blas: machine.findBlas(),
    bf16: bf16Support(),
    gpus: (machine.output('nvidia-smi', ['-L']) ?? '').split('\n').filter((line) => line.startsWith('GPU')),
    cores: availableParallelism(),
    tools: Object.fromEntries([...Object.keys(machine.TOOLS), 'npm', 'git'].map((tool) => [tool, toolVersion(tool)])),
    browser: machine.findBrowser(),
    memoryGiB: Math.round(totalmem() / GIB),
    diskFreeGiB: diskFree(),
  };
  const checks = [
    nodeCheck(),
    npmCheck(),
    engineCheck(engine),
    addonCheck(addon),
    blasCheck(facts, engine),
    threadsCheck(facts, addon),
    bf16Check(facts.bf16),
    gpuCheck(facts.gpus, engine),
    ...Object.keys(machine.TOOLS).map((tool) => toolCheck(tool, facts.tools[tool])),
    typescriptCheck(),
    browserCheck(facts.browser),
    diskCheck(facts),
  ];
  return { ok: checks.every((check) => check.status !== 'missing'), version: ownVersion(), checks, ...facts };
}

const ok = (name, found) => ({ name, status: 'ok', found });
const missing = (name, found, mend = SETUP) => ({ name, status: 'missing', found, mend });
const advice = (name, found, mend) => ({ name, status: 'advice', found, ...(mend ? { mend } : {}) });

function nodeCheck() {
  const version = process.versions.node;
  if (machine.nodeIsNewEnough()) return ok('node', version);
  return missing(
    'node',
    `${version}, older than ${machine.NODE_MINIMUM.join('.')}`,
    'see https://nodejs.org/en/download',
  );
}

function npmCheck() {
  const stale = machine.staleNpmPackages();
  if (stale.length === 0) return ok('npm packages', 'as in package-lock.json');
  const names = stale.length > 4 ? `${stale.slice(0, 3).join(', ')} and ${stale.length - 3} more` : stale.join(', ');
  return missing('npm packages', `not installed or in another version: ${names}`);
}

function engineCheck(engine) {
  if (engine.problem) return missing('engine', engine.problem, engine.next);
  const from = { LIBTORCH: 'from LIBTORCH', python: 'of Python', debian: "Debian's" }[engine.source];
  return ok('engine', `libtorch ${engine.version}, ${from} (${engine.path})${engine.cuda ? ', CUDA' : ''}`);
}

function addonCheck(addon) {
  if (!addon.built) return missing('addon', addon.problem);
  if (addon.problem)
    return missing('addon', `built, but does not load: ${addon.problem}`, `node native/build.mjs && ${SETUP}`);
  return ok('addon', `loads, libtorch ${addon.version}`);
}

function blasCheck({ blas }, engine) {
  if (engine.source !== 'debian') return ok('BLAS', engine.problem ? 'comes with the engine' : 'part of the engine');
  if (!blas) return missing('BLAS', 'none');
  if (blas.good) return ok('BLAS', `${blas.name} (${blas.path})`);
  const folder = blas.path.match(/^(\/usr\/lib\/[^/]+)/)?.[1] ?? '/usr/lib/x86_64-linux-gnu';
  const link = `libblas.so.3-${folder.split('/').pop()}`;
  const mend = `sudo apt-get install libopenblas0-openmp && sudo update-alternatives --set ${link} ${folder}/openblas-openmp/libblas.so.3`;
  return advice('BLAS', `${blas.name}, much slower with this engine than OpenBLAS (openmp)`, mend);
}

function threadsCheck({ cores }, addon) {
  const set = ['OMP_NUM_THREADS', 'GOMP_SPINCOUNT']
    .filter((name) => process.env[name])
    .map((name) => `${name}=${process.env[name]}`);
  const used = addon.threads === undefined ? '' : `${addon.threads} in the engine, `;
  const found = `${used}${cores} cores${set.length > 0 ? ` (${set.join(', ')})` : ''}`;
  if (addon.threads !== undefined && addon.threads < cores)
    return advice('threads', found, `OMP_NUM_THREADS=${cores} before the command`);
  return ok('threads', found);
}

function bf16Check(support) {
  return support
    ? ok('bfloat16', support)
    : advice('bfloat16', 'emulated: this processor has neither AMX nor AVX-512 BF16; float32 is faster');
}

function gpuCheck(gpus, engine) {
  if (gpus.length === 0) return ok('GPU', 'none (none is needed)');
  const names = gpus.map((line) => line.replace(/ \(UUID.*$/, '')).join(', ');
  if (engine.cuda) return ok('GPU', names);
  return advice('GPU', `${names}, not used: this libtorch has no CUDA`, 'pip install torch && npm run setup');
}

function toolCheck(tool, version) {
  return version ? ok(tool, version) : missing(tool, 'not on PATH');
}

function typescriptCheck() {
  if (!existsSync(join(root, 'dist/cli/main.js'))) return missing('TypeScript', 'not compiled yet');
  return isCompiled()
    ? ok('TypeScript', 'compiled')
    : advice('TypeScript', 'sources changed since they were compiled', SETUP);
}

function browserCheck(path) {
  return path
    ? ok('browser', path)
    : advice('browser', 'no Chromium: only the test of the report needs it', `${SETUP} -- --test`);
}

function diskCheck({ diskFreeGiB, memoryGiB }) {
  const found = `${diskFreeGiB} GiB free, memory ${memoryGiB} GiB`;
  return diskFreeGiB < 3
    ? advice('disk', `${found}: the demo writes about 1 GiB`, 'free some space')
    : ok('disk', found);
}

/** Loads the addon in a process of its own: a wrong one can crash, and the doctor has to live to tell. */
function loadAddon() {
  const entry = join(root, 'dist/torch/index.js');
  if (!existsSync(entry)) return { built: false, problem: 'not built yet' };
  const script = `
    const { torch } = await import(${JSON.stringify(entry)});
    const threads = typeof torch.get_num_threads === 'function' ? torch.get_num_threads() : undefined;
    const version = typeof torch.version === 'function' ? torch.version() : torch.version;
    torch.ones([2, 2]).matmul(torch.ones([2, 2])).sum().item();
    process.stdout.write(JSON.stringify({ version, threads }));`;
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (result.status === 0) return { built: true, ...JSON.parse(result.stdout) };
  const line = result.stderr.split('\n').find((text) => /error/i.test(text)) ?? result.signal ?? 'no reason given';
  return { built: !/not built|no addon|cannot find/i.test(line), problem: String(line).trim() };
}

function bf16Support() {
  let flags;
  try {
    flags = new Set(
      readFileSync('/proc/cpuinfo', 'utf8')
        .match(/^flags\s*:(.*)$/m)?.[1]
        ?.trim()
        .split(' '),
    );
  } catch {
    return undefined;
  }
  return flags.has('amx_bf16') ? 'AMX' : flags.has('avx512_bf16') ? 'AVX-512 BF16' : undefined;
}

function toolVersion(tool) {
  if (!machine.which(tool)) return undefined;
  const line = machine.output(tool, [tool === 'ffmpeg' ? '-version' : '--version'])?.split('\n')[0] ?? '';
  return line.match(/\d+\.\d+(\.\d+)?/)?.[0] ?? 'found';
}

function diskFree() {
  const { bavail, bsize } = statfsSync(root);
  return Math.round((bavail * bsize) / GIB);
}

function ownVersion() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
}

function render({ checks, version, ok: good }) {
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  const paint = (code, text) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  const mark = { ok: paint(32, 'ok     '), missing: paint(31, 'MISSING'), advice: paint(33, 'advice ') };
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, status, found, mend }) => {
    const line = `  ${mark[status]}  ${name.padEnd(width)}  ${found}`;
    return mend ? [line, `           ${' '.repeat(width)}  mend: ${paint(1, mend)}`] : [line];
  });
  const end = good ? 'All that is needed is there.' : 'Something is missing: run the commands after "mend".';
  return `DualVLA ${version}\n${lines.join('\n')}\n${end}\n`;
}
