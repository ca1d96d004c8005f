/**
 * Trains a byte-level BPE (Sennrich et al., arXiv 1508.07909; bytes as in GPT-2) with Qwen2's pre-tokenizer and writes it as a Hugging Face
 * tokenizer.json. Ids: the 256 bytes, then merges in the order learned, then special tokens, as in Qwen2. Every string can be
 * encoded; there is no unknown token, and no normaliser, so decoding gives the text back exactly.
 *
 * Deterministic: the result depends on the counts of words alone. The most frequent pair is merged first; of equals the one
 * of smaller ids. Same merges as the `tokenizers` library's BpeTrainer.
 *
 * Knows nothing about prompts or what special tokens mean.
 */

/** Qwen2's split: contractions, words with one leading sign or space, single digits, punctuation, line ends, white space. */
export const QWEN2_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/** The same in JavaScript's syntax; its \s is Unicode's White_Space with U+FEFF and without U+0085, hence the class. */
const SPACE = '\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const WORD = new RegExp(
  `'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^${SPACE}\\p{L}\\p{N}]+[\\r\\n]*|[${SPACE}]*[\\r\\n]+|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`,
  'gu',
);

export interface BpeTrainingOptions {
  /** All ids, bytes and special tokens included; fewer if the text has no more pairs. Default 1024. */
  vocabularySize?: number;
  /** Appended after the merges, never split. */
  specialTokens?: readonly string[];
  /** A pair seen less often is not merged; default 2. */
  minFrequency?: number;
}

/** The parts of a tokenizer.json that byte-level BPE needs. */
export interface TokenizerJson {
  version: string;
  truncation: null;
  padding: null;
  added_tokens: {
    id: number;
    content: string;
    single_word: boolean;
    lstrip: boolean;
    rstrip: boolean;
    normalized: boolean;
    special: boolean;
  }[];
  normalizer: unknown;
  pre_tokenizer: unknown;
  post_processor: unknown;
  decoder: unknown;
  model: { type: 'BPE'; vocab: Record<string, number>; merges: [string, string][]; [key: string]: unknown };
}

/**
 * @param texts documents; only their words' counts are held in memory
 * @throws RangeError if the vocabulary cannot hold the bytes and the special tokens
 */
export function trainBpe(texts: Iterable<string>, options: BpeTrainingOptions = {}): TokenizerJson {
  const { vocabularySize = 1024, specialTokens = [], minFrequency = 2 } = options;
  const numMerges = vocabularySize - 256 - specialTokens.length;
  if (numMerges < 0) {
    throw new RangeError(
      `a vocabulary of ${vocabularySize} cannot hold 256 bytes and ${specialTokens.length} special tokens; set vocabularySize to at least ${256 + specialTokens.length}`,
    );
  }
  const tokens = byteAlphabet();
  const merges = learnMerges(countWords(texts, specialTokens), tokens, tokens.length + numMerges, minFrequency);
  const clash = specialTokens.find((token, i) => tokens.includes(token) || specialTokens.indexOf(token) !== i);
  if (clash !== undefined)
    throw new RangeError(`special token ${JSON.stringify(clash)} is given twice or spelled like a byte`);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, i) => ({
      id: tokens.length + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: QWEN2_SPLIT }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** GPT-2's printable stand-ins of the bytes in id order: those of visible Latin-1 bytes, then U+0100 .. for the others. */
export function byteAlphabet(): string[] {
  return [...byteToChar()].sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0));
}

/** The stand-in character of byte 0 .. 255. */
export function byteToChar(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(visible ? byte : next++);
  });
}

interface Words {
  /** Symbols (ids) of each distinct word. */
  symbols: Int32Array[];
  counts: number[];
}

/** Distinct words as byte ids, and how often each occurs. Special tokens in the text separate it and are not learned from. */
function countWords(texts: Iterable<string>, specialTokens: readonly string[]): Words {
  const escaped = specialTokens.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const special = escaped.length > 0 ? new RegExp(escaped.join('|'), 'u') : undefined;
  const words = new Map<string, number>();
  for (const text of texts) {
    for (const section of special ? text.split(special) : [text]) {
      for (const [word] of section.matchAll(WORD)) words.set(word, (words.get(word) ?? 0) + 1);
    }
  }
  const idOfChar = new Map(byteAlphabet().map((char, id) => [char, id]));
  const idOfByte = Int32Array.from(byteToChar(), (char) => idOfChar.get(char) as number);
  const encoder = new TextEncoder();
  return {
    symbols: [...words.keys()].map((word) => Int32Array.from(encoder.encode(word), (byte) => idOfByte[byte] as number)),
    counts: [...words.values()],
  };
}

interface Candidate {
  count: number;
  a: number;
  b: number;
}

/**
 * Repeatedly merges the most frequent adjacent pair, appending each new token to `tokens` until there are `size`, and returns
 * the pairs. A merge that spells a token again (ab + c, a + bc) gets that token's id.
 */
function learnMerges(
  { symbols, counts }: Words,
  tokens: string[],
  size: number,
  minFrequency: number,
): [string, string][] {
  const base = 2 ** 24;
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const merges: [string, string][] = [];
  const pairCounts = new Map<number, number>();
  const wordsOfPair = new Map<number, Set<number>>();
  const queue = new CandidateQueue();
  const enqueue = (pair: number): void =>
    queue.push({ count: pairCounts.get(pair) as number, a: Math.floor(pair / base), b: pair % base });

  /** Adds `times` for every adjacent pair of word w. */
  const count = (w: number, times: number): void => {
    const word = symbols[w] as Int32Array;
    for (let i = 1; i < word.length; i++) {
      const pair = (word[i - 1] as number) * base + (word[i] as number);
      pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + times);
      if (times < 0) continue;
      const where = wordsOfPair.get(pair);
      if (where) where.add(w);
      else wordsOfPair.set(pair, new Set([w]));
    }
  };
  for (const [w, times] of counts.entries()) count(w, times);
  for (const pair of pairCounts.keys()) enqueue(pair);

  while (tokens.length < size) {
    const top = queue.pop();
    if (top === undefined || top.count < Math.max(1, minFrequency)) break;
    const pair = top.a * base + top.b;
    const current = pairCounts.get(pair) ?? 0;
    if (current !== top.count) {
      // A queued count can only be too high (a merge that raises one queues it anew): put it back where it belongs.
      if (current > 0 && current < top.count) enqueue(pair);
      continue;
    }
    const [left, right] = [tokens[top.a] as string, tokens[top.b] as string];
    merges.push([left, right]);
    const merged = idOf.get(left + right) ?? tokens.push(left + right) - 1;
    idOf.set(left + right, merged);
    const raised = new Set<number>();
    for (const w of wordsOfPair.get(pair) ?? []) {
      const times = counts[w] as number;
      count(w, -times);
      const word = mergePair(symbols[w] as Int32Array, top.a, top.b, merged);
      symbols[w] = word;
      count(w, times);
      for (let i = 1; i < word.length; i++) {
        const [a, b] = [word[i - 1] as number, word[i] as number];
        if (a === merged || b === merged) raised.add(a * base + b);
      }
    }
    pairCounts.delete(pair);
    wordsOfPair.delete(pair);
    raised.delete(pair);
    for (const next of raised) enqueue(next);
  }
  return merges;
}

/** The word with every (a, b), from the left, replaced by `merged`. */
function mergePair(word: Int32Array, a: number, b: number, merged: number): Int32Array {
  const shorter = new Int32Array(word.length);
  let length = 0;
  for (let i = 0; i < word.length; i++) {
    const both = word[i] === a && word[i + 1] === b;
    shorter[length++] = both ? merged : (word[i] as number);
    if (both) i++;
  }
  return shorter.slice(0, length);
}

/** Binary heap: highest count first, then smaller ids. */
class CandidateQueue {
  readonly #heap: Candidate[] = [];

  push(candidate: Candidate): void {
    const heap = this.#heap;
    let i = heap.push(candidate) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(candidate, heap[parent] as Candidate)) break;
      heap[i] = heap[parent] as Candidate;
      i = parent;
    }
    heap[i] = candidate;
  }

  pop(): Candidate | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let i = 0;
    for (let child = 1; child < heap.length; child = 2 * i + 1) {
      const right = heap[child + 1];
      if (right && before(right, heap[child] as Candidate)) child++;
      if (!before(heap[child] as Candidate, last)) break;
      heap[i] = heap[child] as Candidate;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}

function before(x: Candidate, y: Candidate): boolean {
  if (x.count !== y.count) return x.count > y.count;
  return x.a !== y.a ? x.a < y.a : x.b < y.b;
}
