import { describe, expect, it } from 'vitest';
import { Generator, torch } from './index.js';

describe('random numbers', () => {
  it("are Python's for the same seed", () => {
    torch.manual_seed(0);
    // torch.manual_seed(0); torch.randn(3), torch.rand(2), torch.randint(10, (4,)), torch.randperm(5)
    expect(torch.randn([3]).tolist()).toEqual([1.5409960746765137, -0.293428897857666, -2.1787893772125244]);
    expect(torch.rand([2]).tolist()).toEqual([0.455627977848053, 0.6323062777519226]);
    expect(torch.randint(10, [4]).tolist()).toEqual([1, 6, 6, 9]);
    expect(torch.randperm(5).tolist()).toEqual([3, 1, 2, 0, 4]);
  });

  it('repeat after seeding and after restoring the state', () => {
    torch.manual_seed(7);
    const state = torch.get_rng_state();
    const first = torch.randn([100]).tolist();
    expect(torch.randn([100]).tolist()).not.toEqual(first);
    torch.set_rng_state(state);
    expect(torch.randn([100]).tolist()).toEqual(first);
  });

  it('come from a generator of their own without moving the default one', () => {
    using generator = new Generator(3);
    torch.manual_seed(1);
    const expected = torch.rand([4]).tolist();
    torch.manual_seed(1);
    const own = torch.randn([4], { generator }).tolist();
    expect(torch.rand([4]).tolist()).toEqual(expected);
    generator.manual_seed(3);
    expect(torch.randn([4], { generator }).tolist()).toEqual(own);
    const state = generator.get_state();
    const next = torch.randn([4], { generator }).tolist();
    expect(torch.randn([4], { generator: new Generator(0).set_state(state) }).tolist()).toEqual(next);
    expect(torch.randperm(5, { generator }).shape).toEqual([5]);
    expect(torch.zeros([5]).normal_(0, 1, { generator }).shape).toEqual([5]);
  });

  it('take seeds of 64 bits', () => {
    torch.manual_seed(2n ** 63n + 5n);
    const large = torch.rand([1]).item();
    torch.manual_seed(0);
    expect(torch.rand([1]).item()).not.toBe(large);
    expect(() => torch.manual_seed(0.5)).toThrow(/whole/);
  });

  it('a disposed generator is an error', () => {
    const generator = new Generator(1);
    generator.dispose();
    expect(() => torch.rand([1], { generator })).toThrow(/disposed/);
  });
});
