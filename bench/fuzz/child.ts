/**
 * Child process of the fuzzer: reads damaged inputs one after the other. Its place is in a file, so that the parent knows at which input it
 * hung or died. Arguments: format, seed, first input, one past the last, work folder, memory limit in MiB.
 */
import { copyFileSync, cpSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { FORMATS } from './formats.js';
import { Dice } from './mutations.js';

export interface Finding {
  readonly index: number;
  readonly file: string;
  readonly kind: 'unnamed error' | 'hang' | 'crash' | 'memory';
  readonly message: string;
}

export interface Tally {
  read: number;
  refused: number;
  peakMb: number;
}

/** Errors that say no more than that something went wrong somewhere. */
const UNNAMED =
  /^(Error|TypeError|RangeError|SyntaxError|ReferenceError|URIError|AggregateError|ZodError|AssertionError.*)$/;

const [name = '', seed = '0', from = '0', to = '0', work = '', limit = '1024'] = process.argv.slice(2);
const format = FORMATS[name];
if (!format) throw new Error(`there is no format ${name}`);
const [sound, folder] = [join(work, 'sound'), join(work, 'damaged')];
cpSync(sound, folder, { recursive: true, force: true });
const place = openSync(join(work, 'place'), 'w');
const tally: Tally = { read: 0, refused: 0, peakMb: 0 };
const send = (message: object): void => void process.send?.(message);

for (let index = Number(from); index < Number(to); index++) {
  writeSync(place, String(index).padEnd(12), 0);
  const dice = new Dice(Math.imul(Number(seed) + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const file = format.damage(folder, dice);
  try {
    await format.read(folder, dice);
    tally.read++;
  } catch (error) {
    const { name: kind, message, stack } = error instanceof Error ? error : new Error(String(error));
    if (UNNAMED.test(kind) || message === '')
      send({ finding: { index, file, kind: 'unnamed error', message: (stack ?? message).slice(0, 1200) } });
    else tally.refused++;
  }
  copyFileSync(join(sound, file), join(folder, file));
  tally.peakMb = process.resourceUsage().maxRSS / 1024;
  if (tally.peakMb > Number(limit)) {
    send({
      finding: { index, file, kind: 'memory', message: `${tally.peakMb.toFixed(0)} MiB` },
      tally,
      next: index + 1,
    });
    process.exit(0);
  }
}
process.send?.({ tally, next: Number(to) }, () => process.exit(0));
