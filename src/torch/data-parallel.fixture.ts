/**
 * One process of the tests of distributed.ts: trains a small model on its share of fixed data and prints what came out as
 * one JSON line. Started by `launch` with the scenario's name as argument; alone it trains on the whole batch.
 */
import { distributed, F, nn, optim, type Tensor, torch } from './index.js';

class Net extends nn.Module {
  first = new nn.Linear(6, 300);
  second = new nn.Linear(300, 300);
  third = new nn.Linear(300, 3);
  unused = new nn.Linear(2, 2);
  /** Used by odd ranks only. */
  sometimes = new nn.Linear(6, 3, { bias: false });

  forward(x: Tensor, withSometimes: boolean): Tensor {
    const y = this.third.forward(F.silu(this.second.forward(F.silu(this.first.forward(x)))));
    return withSometimes ? y.add(this.sometimes.forward(x)) : y;
  }
}

const scenario = process.argv[2] ?? 'train';
const rank = Number(process.env.RANK ?? 0);
const world = Number(process.env.WORLD_SIZE ?? 1);
const print = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

/** Whole batch of a step, the same in every process. */
function batch(step: number): { x: Tensor; y: Tensor } {
  const generator = new torch.Generator(100 + step);
  return { x: torch.randn([8, 6], { generator }), y: torch.randn([8, 3], { generator }) };
}

interface Run {
  bucketBytes: number;
  /** Two backward passes a step. */
  accumulate: boolean;
}

function train({ bucketBytes, accumulate }: Run): unknown {
  // Other weights in every process: those of rank 0 must win.
  torch.manual_seed(7 + rank);
  const model = new Net();
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3, eps: 1e-3 });
  const parallel = world > 1 ? new distributed.DataParallel(model, { bucketBytes }) : null;
  const losses: number[] = [];
  const overlapped: number[] = [];
  for (let step = 0; step < 5; step++) {
    const { x, y } = batch(step);
    const share = 8 / world;
    const [own, target] = [x, y].map((t) => t.slice(0, rank * share, (rank + 1) * share)) as [Tensor, Tensor];
    const parts = accumulate ? 2 : 1;
    const backward = (part: number): number => {
      const rows = (own.shape[0] as number) / parts;
      const [a, b] = [own, target].map((t) => t.slice(0, part * rows, (part + 1) * rows)) as [Tensor, Tensor];
      // Half of the whole batch goes through `sometimes`: that of rank 1, or the second half of one process.
      const out =
        world > 1
          ? model.forward(a, rank % 2 === 1)
          : torch.cat([model.forward(a.slice(0, 0, 4), false), model.forward(a.slice(0, 4, 8), true)]);
      const loss = F.mse_loss(out, b).div(parts);
      loss.backward();
      return loss.item();
    };
    let loss = 0;
    if (accumulate) {
      const first = () => backward(0);
      loss += parallel === null ? first() : parallel.no_sync(first);
    }
    loss += backward(parts - 1);
    parallel?.average_gradients();
    overlapped.push(parallel?.overlapped ?? 0);
    optim.clip_grad_norm_(model.parameters(), 1);
    optimizer.step();
    if (step < 4) optimizer.zero_grad();
    losses.push(world > 1 ? distributed.all_reduce(torch.tensor(loss), 'mean').item() : loss);
  }
  const weights = Object.fromEntries(
    Object.entries(model.state_dict()).map(([name, t]) => [
      name,
      [t.double().sum().item(), t.double().square().sum().item()],
    ]),
  );
  const buckets = parallel?.buckets ?? 0;
  parallel?.dispose();
  return { losses, weights, overlapped, buckets, unusedGrad: model.unused.weight.grad !== null };
}

function collectives(): unknown {
  const mine = torch.tensor([rank + 1, 10 * (rank + 1)]);
  const reduce = (op: distributed.ReduceOperation, dtype: 'float32' | 'bfloat16' | 'int64' = 'float32'): unknown =>
    distributed.all_reduce(mine.to({ dtype, copy: true }), op).tolist();
  const spread = torch
    .tensor([
      [rank, 1],
      [2, 3],
    ])
    .t();
  distributed.broadcast([spread, torch.zeros([0])], 1);
  const rows = torch.zeros([2, 2]);
  distributed.all_reduce(rows.select(1, 0).fill_(rank + 1));
  distributed.barrier();
  return {
    sum: reduce('sum'),
    mean: reduce('mean'),
    max: reduce('max'),
    min: reduce('min'),
    product: reduce('product'),
    low: reduce('mean', 'bfloat16'),
    integers: reduce('sum', 'int64'),
    spread: spread.tolist(),
    rows: rows.tolist(),
    gathered: distributed.all_gather(torch.tensor([rank])).map((t) => t.tolist()),
    rank: [distributed.get_rank(), distributed.get_world_size()],
  };
}

/** Rank 1 dies or stops in the middle; rank 0 must get an error, also while the launcher already wants to end it. */
function lost(how: 'SIGKILL' | 'SIGSTOP'): void {
  process.on('SIGTERM', () => {});
  distributed.barrier();
  if (rank === 1) process.kill(process.pid, how);
  const began = Date.now();
  try {
    for (;;) distributed.all_reduce(torch.ones([4]));
  } catch (error) {
    print({ name: (error as Error).name, message: (error as Error).message, seconds: (Date.now() - began) / 1000 });
    process.exitCode = 3;
  }
}

try {
  torch.set_num_threads(1);
  if (world > 1) distributed.init();
  if (scenario === 'killed') lost('SIGKILL');
  else if (scenario === 'stopped') lost('SIGSTOP');
  else {
    const large = 8 << 20;
    const runs = {
      plain: train({ bucketBytes: large, accumulate: false }),
      buckets: train({ bucketBytes: 4096, accumulate: false }),
      accumulated: train({ bucketBytes: large, accumulate: world > 1 }),
    };
    print({ runs, collectives: world > 1 ? collectives() : null });
  }
  distributed.destroy();
} catch (error) {
  print({ name: (error as Error).name, message: (error as Error).message });
  process.exitCode = 1;
}
