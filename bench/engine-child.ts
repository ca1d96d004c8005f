/** The TypeScript side of bench/engine in a process of its own: answers requests, one JSON line each. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { torch } from 'dualvla/torch';
import { matmulRate, perceptronStep, type Shape, type Style, tinyCalls, transformerStep } from './engine-workloads.js';

export type Request =
  | { kind: 'hello'; threads: number }
  | { kind: 'calls'; name: string; count: number }
  | { kind: 'matmul'; size: number; bfloat16: boolean }
  | { kind: 'step'; name: string; count: number; shape: Shape; bfloat16: boolean; style: Style }
  | { kind: 'forget' }
  | { kind: 'peak' };

const steps = new Map<string, () => number>();
let calls: Record<string, (count: number) => void> | undefined;

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function answer(request: Request): object {
  switch (request.kind) {
    case 'hello':
      torch.set_num_threads(request.threads);
      return { version: torch.version, threads: torch.get_num_threads() };
    case 'calls': {
      calls ??= tinyCalls();
      const start = cpuSeconds();
      calls[request.name]!(request.count);
      return { seconds: cpuSeconds() - start };
    }
    case 'matmul':
      return { rate: matmulRate(request.size, request.bfloat16) };
    case 'step': {
      const { name, count, shape, bfloat16, style } = request;
      let step = steps.get(name);
      if (step === undefined) {
        step = name === 'perceptron' ? perceptronStep() : transformerStep(shape, style, bfloat16);
        steps.set(name, step);
      }
      const losses: number[] = [];
      const cpu = cpuSeconds();
      const start = performance.now();
      for (let i = 0; i < count; i++) losses.push(step());
      return { seconds: (performance.now() - start) / 1000, cpu: cpuSeconds() - cpu, losses };
    }
    case 'forget':
      steps.clear();
      return {};
    case 'peak': {
      const megabytes = Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
      writeFileSync('/proc/self/clear_refs', '5');
      return { megabytes };
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line) as Request))}\n`);
}
