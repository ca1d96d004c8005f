import { describe, expect, it } from 'vitest';
import { expectAllclose } from './allclose.test-support.js';
import { nn, StateDictError, scope, type Tensor, torch } from './index.js';

class Block extends nn.Module {
  norm = new nn.RMSNorm(4);
  layers = [new nn.Linear(4, 4, { bias: false }), new nn.Linear(4, 4)];
  adapters = { default: new nn.Linear(4, 2, { bias: false }) };
  scale = nn.buffer(torch.ones([1]));
  readonly config = { depth: 2, tensor: torch.zeros([1]) };
  #angles = nn.buffer(torch.zeros([3]), { persistent: false });
  cache = nn.buffer(torch.zeros([3]), { persistent: false });

  get angles(): Tensor {
    return this.#angles;
  }
}

class Model extends nn.Module {
  embed = new nn.Embedding(5, 4);
  block = new Block();
  drop = new nn.Dropout(0.5);
  head = new nn.Linear(4, 5, { bias: false });

  constructor() {
    super();
    this.head.weight = this.embed.weight;
  }
}

describe('Module', () => {
  const keys = [
    'embed.weight',
    'block.norm.weight',
    'block.layers.0.weight',
    'block.layers.1.weight',
    'block.layers.1.bias',
    'block.adapters.default.weight',
  ];

  it('paths are keys; tied parameters come once, and under both names in the state', () => {
    const model = new Model();
    expect(model.named_parameters().map(([name]) => name)).toEqual(keys);
    expect(Object.keys(model.state_dict()).sort()).toEqual([...keys, 'block.scale', 'head.weight'].sort());
    expect(model.named_buffers().map(([name]) => name)).toEqual(['block.scale', 'block.cache']);
    expect(model.num_parameters()).toBe(20 + 4 + 16 + 20 + 8);
    expect(model.named_modules().map(([name]) => name)).toEqual([
      ...[
        '',
        'embed',
        'block',
        'block.norm',
        'block.layers.0',
        'block.layers.1',
        'block.adapters.default',
        'drop',
        'head',
      ],
    ]);
  });

  it('loads what it saved, converting types, and names every key that does not fit before it copies anything', () => {
    const [a, b] = [new Model(), new Model()];
    const state = Object.fromEntries(Object.entries(a.state_dict()).map(([k, t]) => [k, t.detach().double()]));
    expect(b.load_state_dict(new Map(Object.entries(state)))).toEqual({ missing_keys: [], unexpected_keys: [] });
    for (const [k, t] of Object.entries(b.state_dict()))
      expectAllclose(t, a.state_dict()[k] as Tensor, { atol: 0, rtol: 0 });

    const { 'block.norm.weight': _, ...missing } = state;
    const wrong = { ...missing, extra: torch.zeros([1]), 'embed.weight': torch.zeros([2, 4]) };
    const before = b.embed.weight.detach().tolist();
    expect(() => b.load_state_dict(wrong)).toThrow(StateDictError);
    expect(() => b.load_state_dict(wrong)).toThrow(
      'does not fit Model; missing (1): block.norm.weight; unexpected (1): extra; of another shape (1): embed.weight [2, 4] instead of [5, 4]',
    );
    expect(() => b.load_state_dict(wrong, { strict: false })).toThrow(/of another shape/);
    expect(b.embed.weight.detach().tolist()).toEqual(before);
    expect(b.load_state_dict({ ...missing, extra: torch.zeros([1]) }, { strict: false })).toEqual({
      missing_keys: ['block.norm.weight'],
      unexpected_keys: ['extra'],
    });
  });

  it('train and eval reach every module; to() keeps identities; freezing', () => {
    const model = new Model();
    const x = torch.ones([64]);
    expect(model.drop.forward(x).eq(0).any().item()).toBe(1);
    expect(model.eval().drop.forward(x).tolist()).toEqual(x.tolist());
    expect(model.train().drop.training).toBe(true);
    const weight = model.embed.weight;
    model.to({ dtype: 'bfloat16' });
    expect(model.embed.weight).toBe(weight);
    expect(model.parameters().map((p) => p.dtype)).toEqual(keys.map(() => 'bfloat16'));
    expect([weight.requires_grad, weight.is_leaf]).toEqual([true, true]);
    expect(
      model
        .requires_grad_(false)
        .parameters()
        .some((p) => p.requires_grad),
    ).toBe(false);
  });

  it('parameters made inside a scope stay', () => {
    const layer = scope(() => new nn.Linear(2, 2));
    expect(layer.forward(torch.ones([1, 2])).shape).toEqual([1, 2]);
  });
});

describe('layers', () => {
  // Made with torch.manual_seed(0) in Python, torch 1.13 and 2.13.
  it('initial values are those of Python for the same seed', () => {
    torch.manual_seed(0);
    const linear = new nn.Linear(3, 2);
    expectAllclose(
      linear.weight,
      torch.tensor([
        [-0.004322517663240433, 0.3097158372402191, -0.4751853346824646],
        [-0.4248946011066437, -0.2223689705133438, 0.15482072532176971],
      ]),
      { atol: 0, rtol: 0 },
    );
    expectAllclose(linear.bias as Tensor, torch.tensor([-0.011439144611358643, 0.45777493715286255]), {
      atol: 0,
      rtol: 0,
    });
    expectAllclose(
      new nn.Embedding(3, 2).weight,
      torch.tensor([
        [-1.0845223665237427, -1.3985954523086548],
        [0.40334683656692505, 0.8380263447761536],
        [-0.7192575931549072, -0.40334352850914],
      ]),
      { atol: 0, rtol: 0 },
    );
  });

  it('Linear, Embedding, LayerNorm and Conv2d compute what their names say', () => {
    const x = torch.randn([3, 4]);
    const linear = new nn.Linear(4, 2);
    expectAllclose(linear.forward(x), x.matmul(linear.weight.t()).add(linear.bias as Tensor));
    const table = new nn.Embedding(5, 3, { padding_idx: 2 });
    expect(table.forward(torch.tensor([[2, 2]], { dtype: 'int64' })).tolist()).toEqual([
      [
        [0, 0, 0],
        [0, 0, 0],
      ],
    ]);
    const norm = new nn.LayerNorm(4, { eps: 1e-6 });
    const centred = x.sub(x.mean([-1], true));
    expectAllclose(norm.forward(x), centred.div(centred.square().mean([-1], true).add(1e-6).sqrt()), { atol: 1e-5 });
    expect(new nn.LayerNorm(4, { bias: false }).named_parameters().length).toBe(1);
    const conv = new nn.Conv2d(3, 2, 2, { stride: 2 });
    const image = torch.randn([1, 3, 4, 4]);
    const patches = image.view([1, 3, 2, 2, 2, 2]).permute([0, 2, 4, 1, 3, 5]).reshape([4, 12]);
    const expected = patches
      .matmul(conv.weight.view([2, 12]).t())
      .add(conv.bias as Tensor)
      .t()
      .view([1, 2, 2, 2]);
    expectAllclose(conv.forward(image), expected, { atol: 1e-5 });
    expect(Math.abs(conv.weight.abs().max().item()) <= 1 / Math.sqrt(12)).toBe(true);
  });
});
