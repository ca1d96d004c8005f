#!/usr/bin/env node
/**
 * The command `dualvla`. Where nothing is built yet it sets up first, except for the doctor, who looks at what there is.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const args = process.argv.slice(2);
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const main = path('../dist/cli/main.js');

if (args[0] === 'doctor') {
  const { doctor } = await import('../scripts/doctor.mjs');
  process.exitCode = doctor(args.slice(1));
} else {
  if (!existsSync(main) || !isInstalled('commander')) {
    const setup = spawnSync(process.execPath, [path('../scripts/setup.mjs')], { stdio: ['inherit', 2, 2] });
    if (setup.status !== 0) process.exit(setup.status ?? 1);
  }
  const { run } = await import(main);
  process.exitCode = await run(args);
}

function isInstalled(name) {
  try {
    return import.meta.resolve(name) !== undefined;
  } catch {
    return false;
  }
}
