/**
 * Characters by their Unicode name, for Python's "\N{BULLET}". Names come from `unicode-names.generated.ts`, unpacked at the first use; those of
 * ideographs and Hangul syllables follow from the code point, and are known in capitals alone, as in Python 3.11.
 */
import { brotliDecompressSync } from 'node:zlib';
import { UNICODE_ALIASES } from './unicode-aliases.js';
import { UNICODE_NAMES } from './unicode-names.generated.js';

let names: Map<string, number> | undefined;

/** @returns the character with this name or alias, upper or lower case; undefined if there is none */
export function findUnicodeName(name: string): string | undefined {
  const wanted = name.toUpperCase();
  const codePoint = ideograph(name) ?? hangul(name) ?? UNICODE_ALIASES.get(wanted) ?? allNames().get(wanted);
  return codePoint === undefined ? undefined : String.fromCodePoint(codePoint);
}

function allNames(): Map<string, number> {
  if (names) return names;
  names = new Map();
  let codePoint = 0;
  for (const line of brotliDecompressSync(Buffer.from(UNICODE_NAMES, 'base64')).toString().split('\n')) {
    if (line.startsWith('@')) codePoint = Number.parseInt(line.slice(1), 16);
    else names.set(line, codePoint++);
  }
  return names;
}

const IDEOGRAPHS: readonly (readonly [number, number])[] = [
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b738],
  [0x2b740, 0x2b81d],
  [0x2b820, 0x2cea1],
  [0x2ceb0, 0x2ebe0],
  [0x30000, 0x3134a],
];

function ideograph(name: string): number | undefined {
  const hex = /^CJK UNIFIED IDEOGRAPH-([\dA-F]{4,5})$/.exec(name)?.[1];
  const codePoint = Number.parseInt(hex ?? '', 16);
  return IDEOGRAPHS.some(([low, high]) => codePoint >= low && codePoint <= high) ? codePoint : undefined;
}

const LEADS = 'G GG N D DD R M B BB S SS  J JJ C K T P H'.split(' ');
const VOWELS = 'A AE YA YAE EO E YEO YE O WA WAE OE YO U WEO WE WI YU EU YI I'.split(' ');
const TAILS = ' G GG GS N NJ NH D L LG LM LB LS LT LP LH M B BS S SS NG J C K T P H'.split(' ');

/** Hangul syllables are named by the short names of their parts. */
function hangul(name: string): number | undefined {
  const parts = /^HANGUL SYLLABLE ([BCDGHJKMNPRST]*)([AEIOUWY]+)([A-Z]*)$/.exec(name);
  if (!parts) return undefined;
  const [lead, vowel, tail] = [
    LEADS.indexOf(parts[1] ?? ''),
    VOWELS.indexOf(parts[2] ?? ''),
    TAILS.indexOf(parts[3] ?? ''),
  ];
  return lead < 0 || vowel < 0 || tail < 0 ? undefined : 0xac00 + (lead * 21 + vowel) * 28 + tail;
}
