/** A few damaged inputs of every format; `npx tsx bench/fuzz.ts --inputs 10000` makes many. The seed is a new one each time, and printed. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SEED = process.env.FUZZ_SEED ?? String(Date.now() % 1_000_000);
const INPUTS = 40;

test.each([
  'parquet',
  'lerobot-json',
  'lerobot-v2',
  'rlds,features',
  'ecot,vla-it,llava,labels',
  'picture,safetensors,tokenizer',
  'tsv,xlsx',
])(`damaged %s is read or refused by name (seed ${SEED})`, { timeout: 300_000 }, (format) => {
  const args = [
    '--import',
    'tsx',
    'bench/fuzz.ts',
    '--format',
    format,
    '--inputs',
    String(INPUTS),
    '--seed',
    SEED,
    '--json',
  ];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  expect(stderr).toBe('');
  const { results } = JSON.parse(stdout) as {
    results: { read: number; refused: number; peakMb: number; findings: unknown[] }[];
  };
  expect(results).toHaveLength(format.split(',').length);
  for (const { read, refused, peakMb, findings } of results) {
    expect(findings, `npx tsx bench/fuzz.ts --format ${format} --seed ${SEED}`).toEqual([]);
    expect(read + refused).toBe(INPUTS);
    expect(refused).toBeGreaterThan(0);
    expect(peakMb).toBeLessThan(1024);
  }
});
