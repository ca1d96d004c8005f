/**
 * Data flows one way: torch -> data -> prune -> model -> train -> sim -> serve -> eval -> score -> studio -> cli. A module
 * may import from those before it, never after. Robots and viewers run without the engine: sim and data load no torch.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ORDER = ['torch', 'data', 'prune', 'model', 'train', 'sim', 'recipes', 'serve', 'eval', 'score', 'studio', 'cli'];
/** Modules that work without the engine, so that nothing they import may lead to src/torch either. */
const WITHOUT_ENGINE = ['data', 'sim'];

const src = fileURLToPath(new URL('../src', import.meta.url));

interface Import {
  file: string;
  target: string;
  typeOnly: boolean;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join(src, name));
const imports = files.flatMap(importsOf);

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const statements = text.matchAll(/\b(import|export)\s+(type\s+)?(?:[\w*\s{},]+\sfrom\s+)?['"](\.[^'"]+)['"]/g);
  const calls = text.matchAll(/\bimport\(\s*['"](\.[^'"]+)['"]\s*\)/g);
  const at = (specifier: string): string => resolve(dirname(file), specifier.replace(/\.js$/, '.ts'));
  return [
    ...[...statements].map((m) => ({ file, target: at(m[3] ?? ''), typeOnly: m[2] !== undefined })),
    ...[...calls].map((m) => ({ file, target: at(m[1] ?? ''), typeOnly: false })),
  ];
}

/** The files of src/torch that load the addon, by its file name; the rest of it (safetensors headers ...) is plain code. */
const engineEntries = new Set(files.filter((file) => readFileSync(file, 'utf8').includes('dualvla.node')));

const moduleOf = (path: string): string => relative(src, path).split(sep)[0] ?? '';
const shown = (path: string): string => relative(src, path);

test('the scan sees the sources', () => {
  expect(files.length).toBeGreaterThan(20);
  expect(imports.some(({ file }) => shown(file) === join('cli', 'main.ts'))).toBe(true);
});

test('every folder of src has its place in the order', () => {
  const folders = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.map(({ name }) => name).filter((name) => !ORDER.includes(name))).toEqual([]);
});

test('no module imports from a later one', () => {
  const against = imports
    .filter(({ file, target }) => ORDER.includes(moduleOf(file)) && ORDER.includes(moduleOf(target)))
    .filter(({ file, target }) => ORDER.indexOf(moduleOf(target)) > ORDER.indexOf(moduleOf(file)))
    .map(({ file, target }) => `${shown(file)} imports ${shown(target)}`);
  expect(against).toEqual([]);
});

describe.each(WITHOUT_ENGINE)('%s', (name) => {
  test('loads no engine, however far one follows its imports', () => {
    const start = files.filter((file) => moduleOf(file) === name && !file.endsWith('.test.ts'));
    expect(start.length).toBeGreaterThan(0);
    const from = new Map<string, string>(start.map((file) => [file, '']));
    const queue = [...start];
    for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
      for (const { target, typeOnly } of imports.filter((one) => one.file === file)) {
        if (typeOnly || from.has(target) || !target.startsWith(src)) continue;
        from.set(target, file);
        queue.push(target);
      }
    }
    const engine = [...from].filter(([file]) => engineEntries.has(file));
    expect(engine.map(([file, importer]) => `${shown(importer)} imports ${shown(file)}`)).toEqual([]);
  });
});
