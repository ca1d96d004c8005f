/** Bad arguments must end in errors with names, never in a crash of the process. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Addon, growBuffer, io, loadAddon } from './addon.js';
import { DisposedTensorError, Generator, scope, Tensor, TorchError, torch } from './index.js';

const RUNS = 250;

/** Runs what may throw; only errors that name themselves are right. */
function attempt(body: () => unknown): void {
  try {
    scope(body);
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    const { name, message } = error as Error;
    expect(['TorchError', 'ArgumentError', 'DisposedTensorError', 'ScopeError', 'TypeError']).toContain(name);
    expect(message.length).toBeGreaterThan(3);
  }
}

const disposed = (): Tensor => {
  const gone = torch.ones([2]);
  gone.dispose();
  return gone;
};

const tensors = fc.constantFrom<() => unknown>(
  () => torch.randn([2, 3]),
  () => torch.zeros([0]),
  () => torch.tensor(2.5),
  () => torch.arange(6).view([2, 3]),
  () => torch.ones([2, 3], { dtype: 'bool' }),
  () => torch.randn([2, 3]).to('bfloat16'),
  () => torch.randn([3, 2]).t(),
  () => torch.ones([2, 3], { requires_grad: true }),
  () => torch.empty([2, 3], { device: 'meta' }),
  disposed,
  () => new Tensor(12345678),
  () => new Tensor(-5),
  () => new Tensor(Number.NaN),
  () => new Tensor('handle' as never),
);
const oddities = fc.constantFrom<() => unknown>(
  () => null,
  () => undefined,
  () => Symbol('odd'),
  () => () => 1,
  () => new Date(),
  () => new Float32Array(3),
  () => new Generator(1),
  () => Promise.resolve(1),
  () => Object.create(null),
  () => Object.create(Tensor.prototype),
  () => 10n ** 30n,
  () => new Proxy({}, {}),
);
const plain = fc.oneof(fc.integer({ min: -4, max: 5 }), fc.double(), fc.boolean(), fc.string(), fc.maxSafeInteger());
const single = fc.oneof(
  tensors,
  oddities,
  plain.map((value) => () => value),
);
const value = fc.oneof(
  { weight: 4, arbitrary: single },
  { weight: 1, arbitrary: fc.array(single, { maxLength: 4 }).map((makers) => () => makers.map((make) => make())) },
);
const options = fc.dictionary(
  fc.constantFrom('dim', 'keepdim', 'dtype', 'device', 'alpha', 'out', 'generator', 'requires_grad', 'nothing'),
  value,
  { maxKeys: 3 },
);

const OPERATORS = [
  ...['add', 'add_', 'mul', 'sub', 'div', 'matmul', 'bmm', 'linear', 'sum', 'mean', 'max', 'softmax', 'log_softmax'],
  ...[
    'cat',
    'stack',
    'where',
    'masked_fill',
    'index',
    'index_select',
    'gather',
    'scatter_',
    'narrow',
    'slice',
    'select',
  ],
  ...[
    'view',
    'reshape',
    'permute',
    'transpose',
    'expand',
    'repeat',
    'chunk',
    'split',
    'squeeze',
    'unsqueeze',
    'flatten',
  ],
  ...['layer_norm', 'gelu', 'silu', 'relu', 'dropout', 'embedding', 'conv2d', 'max_pool2d', 'mse_loss', 'nll_loss'],
  ...['zeros_like', 'normal_', 'uniform_', 'copy_', 'fill_', 'clone', 'detach', 'contiguous', 'sort', 'topk', 'cumsum'],
  ...[
    'einsum',
    '_foreach_add_',
    '_foreach_mul',
    'clamp',
    'pow',
    'sqrt',
    'eq',
    'lt',
    'any',
    'argmax',
    'item',
    'to',
    'tril',
  ],
];

describe('bad arguments', () => {
  it('to operators give named errors', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...OPERATORS),
        fc.array(value, { maxLength: 5 }),
        fc.option(options, { nil: undefined }),
        (name, makers, named) => {
          attempt(() => {
            const args = makers.map((make) => make());
            if (named) args.push(Object.fromEntries(Object.entries(named).map(([key, make]) => [key, make()])));
            return torch.call(`aten::${name}`, ...args);
          });
        },
      ),
      { numRuns: 4 * RUNS, seed: 1 },
    );
    expect(torch.ones([2]).sum().item()).toBe(2);
  });

  it('to methods give named errors', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(
          'to',
          'backward',
          'set_data',
          'copy_to',
          'size',
          'requires_grad_',
          'adopt',
          'item',
          'share',
          'tolist',
        ),
        fc.oneof(
          tensors,
          fc.constant<() => unknown>(() => Object.create(Tensor.prototype)),
        ),
        fc.array(value, { maxLength: 2 }),
        (name, self, makers) => {
          attempt(() => {
            const target = self() as Record<string, (...args: unknown[]) => unknown>;
            return target[name]?.(...makers.map((make) => make()));
          });
        },
      ),
      { numRuns: RUNS, seed: 2 },
    );
  });

  it('to makers of tensors give named errors', () => {
    fc.assert(
      fc.property(value, fc.option(options, { nil: undefined }), (make, named) => {
        attempt(() =>
          torch.tensor(make() as never, named && Object.fromEntries(Object.entries(named).map(([k, v]) => [k, v()]))),
        );
        attempt(() => torch.from_bytes(make() as never, make() as never, make() as never));
        attempt(() => torch.manual_seed(make() as never));
        attempt(() => torch.set_num_threads(make() as never));
        attempt(() => torch.adopt(make() as never));
      }),
      { numRuns: RUNS, seed: 3 },
    );
    torch.set_num_threads(1);
  });
});

describe('the addon', () => {
  it('takes garbage in the call buffer', () => {
    loadAddon();
    growBuffer(1 << 16);
    const word = fc.oneof(fc.integer({ min: -2, max: 20 }), fc.double(), fc.maxSafeInteger());
    // Harmless operators under the first ids, so that some garbage is a call.
    for (const name of ['aten::add', 'aten::sum', 'aten::cat', 'aten::view', 'aten::zeros_like']) torch.has(name);
    torch.ones([1]).add(1).sum().view([1]);
    const live = torch.ones([2, 2]);
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.constant(live.handle)), { maxLength: 30 }), (words) => {
        io.fill(0, 0, 64);
        io.set(words);
        attempt(() => loadAddon().call());
        io.set(words.slice(0, 3));
        attempt(() => loadAddon().meta());
      }),
      { numRuns: 5 * RUNS, seed: 4 },
    );
    expect(live.sum().item()).toBe(4);
  });

  it('takes any values in any function', () => {
    const addon = loadAddon() as Addon & Record<string, (...args: unknown[]) => unknown>;
    // Functions that reach outside of the process or replace what the other tests need.
    const spared = /^(setErrorClass|setBuffer|mapFile|distributed|join|cudaE|release$)/;
    const names = Object.keys(addon).filter((name) => !spared.test(name));
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.array(value, { maxLength: 6 }), (name, makers) => {
        try {
          addon[name]?.(...makers.map((make) => make()));
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
      { numRuns: 5 * RUNS, seed: 5 },
    );
    addon.setGradEnabled(true);
    addon.setNumThreads(1);
  });

  it('knows handles of freed tensors even when their place is taken', () => {
    const first = torch.ones([1]);
    const stale = first.handle;
    first.dispose();
    const second = torch.zeros([1]);
    expect(() => new Tensor(stale).add(1)).toThrow(TorchError);
    expect(() => first.add(1)).toThrow(DisposedTensorError);
    expect(second.item()).toBe(0);
  });
});
