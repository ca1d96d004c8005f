import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { noGrad, type SharedTensor, torch } from './index.js';

const library = new URL('./index.js', import.meta.url).href;

/** Runs a body with `torch`, `noGrad`, `input` in a Worker of its own and gives back what it returns. */
async function inWorker<T>(body: string, input: unknown = null): Promise<T> {
  const code = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { torch, noGrad, isGradEnabled, TorchError } = await import(${JSON.stringify(library)});
    const input = workerData;
    parentPort.postMessage(await (async () => { ${body} })());`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { workerData: input });
  const [result] = (await once(worker, 'message')) as [T];
  await worker.terminate();
  return result;
}

describe('Workers', () => {
  it('compute, each with its own tensors', async () => {
    torch.manual_seed(0);
    const before = torch.live_tensors();
    expect(await inWorker('return torch.ones([3, 3]).matmul(torch.ones([3, 3])).sum().item();')).toBe(27);
    expect(torch.live_tensors()).toBe(before);
  });

  it('share a tensor without copying it', async () => {
    const x = torch.zeros([4]);
    const back = await inWorker<SharedTensor>(
      `const x = torch.adopt(input); x.add_(1); return x.narrow(0, 1, 2).mul_(3).share();`,
      x.share(),
    );
    expect(x.tolist()).toEqual([1, 3, 3, 1]);
    const part = torch.adopt(back);
    expect(part.tolist()).toEqual([3, 3]);
    part.fill_(0);
    expect(x.tolist()).toEqual([1, 0, 0, 1]);
    expect(() => torch.adopt(back)).toThrow(/already/);
    expect(() => torch.adopt({ dualvlaTensor: -1 })).toThrow(/no tensor is shared/);
  });

  it('have modes of their own', async () => {
    let seen: Promise<boolean> | undefined;
    noGrad(() => {
      seen = inWorker<boolean>('return isGradEnabled();');
    });
    expect(await seen).toBe(true);
  });

  it('outlive each other: a new one works after others have ended', async () => {
    for (let i = 0; i < 3; i++) {
      expect(
        await inWorker(
          'const w = torch.ones([2], { requires_grad: true }); w.pow(2).sum().backward(); return w.grad.tolist();',
        ),
      ).toEqual([2, 2]);
    }
    expect(torch.ones([2]).sum().item()).toBe(2);
  });

  it('get engine errors as errors', async () => {
    const message = await inWorker<string>(
      `try { torch.ones([2, 3]).matmul(torch.ones([2, 3])); } catch (error) { return error instanceof TorchError ? error.message : 'other'; }`,
    );
    expect(message).toContain('aten::matmul(self: float32[2, 3]');
  });

  it('can be terminated while they compute', async () => {
    const worker = new Worker(
      new URL(
        `data:text/javascript,${encodeURIComponent(`
          import { parentPort } from 'node:worker_threads';
          const { torch, scope } = await import(${JSON.stringify(library)});
          const x = torch.ones([64, 64]);
          parentPort.postMessage('running');
          for (;;) scope(() => x.matmul(x));`)}`,
      ),
    );
    await once(worker, 'message');
    await worker.terminate();
    expect(torch.ones([2]).sum().item()).toBe(2);
  });
});
