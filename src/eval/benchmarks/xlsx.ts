/**
 * The first sheet of an .xlsx file as rows of text: what VLMEvalKit's prediction files are. A zip of XML, read without further packages: values
 * only, no styles, dates as the numbers they are. Cells are as openpyxl gives them (control characters stay written as _xHHHH_).
 */
import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { BenchmarkError } from './errors.js';

const END_OF_DIRECTORY = 0x06054b50;
const ENTRY = 0x02014b50;
/** Larger sheets are no prediction files, and a zip bomb would be. */
const MOST_BYTES = 2 ** 30;

/** Throws BenchmarkError for what is no such file. */
export function readWorkbook(path: string): string[][] {
  const zip = readFileSync(path);
  try {
    const files = entriesOf(zip);
    const part = (name: string): string | undefined => files.get(name)?.();
    const sheet = part(firstSheet(part)) ?? '';
    return rowsOf(sheet, sharedStrings(part('xl/sharedStrings.xml') ?? ''));
  } catch (error) {
    throw new BenchmarkError(`${path} cannot be read as .xlsx: ${(error as Error).message}`);
  }
}

function entriesOf(zip: Buffer): Map<string, () => string> {
  let end = zip.length - 22;
  while (end >= 0 && zip.readUInt32LE(end) !== END_OF_DIRECTORY) end--;
  if (end < 0) throw new Error('it is no zip file, or cut off');
  const files = new Map<string, () => string>();
  let at = zip.readUInt32LE(end + 16);
  for (let count = zip.readUInt16LE(end + 10); count > 0; count--) {
    if (zip.readUInt32LE(at) !== ENTRY) throw new Error('its directory is damaged');
    const [method, packed] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20)];
    const nameLength = zip.readUInt16LE(at + 28);
    const header = zip.readUInt32LE(at + 42);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    files.set(name, () => {
      const start = header + 30 + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28);
      const data = zip.subarray(start, start + packed);
      if (method === 0) return data.toString('utf8');
      if (method !== 8) throw new Error(`${name} is packed in an unknown way (${method})`);
      return inflateRawSync(data, { maxOutputLength: MOST_BYTES }).toString('utf8');
    });
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return files;
}

/** The part that the workbook's first sheet is in. */
function firstSheet(part: (name: string) => string | undefined): string {
  const id = /<sheet\b[^>]*\br:id="([^"]+)"/.exec(part('xl/workbook.xml') ?? '')?.[1];
  const relations = part('xl/_rels/workbook.xml.rels') ?? '';
  for (const [tag] of relations.matchAll(/<Relationship\b[^>]*>/g)) {
    if (attribute(tag, 'Id') !== id) continue;
    const target = attribute(tag, 'Target') ?? '';
    return target.startsWith('/') ? target.slice(1) : `xl/${target}`;
  }
  throw new Error('it has no sheet');
}

const attribute = (tag: string, name: string): string | undefined => {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
  return found === undefined ? undefined : unescapeXml(found);
};

const NAMED = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);

/** Text of XML: line ends as \n, references resolved. */
function unescapeXml(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/&(#x[\da-fA-F]+|#\d+|\w+);/g, (whole, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16));
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)));
    return NAMED.get(name) ?? whole;
  });
}

/** The words of an element, runs together, without the reading aids for ideographs. */
function textOf(xml: string): string {
  const words = xml.replace(/<rPh\b[\s\S]*?<\/rPh>/g, '').matchAll(/<t(?:\s[^>]*)?>([\s\S]*?)<\/t>/g);
  return [...words].map(([, text]) => unescapeXml(text as string)).join('');
}

const sharedStrings = (xml: string): string[] =>
  [...xml.matchAll(/<si>([\s\S]*?)<\/si>|<si\/>/g)].map(([, si]) => textOf(si ?? '').replaceAll('x005F_', ''));

function rowsOf(sheet: string, shared: readonly string[]): string[][] {
  const rows: string[][] = [];
  for (const [, body] of sheet.matchAll(/<row\b[^>]*?(?:\/>|>([\s\S]*?)<\/row>)/g)) {
    const row: string[] = [];
    for (const [, head, cell = ''] of (body ?? '').matchAll(/<c\b([^>]*?)(?:\/>|>([\s\S]*?)<\/c>)/g)) {
      const place = /^[A-Z]+/.exec(attribute(head as string, 'r') ?? '')?.[0];
      const at = place === undefined ? row.length : columnNumber(place);
      while (row.length < at) row.push('');
      row[at] = cellValue(attribute(head as string, 't'), cell, shared);
    }
    rows.push(row);
  }
  return rows;
}

function cellValue(type: string | undefined, cell: string, shared: readonly string[]): string {
  if (type === 'inlineStr') return textOf(cell);
  const value = unescapeXml(/<v(?:\s[^>]*)?>([\s\S]*?)<\/v>/.exec(cell)?.[1] ?? '');
  if (type === 's') {
    const text = shared[Number(value)];
    if (text === undefined) throw new Error(`there is no text number ${value}`);
    return text;
  }
  if (type === 'b') return value === '1' ? 'True' : 'False';
  return value;
}

/** A is 0, AA is 26. */
const columnNumber = (letters: string): number =>
  [...letters].reduce((number, letter) => number * 26 + letter.charCodeAt(0) - 64, 0) - 1;
