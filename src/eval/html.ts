/**
 * HTML and SVG as strings: a template tag that escapes what is put in. Knows nothing about what is shown.
 */

/** Markup that is safe to put into a page as it is. */
export class Markup {
  constructor(readonly text: string) {}
  toString(): string {
    return this.text;
  }
}

type Part = string | number | Markup | readonly Markup[] | undefined;

/** A template whose values are escaped, unless they are Markup; lists are joined, undefined is left out. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Markup {
  let text = strings[0] ?? '';
  values.forEach((value, i) => {
    text += insert(value) + (strings[i + 1] ?? '');
  });
  return new Markup(text);
}

function insert(value: Part): string {
  if (value === undefined) return '';
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value)) return value.map(insert).join('\n');
  return escapeHtml(String(value));
}

/** @returns text that shows as `text` inside an element or a quoted attribute */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);
}

/** @returns a `data:` address that holds `bytes` */
export function dataUri(mime: string, bytes: Uint8Array): string {
  return `data:${mime};base64,${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}`;
}
