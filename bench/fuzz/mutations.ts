/**
 * Damage for files: cut, flipped bits, overwritten runs, hostile lengths, spliced parts; for JSON also hostile values in the place of sound ones.
 * Everything follows from a seed.
 */

/** A stream of numbers from a seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 <= x < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number below `n`. */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  chance(p: number): boolean {
    return this.next() < p;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

const HOSTILE = [
  0n,
  1n,
  -1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0xffffffffn,
  1n << 40n,
  (1n << 53n) + 1n,
  (1n << 63n) - 1n,
];

/** A position; half of the time near an end, where headers and footers lie. */
function position(bytes: Uint8Array, dice: Dice): number {
  const { length } = bytes;
  if (length === 0) return 0;
  if (dice.chance(0.5)) return dice.below(length);
  const near = dice.below(Math.min(length, 256));
  return dice.chance(0.5) ? near : length - 1 - near;
}

const random = (length: number, dice: Dice): Uint8Array => Uint8Array.from({ length }, () => dice.below(256));

const CHANGES: ((bytes: Uint8Array, dice: Dice) => Uint8Array)[] = [
  function cut(bytes, dice) {
    return bytes.slice(0, dice.below(bytes.length + 1));
  },
  function flip(bytes, dice) {
    const copy = bytes.slice();
    for (let n = 1 + dice.below(8); n > 0 && copy.length > 0; n--) {
      const at = position(copy, dice);
      copy[at] = (copy[at] as number) ^ (1 << dice.below(8));
    }
    return copy;
  },
  function overwrite(bytes, dice) {
    const copy = bytes.slice();
    const at = position(copy, dice);
    const length = Math.min(1 + dice.below(32), copy.length - at);
    const fill = dice.pick([0, 255, -1]);
    copy.set(fill < 0 ? random(length, dice) : new Uint8Array(length).fill(fill), at);
    return copy;
  },
  function hostileNumber(bytes, dice) {
    const copy = bytes.slice();
    const size = dice.pick([1, 2, 4, 8]);
    if (copy.length < size) return copy;
    const at = Math.min(position(copy, dice), copy.length - size);
    const value = BigInt.asUintN(64, dice.pick([...HOSTILE, BigInt(copy.length), BigInt(copy.length + 1)]));
    const bigEndian = dice.chance(0.3);
    for (let i = 0; i < size; i++) copy[at + (bigEndian ? size - 1 - i : i)] = Number((value >> BigInt(8 * i)) & 0xffn);
    return copy;
  },
  function hostileVarint(bytes, dice) {
    const at = position(bytes, dice);
    const varint = [...new Array<number>(dice.pick([1, 4, 9, 12])).fill(0xff), dice.pick([0x01, 0x07, 0x7f])];
    return splice(bytes, at, Math.min(varint.length, bytes.length - at), Uint8Array.from(varint));
  },
  function insert(bytes, dice) {
    return splice(bytes, position(bytes, dice), 0, random(1 + dice.below(64), dice));
  },
  function remove(bytes, dice) {
    const at = position(bytes, dice);
    return splice(bytes, at, Math.min(1 + dice.below(64), bytes.length - at), new Uint8Array());
  },
  function repeat(bytes, dice) {
    const at = position(bytes, dice);
    const part = bytes.slice(at, at + 1 + dice.below(256));
    return splice(bytes, position(bytes, dice), dice.chance(0.5) ? part.length : 0, part);
  },
  function append(bytes, dice) {
    return splice(bytes, bytes.length, 0, random(1 + dice.below(64), dice));
  },
];

function splice(bytes: Uint8Array, at: number, remove: number, put: Uint8Array): Uint8Array {
  return Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + remove)]);
}

/** Damaged bytes: one to three changes. */
export function damage(bytes: Uint8Array, dice: Dice): Uint8Array {
  let result = bytes;
  for (let n = dice.pick([1, 1, 1, 2, 3]); n > 0; n--) result = dice.pick(CHANGES)(result, dice);
  return result;
}

const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);

/** Values that no reader should trust, as JSON text. */
const VALUES: readonly ((dice: Dice) => string)[] = [
  () => 'null',
  () => 'true',
  () => '-1',
  () => '0',
  () => '0.5',
  () => '1e308',
  () => '1e999',
  () => '9007199254740993',
  () => '4294967296',
  () => '1000000000000',
  () => '""',
  () => '"a"',
  () => '"../../../etc/passwd"',
  () => '"\\u0000\\ud800"',
  (dice) => JSON.stringify('x'.repeat(dice.pick([100, 100, 100, 10_000, 10_000, 300_000]))),
  () => '[]',
  () => '{}',
  () => '{"__proto__": {"a": 1}, "constructor": 1, "toString": null}',
  (dice) => nested(dice.pick([10, 200, 200, 200, 5_000, 5_000, 5_000, 200_000]), '[', ']'),
  (dice) => `${'{"a":'.repeat(1000)}1${'}'.repeat(dice.pick([999, 1000]))}`,
  (dice) => `[${new Array<string>(dice.pick([10, 1_000, 1_000, 1_000, 100_000])).fill('0').join(',')}]`,
];

/**
 * Damaged JSON text: hostile values in the place of sound ones, keys removed or doubled, or its bytes damaged as any other's.
 * @param text sound JSON
 */
export function damageJson(text: string, dice: Dice): Uint8Array {
  if (dice.chance(0.3)) return damage(Buffer.from(text), dice);
  const places: { at: unknown; key: string | number }[] = [];
  const root: { value: unknown } = { value: JSON.parse(text) };
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const key of Object.keys(node)) {
      places.push({ at: node, key });
      visit((node as Record<string, unknown>)[key]);
    }
  };
  visit(root);
  const marks = new Map<string, string>();
  for (let n = dice.pick([1, 1, 2, 4]); n > 0; n--) {
    const { at, key } = dice.pick(places);
    const node = at as Record<string | number, unknown>;
    const what = dice.below(6);
    if (what === 0) delete node[key];
    else if (what === 1 && typeof node[key] === 'number')
      node[key] = (node[key] as number) * dice.pick([-1, 2, 1e9, 0.1]);
    else {
      const mark = `@@${marks.size}@@`;
      marks.set(JSON.stringify(mark), dice.pick(VALUES)(dice));
      node[key] = mark;
    }
  }
  let damaged = JSON.stringify(root.value) ?? '';
  for (const [mark, value] of marks) damaged = damaged.replace(mark, () => value);
  return Buffer.from(damaged);
}

/** JSON lines: one of them damaged, or the whole as bytes. */
export function damageJsonLines(text: string, dice: Dice): Uint8Array {
  const lines = text.split('\n');
  const at = dice.below(lines.length);
  if (lines[at] === '' || dice.chance(0.3)) return damage(Buffer.from(text), dice);
  return Buffer.from(
    lines.map((line, i) => (i === at ? Buffer.from(damageJson(line, dice)).toString() : line)).join('\n'),
  );
}
