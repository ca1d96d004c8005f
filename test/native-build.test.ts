/** The addon's build script: what it says and how it exits. The build itself is what every other test runs on. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const machine: string = new URL('../scripts/machine.mjs', import.meta.url).href;
const { findEngine } = (await import(machine)) as { findEngine(): { cuda?: boolean } };
const script = fileURLToPath(new URL('../native/build.mjs', import.meta.url));
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-build-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function build(args: string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', env: { ...process.env, ...env } });
}

describe('node native/build.mjs', () => {
  it('exits 2 for what it does not understand', () => {
    for (const args of [['--cuda', 'perhaps'], ['--quick'], ['--cuda']]) {
      const { status, stderr } = build(args);
      expect(status).toBe(2);
      expect(stderr).toMatch(/^error: .* is not understood; next: node native\/build\.mjs/);
    }
  });

  it('exits 1 with one sentence for a LIBTORCH that is none', () => {
    const { status, stderr } = build([], { LIBTORCH: folder });
    expect(status).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^error: LIBTORCH is .*; next: point LIBTORCH at an unpacked libtorch/);
  });

  it.skipIf(findEngine().cuda)('exits 1 where CUDA is asked for and libtorch has none', () => {
    const { status, stderr } = build(['--cuda', 'on', '--build-dir', folder]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error: --cuda on, but libtorch .* has no CUDA part.*; next: /);
  });
});
