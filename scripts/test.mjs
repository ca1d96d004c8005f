#!/usr/bin/env node
/**
 * Everything that must hold: TypeScript types, formatting and lint, then all tests. Arguments go to vitest:
 *   node scripts/test.mjs test/imports.test.ts
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compile, isCompiled } from './compile.mjs';
import { root } from './machine.mjs';

const bin = (name) => join(root, 'node_modules', name);
const run = (args) => spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
const filters = process.argv.slice(2);

check('types', () => {
  const result = isCompiled() ? { ok: true, text: '' } : compile();
  process.stdout.write(result.text);
  return result.ok && run([bin('typescript/bin/tsc'), '-p', 'tsconfig.test.json']) === 0;
});
check('format and lint', () => run([bin('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.']) === 0);
process.exit(run([bin('vitest/vitest.mjs'), 'run', ...filters]));

function check(what, holds) {
  if (!existsSync(join(root, 'node_modules'))) {
    process.stderr.write('error: npm packages are missing; next: npm run setup -- --test\n');
    process.exit(1);
  }
  console.log(`${what} ...`);
  if (holds()) return;
  process.stderr.write(
    `error: ${what}: see above; next: ${what === 'types' ? 'npx tsc' : 'npx biome check --write .'}\n`,
  );
  process.exit(1);
}
