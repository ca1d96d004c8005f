/**
 * What this machine has: commands, the engine (libtorch), Debian packages. Plain JavaScript without dependencies, because
 * set-up and the doctor run before anything is installed or built.
 *
 * It only looks; it installs and builds nothing and prints nothing.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root folder, whatever the current folder is. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** The oldest Node that the dependencies run on. */
export const NODE_MINIMUM = [20, 19];

/** Debian packages that the engine needs when no other libtorch is there. */
export const DEBIAN_ENGINE = ['libtorch-dev', 'libgloo-dev', 'libopenblas0-openmp'];

/** Commands that set-up and the project use, with the Debian package each comes in. */
export const TOOLS = {
  cmake: 'cmake',
  'g++': 'g++',
  make: 'make',
  ffmpeg: 'ffmpeg',
};

/** Names under which Debian and others install the browser of the report's test. */
export const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];

/** @returns {string | undefined} where `command` lies on PATH. */
export function which(command) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, command);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** @returns {string | undefined} what a command prints, trimmed; undefined where it is absent or fails. */
export function output(command, args, timeout = 10_000) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', timeout, stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

export function nodeIsNewEnough(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [wantMajor = 0, wantMinor = 0] = NODE_MINIMUM;
  return major > wantMajor || (major === wantMajor && minor >= wantMinor);
}

/**
 * The libtorch to build against, in this order: LIBTORCH, an importable Python torch, Debian's packages.
 * A LIBTORCH that is set and wrong is an error and never passed over.
 *
 * @returns {{ source: 'LIBTORCH' | 'python' | 'debian', path: string, version: string, cuda: boolean, problem?: string }
 *   | { source: 'none' | 'LIBTORCH', problem: string, next: string }}
 */
export function findEngine(env = process.env) {
  if (env.LIBTORCH) {
    const path = resolve(env.LIBTORCH);
    if (existsSync(join(path, 'share/cmake/Torch/TorchConfig.cmake'))) return describeEngine('LIBTORCH', path);
    return {
      source: 'LIBTORCH',
      problem: `LIBTORCH is ${path}, which holds no share/cmake/Torch/TorchConfig.cmake`,
      next: "point LIBTORCH at an unpacked libtorch or run 'unset LIBTORCH'",
    };
  }
  const python = pythonTorch();
  if (python) return describeEngine('python', python);
  const debian = debianTorch();
  if (debian) return debian;
  return { source: 'none', problem: 'no libtorch found', next: 'npm run setup' };
}

/** Folder of the torch that python3 would import; found without importing it, which would take seconds. */
function pythonTorch() {
  if (!which('python3')) return undefined;
  const find =
    "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s and s.submodule_search_locations else '')";
  const path = output('python3', ['-c', find]);
  return path && existsSync(join(path, 'share/cmake/Torch/TorchConfig.cmake')) ? path : undefined;
}

function describeEngine(source, path) {
  const python = readText(join(path, 'version.py'))?.match(/__version__ = '([^']+)'/)?.[1];
  const unpacked = readText(join(path, 'build-version'))?.trim();
  const version = python ?? unpacked ?? headerVersion(join(path, 'include')) ?? 'unknown';
  const cuda = ['libtorch_cuda.so', 'libc10_cuda.so'].some((name) => existsSync(join(path, 'lib', name)));
  return { source, path, version, cuda };
}

function debianTorch() {
  for (const library of libraryFolders()) {
    if (existsSync(join(library, 'cmake/Torch/TorchConfig.cmake'))) {
      return {
        source: 'debian',
        path: '/usr',
        version: debianVersion() ?? headerVersion('/usr/include') ?? 'unknown',
        cuda: false,
      };
    }
  }
  return undefined;
}

function debianVersion() {
  return output('dpkg-query', ['-W', `-f=\${Version}`, 'libtorch-dev'])?.match(/^[\d.]+/)?.[0];
}

function headerVersion(include) {
  return readText(join(include, 'torch/csrc/api/include/torch/version.h'))?.match(/"(\d+\.\d+\.\d+)"/)?.[1];
}

function libraryFolders() {
  try {
    return readdirSync('/usr/lib')
      .filter((name) => name.endsWith('-linux-gnu'))
      .map((name) => join('/usr/lib', name));
  } catch {
    return [];
  }
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * The BLAS that Debian's libtorch computes with. Only OpenBLAS with OpenMP shares libtorch's threads; the pthread build
 * doubles the time of a training step and the reference one takes fifty times as long.
 *
 * @returns {{ name: string, path: string, good: boolean } | undefined} undefined where no system BLAS is installed.
 */
export function findBlas() {
  for (const folder of libraryFolders()) {
    const link = join(folder, 'libblas.so.3');
    if (!existsSync(link)) continue;
    const path = realpathSync(link);
    const flavour = path.match(/openblas-(openmp|pthread|serial)/)?.[1];
    return {
      name: flavour ? `OpenBLAS (${flavour})` : path.includes('mkl') ? 'MKL' : 'reference BLAS',
      path,
      good: flavour === 'openmp',
    };
  }
  return undefined;
}

/** Debian packages still to be installed so that everything can be built and run. */
export function missingPackages({ test = false } = {}) {
  const missing = Object.entries(TOOLS)
    .filter(([command]) => !which(command))
    .map(([, name]) => name);
  const engine = findEngine();
  if (engine.source === 'debian' || engine.source === 'none') {
    const there = installedPackages(DEBIAN_ENGINE);
    missing.push(...DEBIAN_ENGINE.filter((name) => !there.has(name)));
  }
  if (test && !findBrowser()) missing.push('chromium');
  return missing;
}

function installedPackages(names) {
  // dpkg-query exits 1 as soon as one name is unknown, and still prints the others.
  const args = ['-W', `-f=\${Package} \${db:Status-Status}\n`, ...names];
  let text = '';
  try {
    text = execFileSync('dpkg-query', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    text = String(error.stdout ?? '');
  }
  return new Set(
    text
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
}

/** @returns {string | undefined} a Chromium to look at the report with. */
export function findBrowser() {
  for (const name of BROWSERS) {
    const path = which(name);
    if (path) return path;
  }
  return undefined;
}

/** The npm packages of the lock file that are absent from node_modules or there in another version. */
export function staleNpmPackages() {
  const lock = readText(join(root, 'package-lock.json'));
  if (!lock) return [];
  const installed = readText(join(root, 'node_modules/.package-lock.json'));
  const wanted = JSON.parse(lock).packages ?? {};
  const there = installed ? (JSON.parse(installed).packages ?? {}) : {};
  return Object.entries(wanted)
    .filter(
      ([path, entry]) => path !== '' && !entry.optional && !entry.devOptional && there[path]?.version !== entry.version,
    )
    .map(([path]) => path.replace(/^.*node_modules\//, ''));
}
