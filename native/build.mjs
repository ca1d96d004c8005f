#!/usr/bin/env node
/**
 * Builds the engine addon against the libtorch of this machine, in the order LIBTORCH, the torch that python3 would
 * import, Debian's packages. Does nothing when neither the sources nor libtorch changed.
 *
 *   node native/build.mjs [--cuda on|off|auto] [--force] [--build-dir <folder>]
 *
 * --cuda      use the CUDA part of libtorch: auto (default) where it has one, on fails where it has none
 * --force     build although nothing changed
 * --build-dir where to build, instead of native/build (for building against a second libtorch)
 *
 * Exit status: 0 built or already built, 1 failed with one sentence, 2 wrong usage. Plain JavaScript that runs before
 * anything is compiled. The result: <build-dir>/dualvla.node, environment.node and engine.json, which says against what
 * the addon was built.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findEngine, root, which } from '../scripts/machine.mjs';

const native = dirname(fileURLToPath(import.meta.url));

const options = parse(process.argv.slice(2));
const build = options.buildDir;
const engine = findEngine();
if (engine.problem) stop(engine.problem, engine.next === 'npm run setup' ? debianCommand() : engine.next);
for (const tool of ['cmake', 'g++']) if (!which(tool)) stop(`${tool} is not on PATH`, `sudo apt-get install ${tool}`);
for (const name of ['node-api-headers', 'node-addon-api']) {
  if (!existsSync(join(root, 'node_modules', name))) stop(`the npm package ${name} is not installed`, 'npm ci');
}

const torch = locate(engine);
if (options.cuda === 'on' && !torch.cuda) {
  stop(
    `--cuda on, but libtorch ${torch.version} in ${engine.path} has no CUDA part`,
    'pip install torch, or set LIBTORCH to a CUDA build of libtorch',
  );
}
const cuda = options.cuda !== 'off' && torch.cuda;
const stamp = { ...torch, source: engine.source, cuda, node: process.arch, sources: hashSources() };
if (!options.force && isBuilt()) {
  console.log(`The engine addon is up to date (libtorch ${torch.version}, ${engine.source}${cuda ? ', CUDA' : ''}).`);
  process.exit(0);
}

console.log(`Building the engine addon against libtorch ${torch.version} (${engine.source}: ${engine.path})`);
mkdirSync(build, { recursive: true });
const { sources: _, ...against } = stamp;
const configured = JSON.stringify(against);
if (options.force || readText(join(build, 'configured.json')) !== configured) {
  // A cache of another libtorch or compiler misleads CMake, and a full build takes about a minute.
  rmSync(join(build, 'CMakeCache.txt'), { force: true });
  rmSync(join(build, 'CMakeFiles'), { recursive: true, force: true });
}
const began = Date.now();
const ninja = which('ninja') ? ['-G', 'Ninja'] : [];
const said = run('cmake', [
  ...['-S', native, '-B', build, ...ninja, '-DCMAKE_BUILD_TYPE=Release'],
  `-DDUALVLA_NODE_API=${join(root, 'node_modules/node-api-headers/include')}`,
  `-DDUALVLA_NODE_ADDON_API=${join(root, 'node_modules/node-addon-api')}`,
  `-DDUALVLA_TORCH_VERSION=${torch.version.match(/^\d+\.\d+(\.\d+)?/)?.[0] ?? '1.13'}`,
  `-DDUALVLA_TORCH_INCLUDE=${torch.include}`,
  `-DDUALVLA_TORCH_LIBRARY_DIR=${torch.library}`,
  `-DDUALVLA_TORCH_LIBRARIES=${libraries(torch, cuda).join(';')}`,
  `-DDUALVLA_CUDA=${cuda ? 'ON' : 'OFF'}`,
  `-DDUALVLA_CUDA_HINTS=${torch.cudaIncludes.join(';')}`,
  ...(torch.cxx11Abi === undefined ? [] : [`-DDUALVLA_CXX11_ABI=${torch.cxx11Abi}`]),
]);
writeFileSync(join(build, 'configured.json'), configured);
run('cmake', ['--build', build, '--parallel', String(availableParallelism())]);
writeFileSync(join(build, 'engine.json'), `${JSON.stringify(stamp, null, 2)}\n`);
// What distributed.cmake could not find.
for (const [, missing] of said.matchAll(/^-- (No .*)$/gm)) console.log(missing);
console.log(`Built ${join(build, 'dualvla.node')} in ${Math.round((Date.now() - began) / 1000)} s.`);

/** Where headers and libraries of the engine lie, and how it was compiled. */
function locate({ source, path, version, cuda }) {
  const include = source === 'debian' ? '/usr/include' : join(path, 'include');
  const library = source === 'debian' ? debianLibraryFolder() : join(path, 'lib');
  const core = join(library, 'libtorch_cpu.so');
  if (!existsSync(core)) stop(`${core} does not exist, this libtorch is incomplete`, debianCommand());
  if (!existsSync(join(include, 'ATen/ATen.h'))) stop(`${include}/ATen/ATen.h does not exist`, debianCommand());
  const { size, mtimeMs } = statSync(realpathSync(core));
  const config = join(path, 'share/cmake/Torch/TorchConfig.cmake');
  const abi = source === 'debian' ? undefined : readText(config)?.match(/_GLIBCXX_USE_CXX11_ABI=([01])/)?.[1];
  const hasCuda = cuda || existsSync(join(library, 'libtorch_cuda.so'));
  return {
    path,
    version,
    include,
    library,
    cuda: hasCuda,
    cxx11Abi: abi,
    cudaIncludes: cudaIncludes(path),
    size,
    mtimeMs,
  };
}

/** pip puts the CUDA headers into sibling packages: site-packages/nvidia/<part>/include. */
function cudaIncludes(path) {
  const nvidia = join(path, '..', 'nvidia');
  if (!existsSync(nvidia)) return [];
  return readdirSync(nvidia)
    .map((part) => join(nvidia, part, 'include'))
    .filter((folder) => existsSync(folder));
}

function libraries({ library }, cuda) {
  const names = ['torch', 'torch_cpu', 'c10', ...(cuda ? ['torch_cuda', 'c10_cuda'] : [])];
  return names.map((name) => join(library, `lib${name}.so`)).filter((file) => existsSync(file));
}

function debianLibraryFolder() {
  const folders = readdirSync('/usr/lib').filter((name) => name.endsWith('-linux-gnu'));
  const found = folders.map((name) => join('/usr/lib', name)).find((at) => existsSync(join(at, 'libtorch_cpu.so')));
  return found ?? stop('libtorch_cpu.so is not in /usr/lib/*-linux-gnu', debianCommand());
}

function isBuilt() {
  if (!['dualvla.node', 'environment.node'].every((name) => existsSync(join(build, name)))) return false;
  return readText(join(build, 'engine.json')) === `${JSON.stringify(stamp, null, 2)}\n`;
}

function hashSources() {
  const hash = createHash('sha256');
  const files = readdirSync(native).filter((name) => /\.(cpp|h|mjs|cmake)$|^CMakeLists\.txt$/.test(name));
  for (const name of files.sort()) hash.update(name).update(readFileSync(join(native, name)));
  return hash.digest('hex').slice(0, 16);
}

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status === 0) return stdout;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}\n`);
  const step = args[0] === '--build' ? 'compiling' : 'configuring';
  stop(
    `${step} the engine addon against libtorch ${torch.version} failed, see the compiler's words above`,
    `check that ${torch.include} fits ${torch.library}, then 'node native/build.mjs --force'`,
  );
}

function parse(args) {
  const found = { cuda: 'auto', force: false, buildDir: join(native, 'build') };
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = args[i].split('=', 2);
    if (name === '--force') found.force = true;
    else if (name === '--cuda' && ['on', 'off', 'auto'].includes(inline ?? args[i + 1]))
      found.cuda = inline ?? args[++i];
    else if (name === '--build-dir' && (inline ?? args[i + 1])) found.buildDir = resolve(inline ?? args[++i]);
    else {
      console.error(
        `error: '${args[i]}' is not understood; next: node native/build.mjs [--cuda on|off|auto] [--force]`,
      );
      process.exit(2);
    }
  }
  return found;
}

function readText(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function debianCommand() {
  return 'sudo apt-get install libtorch-dev libgloo-dev libopenblas0-openmp';
}

function stop(problem, next) {
  console.error(`error: ${problem}; next: ${next}`);
  process.exit(1);
}
