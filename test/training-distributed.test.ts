/**
 * Two processes with half of the batch each train to the weights of one process with the whole batch: real processes of
 * `dualvla launch` on this machine, with gradient accumulation, clipping and the weight average.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { distributed, safetensors } from 'dualvla/torch';
import { readMetrics } from 'dualvla/train';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyConfig, writeTinyDataset } from '../dist/train/tiny-run.test-support.js';

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
const timeout = 240_000;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-distributed-'));
  await writeTinyDataset(join(folder, 'data'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * A run in which both ways must give the same: the discrete head draws no noise, and with chunks of one action no step is
 * masked, so that the mean over the batch is the mean of the processes' means.
 */
function newRun(name: string): { runDir: string; words: string[] } {
  const runDir = join(folder, name);
  const base = tinyConfig(join(folder, 'data'), runDir, 8);
  const policy = { ...base.policy, action_head: 'discrete', num_action_bins: 16, chunk_size: 1 };
  const configPath = join(folder, `${name}.json`);
  writeFileSync(configPath, JSON.stringify({ ...base, policy, batch_size: 8, grad_accumulation: 2, save_every: 4 }));
  return { runDir, words: ['train', '--config_path', configPath] };
}

function run(words: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [bin, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (text: Buffer): void => {
    output += text;
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}

const hasGroups = distributed.backends().length > 0;

test.skipIf(!hasGroups)(
  'two processes train to the weights of one with the whole batch',
  async () => {
    const [one, two] = [newRun('one'), newRun('two')];
    const alone = await run(one.words);
    expect(alone.code, alone.output).toBe(0);
    const together = await run(['launch', '--nproc', '2', '--', ...two.words]);
    expect(together.code, together.output).toBe(0);

    // Only the first process writes and reports.
    expect(together.output).toMatch(/\[0\] step 8\/8 /);
    expect(together.output).not.toMatch(/\[1\] (train|step|checkpoint)/);
    const [a, b] = [readMetrics(one.runDir), readMetrics(two.runDir)];
    expect(b.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    for (const [i, record] of a.entries()) {
      expect(b[i]?.loss).toBeCloseTo(Number(record.loss), 4);
      expect(b[i]?.grad_norm).toBeCloseTo(Number(record.grad_norm), 3);
      expect(b[i]?.lr).toBe(record.lr);
    }
    for (const part of ['pretrained_model', 'training_state']) {
      const file = `checkpoints/last/${part}/model.safetensors`;
      const [whole, shared] = [safetensors.load(join(one.runDir, file)), safetensors.load(join(two.runDir, file))];
      for (const [name, tensor] of Object.entries(whole)) {
        const difference = tensor.sub(shared[name]!).abs().max().item();
        expect(difference, name).toBeLessThan(2e-4);
      }
    }
  },
  timeout,
);
