#!/usr/bin/env node
/**
 * Sets up everything that the demo and the tests need, and only what is missing:
 * npm packages, Debian packages (engine, compiler, ffmpeg), the native addon, compiled TypeScript.
 *
 *   node scripts/setup.mjs           for using it
 *   node scripts/setup.mjs --test    for testing it too: adds a Chromium for the report's browser test
 *   node scripts/setup.mjs --quiet   says nothing when there is nothing to do
 *
 * Safe to repeat: with everything in place it takes well under two seconds. It changes nothing outside the project but
 * Debian packages (root or sudo). Plain JavaScript without dependencies.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile, hashOf, isCompiled } from './compile.mjs';
import * as machine from './machine.mjs';

const { root } = machine;
const logs = join(root, 'build', 'setup');

const flags = new Set(process.argv.slice(2));
const test = flags.delete('--test');
const quiet = flags.delete('--quiet');
if (flags.delete('--help') || flags.delete('-h')) {
  console.log(
    readFileSync(new URL(import.meta.url), 'utf8')
      .match(/\/\*\*([\s\S]*?)\*\//)[1]
      .replace(/^ \* ?/gm, '')
      .trim(),
  );
  process.exit(0);
}
if (flags.size > 0) fail(`unknown option ${[...flags].join(' ')}`, 'node scripts/setup.mjs --help', 2);

const began = Date.now();
if (!machine.nodeIsNewEnough()) {
  fail(
    `Node ${process.versions.node} is too old: ${machine.NODE_MINIMUM.join('.')} or newer is needed`,
    'see https://nodejs.org/en/download',
  );
}
if (process.platform !== 'linux')
  fail(`the engine is built for Linux, this is ${process.platform}`, 'use a Linux machine, container or WSL 2');

const engine = machine.findEngine();
if (engine.source === 'LIBTORCH' && engine.problem) fail(engine.problem, engine.next);

const steps = [debianPackages(), npmPackages(), addon(), typescript()].filter((step) => step !== undefined);
if (steps.length > 0) {
  mkdirSync(logs, { recursive: true });
  console.log(
    `Setting up DualVLA in ${root} (${steps.length} of 4 steps to do, about ${readable(sum(steps.map((s) => s.seconds)))}):`,
  );
  for (const step of steps) await perform(step);
}
if (steps.length > 0 || !quiet) {
  const what = steps.length > 0 ? 'Set up' : 'Everything is set up';
  console.log(`${what} (${readable((Date.now() - began) / 1000)}).`);
}

/** @typedef {{ name: string, what: string, seconds: number, run: () => Promise<void> }} Step */

/** @returns {Step | undefined} */
function npmPackages() {
  if (!existsSync(join(root, 'package-lock.json'))) return undefined;
  const stale = machine.staleNpmPackages();
  if (stale.length === 0) return undefined;
  const what = stale.length > 8 ? `${stale.length} packages` : stale.join(', ');
  return {
    name: 'npm packages',
    what,
    seconds: 25,
    run: async () => {
      if (!machine.which('npm')) fail('npm is not on PATH', 'sudo apt-get install npm');
      // Installs what the lock file says and leaves it alone. 'npm ci' would refuse a lock file that was written where
      // an optional package of another platform could not be had.
      await command('npm', 'npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
    },
  };
}

/** @returns {Step | undefined} */
function debianPackages() {
  const missing = machine.missingPackages({ test });
  if (missing.length === 0) return undefined;
  return {
    name: 'Debian packages',
    what: missing.join(' '),
    seconds: 15 + 12 * missing.length,
    run: () => installDebian(missing),
  };
}

async function installDebian(packages) {
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  const byHand = `sudo apt-get update && sudo apt-get ${install.join(' ')}`;
  if (!machine.which('apt-get')) {
    fail(
      `this is no Debian system and these are missing: ${packages.join(' ')}`,
      'install them, or set LIBTORCH to an unpacked libtorch for the engine',
    );
  }
  let prefix = [];
  if (process.getuid?.() !== 0) {
    const mayAsk = process.stdin.isTTY && process.stderr.isTTY;
    const maySudo =
      machine.which('sudo') && (mayAsk || spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0);
    if (!maySudo)
      fail(`Debian packages are missing and this user is neither root nor may use sudo: ${packages.join(' ')}`, byHand);
    prefix = ['sudo'];
  }
  const run = (args) => {
    const [first = '', ...rest] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', ...args];
    return attempt('apt', first, rest);
  };
  // A new machine has no package lists, an old one has stale lists: fetch them and try once more.
  const fresh = hasPackageLists() ? await run(install) : 1;
  if (fresh === 0) return;
  if ((await run(['update'])) !== 0)
    failWithLog('apt', "Debian's package lists could not be fetched", 'sudo apt-get update');
  if ((await run(install)) !== 0) failWithLog('apt', 'Debian packages could not be installed', byHand);
}

function hasPackageLists() {
  try {
    return readdirSync('/var/lib/apt/lists').some((name) => name.includes('_Packages'));
  } catch {
    return false;
  }
}

/** @returns {Step | undefined} */
function addon() {
  const build = join(root, 'native', 'build');
  const stamp = join(build, '.built-from');
  // engine.json says against which libtorch it was last built: somebody may have built it against another one since.
  const from = () => hashOf(['native', 'native/build/engine.json'], JSON.stringify(machine.findEngine()));
  const files = ['dualvla.node', 'environment.node', '.built-from'];
  if (files.every((name) => existsSync(join(build, name))) && readFileSync(stamp, 'utf8') === from()) return undefined;
  return {
    name: 'engine addon',
    what: engine.problem
      ? "against Debian's libtorch"
      : `against libtorch ${engine.version} (${engine.source}: ${engine.path})`,
    seconds: 60,
    run: async () => {
      await command('addon', process.execPath, [join(root, 'native', 'build.mjs')]);
      writeFileSync(stamp, from());
    },
  };
}

/** @returns {Step | undefined} */
function typescript() {
  if (isCompiled()) return undefined;
  return {
    name: 'TypeScript',
    what: 'src/ to dist/',
    seconds: 3,
    run: async () => {
      const result = compile();
      if (!result.ok) {
        process.stderr.write(result.text);
        fail('the TypeScript sources do not compile', 'npx tsc -p tsconfig.json');
      }
    },
  };
}

/** @param {Step} step */
async function perform(step) {
  console.log(`- ${step.name}: ${step.what} (about ${readable(step.seconds)})`);
  const start = Date.now();
  const heartbeat = setInterval(
    () => console.log(`    still at it after ${readable((Date.now() - start) / 1000)}`),
    30_000,
  );
  try {
    await step.run();
  } finally {
    clearInterval(heartbeat);
  }
  console.log(`    done in ${readable((Date.now() - start) / 1000)}`);
}

/** Runs a command with its output in a log file; ends set-up with one sentence where it fails. */
async function command(log, program, args) {
  const code = await attempt(log, program, args);
  if (code !== 0) {
    const shown = [program === process.execPath ? 'node' : program, ...args].join(' ');
    failWithLog(
      log,
      `'${shown}' exited with ${code}`,
      `read build/setup/${log}.log, mend it and run 'npm run setup' again`,
    );
  }
}

/** @returns {Promise<number>} the exit status. */
function attempt(log, program, args) {
  const file = createWriteStream(join(logs, `${log}.log`), { flags: 'a' });
  file.write(`\n$ ${program} ${args.join(' ')}\n`);
  return new Promise((done) => {
    const child = spawn(program, args, { cwd: root, stdio: ['inherit', 'pipe', 'pipe'] });
    child.stdout.pipe(file, { end: false });
    child.stderr.pipe(file, { end: false });
    child.on('error', (error) => file.end(`${error.message}\n`, () => done(127)));
    child.on('close', (code) => file.end(() => done(code ?? 1)));
  });
}

function failWithLog(log, what, next) {
  const lines = readFileSync(join(logs, `${log}.log`), 'utf8')
    .trimEnd()
    .split('\n');
  process.stderr.write(
    `${lines
      .slice(-15)
      .map((line) => `    ${line}`)
      .join('\n')}\n`,
  );
  fail(`${what} (all of it: build/setup/${log}.log)`, next);
}

function fail(what, next, code = 1) {
  process.stderr.write(`error: ${what}; next: ${next}\n`);
  process.exit(code);
}

function sum(numbers) {
  return numbers.reduce((total, x) => total + x, 0);
}

function readable(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1).replace(/\.0$/, '')} s`;
  const whole = Math.round(seconds);
  return whole < 90 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
