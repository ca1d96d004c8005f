/**
 * What bench/engine measures, in TypeScript. engine_workloads.py is the same in Python, line by line, with the same seeds:
 * both must arrive at the same losses.
 */
import { autocast, F, nn, noGrad, optim, scope, type Tensor, torch } from 'dualvla/torch';

export interface Shape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly tokens: number;
  readonly batch: number;
  readonly vocabulary: number;
}

export const TRANSFORMER: Shape = { layers: 4, width: 192, heads: 3, tokens: 128, batch: 32, vocabulary: 512 };

/** Multiply-adds of matrix products in one step, forward and backward, times two. */
export function stepFlops({ layers, width, tokens, batch, vocabulary }: Shape): number {
  const weights = layers * 12 * width * width + width * vocabulary;
  const attention = layers * 2 * tokens * width;
  return 6 * batch * tokens * (weights + attention);
}

/** `plain` calls libtorch's operators one by one as Python does; `library` what nn and F make of them. */
export type Style = 'plain' | 'library';

class Block extends nn.Module {
  norm1: nn.LayerNorm;
  qkv: nn.Linear;
  out: nn.Linear;
  norm2: nn.LayerNorm;
  up: nn.Linear;
  down: nn.Linear;

  constructor(
    readonly shape: Shape,
    readonly style: Style,
  ) {
    super();
    const { width } = shape;
    this.norm1 = new nn.LayerNorm(width);
    this.qkv = new nn.Linear(width, 3 * width);
    this.out = new nn.Linear(width, width);
    this.norm2 = new nn.LayerNorm(width);
    this.up = new nn.Linear(width, 4 * width);
    this.down = new nn.Linear(4 * width, width);
  }

  /** The scope lets go of the block's intermediate results, as Python does when a function returns. */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const y = x.add(this.attend(this.norm(this.norm1, x)));
      return y.add(this.down.forward(torch.gelu(this.up.forward(this.norm(this.norm2, y)))));
    });
  }

  attend(x: Tensor): Tensor {
    const { batch, tokens, heads, width } = this.shape;
    return scope(() => {
      const split = this.qkv.forward(x).view([batch, tokens, 3, heads, width / heads]);
      const [q, k, v] = split.permute([2, 0, 3, 1, 4]).unbind(0) as [Tensor, Tensor, Tensor];
      return this.out.forward(this.attention(q, k, v).transpose(1, 2).reshape([batch, tokens, width]));
    });
  }

  attention(q: Tensor, k: Tensor, v: Tensor): Tensor {
    if (this.style === 'library') return F.scaled_dot_product_attention(q, k, v);
    return scope(() => {
      const scores = q.div(Math.sqrt(q.size(-1))).matmul(k.transpose(-2, -1));
      return scores.softmax(-1).matmul(v);
    });
  }

  norm(layer: nn.LayerNorm, x: Tensor): Tensor {
    if (this.style === 'library') return layer.forward(x);
    return torch.layer_norm(x, [layer.dim], layer.weight, layer.bias, layer.eps);
  }
}

class Transformer extends nn.Module {
  embedding: nn.Embedding;
  blocks: Block[];
  head: nn.Linear;

  constructor(shape: Shape, style: Style) {
    super();
    this.embedding = new nn.Embedding(shape.vocabulary, shape.width);
    this.blocks = Array.from({ length: shape.layers }, () => new Block(shape, style));
    this.head = new nn.Linear(shape.width, shape.vocabulary);
  }

  forward(tokens: Tensor): Tensor {
    let x = this.embedding.forward(tokens);
    for (const block of this.blocks) x = block.forward(x);
    return this.head.forward(x);
  }
}

/** A training step with AdamW; calling it returns the loss. */
export function transformerStep(shape: Shape, style: Style, bfloat16: boolean): () => number {
  torch.manual_seed(0);
  const model = new Transformer(shape, style);
  const implementation = style === 'plain' ? { implementation: 'foreach' as const } : {};
  const optimizer = new optim.AdamW([...model.parameters()], { lr: 1e-3, ...implementation });
  const tokens = torch.randint(shape.vocabulary, [shape.batch, shape.tokens]);
  const targets = torch.randint(shape.vocabulary, [shape.batch * shape.tokens]);
  const loss = (): Tensor =>
    scope(() => {
      const logits = model.forward(tokens).view([-1, shape.vocabulary]);
      return style === 'library' ? F.cross_entropy(logits, targets) : torch.cross_entropy_loss(logits, targets);
    });
  return () =>
    scope(() => {
      const value = bfloat16 ? autocast({ device: 'cpu', dtype: 'bfloat16' }, loss) : loss();
      value.backward();
      optimizer.step();
      optimizer.zero_grad();
      return value.item();
    });
}

/** Forward and backward of a small perceptron, where calls cost more than arithmetic. */
export function perceptronStep(): () => number {
  torch.manual_seed(0);
  const first = new nn.Linear(16, 32);
  const second = new nn.Linear(32, 4);
  const x = torch.randn([8, 16]);
  const y = torch.randn([8, 4]);
  const parameters = [...first.parameters(), ...second.parameters()];
  return () =>
    scope(() => {
      const loss = torch.mse_loss(second.forward(first.forward(x).relu()), y);
      loss.backward();
      for (const parameter of parameters) parameter.grad = null;
      return loss.item();
    });
}

/** Calls of tiny operators: each function makes `count` of them. */
export function tinyCalls(): Record<string, (count: number) => void> {
  const a = torch.zeros([1]);
  const b = torch.ones([1]);
  const m = torch.zeros([2, 2]);
  const loop = (call: () => unknown) => (count: number) => {
    for (let done = 0; done < count; done += 100) {
      scope(() => {
        for (let i = 0; i < 100; i++) call();
      });
    }
  };
  return {
    'a.add(b)': loop(() => a.add(b)),
    'torch.add(a, b)': loop(() => torch.add(a, b)),
    'a.add_(b)': loop(() => a.add_(b)),
    'a.mul(0.5)': loop(() => a.mul(0.5)),
    'a.add(b, {alpha})': loop(() => a.add(b, { alpha: 2 })),
    'a.view([1, 1])': loop(() => a.view([1, 1])),
    'm.transpose(0, 1)': loop(() => m.transpose(0, 1)),
    'm.sum([1], true)': loop(() => m.sum([1], true)),
  };
}

/** Rate of a square matrix product in GFLOP/s, the best of some. */
export function matmulRate(size: number, bfloat16: boolean): number {
  const dtype = bfloat16 ? 'bfloat16' : 'float32';
  const a = torch.randn([size, size]).to(dtype);
  const b = torch.randn([size, size]).to(dtype);
  let best = Number.POSITIVE_INFINITY;
  noGrad(() => {
    for (let i = 0; i < 12; i++) {
      const start = performance.now();
      scope(() => a.matmul(b));
      best = Math.min(best, performance.now() - start);
    }
  });
  return (2 * size ** 3) / best / 1e6;
}
