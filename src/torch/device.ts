/** Device names as PyTorch writes them: `cpu`, `cuda`, `cuda:1`, `meta`. */
import { ArgumentError } from './errors.js';

/** Where a tensor lies: `'cpu'`, `'cuda'` (the current GPU), `'cuda:0'`, or `'meta'` (shapes without data). */
export type Device = string;

const TYPES = new Map([
  ['cpu', 0],
  ['cuda', 1],
  ['meta', 14],
]);
const NAMES = new Map([...TYPES].map(([name, code]) => [code, name]));

/** Type number and index (-1: the current one) of a device name. Throws ArgumentError for another name. */
export function parseDevice(device: Device): readonly [type: number, index: number] {
  const match = /^([a-z]+)(?::(\d{1,3}))?$/.exec(device);
  const type = TYPES.get(match?.[1] ?? '');
  if (type === undefined) throw new ArgumentError(`'${device}' is no device; there are cpu, cuda, cuda:<index>, meta`);
  return [type, match?.[2] === undefined ? -1 : Number(match[2])];
}

/** Whether `value` names a device. */
export function isDevice(value: string): boolean {
  return TYPES.has(value.split(':')[0] ?? '');
}

/** Name of libtorch's device type and index. */
export function deviceName(type: number, index: number): Device {
  const name = NAMES.get(type) ?? `device${type}`;
  return type === 1 ? `${name}:${Math.max(index, 0)}` : name;
}
