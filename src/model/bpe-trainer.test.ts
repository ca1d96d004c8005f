import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteAlphabet, byteToChar, type TokenizerJson, trainBpe } from './bpe-trainer.js';
import { latentActionTokens, SPECIAL_TOKENS, TextTokenizer, UnknownTokenError } from './tokenizer.js';

const texts = [
  'pick up the spoon and put the spoon on the towel',
  "move the gripper above the carrot; it's 12 cm away",
  'stack the green block on the yellow block\n\nopen the drawer, close the drawer',
  'naïve café 抓取 勺子 🤖🤖',
];
const specialTokens = [...Object.values(SPECIAL_TOKENS), ...latentActionTokens(8)];
const tokenizer = new TextTokenizer(trainBpe(texts, { vocabularySize: 330, specialTokens, minFrequency: 1 }));
const mergesOf = (json: TokenizerJson): string[] => json.model.merges.map((pair) => pair.join(' '));

describe('trainBpe', () => {
  it('merges the most frequent pair first and breaks ties by smaller ids', () => {
    // ab x 5, bc x 5 (words: abc x 3, ab x 2, bc x 2) -> a b before b c; then ab c (3), then b c (2).
    expect(mergesOf(trainBpe(['abc\nabc\nabc\nab\nab\nbc\nbc'], { vocabularySize: 300 }))).toEqual([
      'a b',
      'ab c',
      'b c',
    ]);
  });

  it('learns the merges of the tokenizers library (BpeTrainer of version 0.23.2 on the same texts)', () => {
    const expected =
      'Ġ t,h e,Ġt he,c k,l o,o n,Ġ c,a w,e r,v e,b lo,d r,e l,e n,g r,o on,o ve,p oon,s poon,¤ ĸ,ð Ł,Ġ a,Ġ on,Ġ blo,Ġ dr,Ġ gr,Ġ spoon,Ġc a,aw er,ðŁ ¤ĸ,Ġblo ck,Ġdr awer';
    expect(mergesOf(trainBpe(texts)).join(',')).toBe(expected);
  });

  it('merges a run of equal bytes from the left', () => {
    expect(mergesOf(trainBpe(['aaaaa\naaaaa'], { vocabularySize: 300 }))).toEqual(['a a', 'aa a', 'aa aaa']);
  });

  it('counts bytes, not characters', () => {
    expect(mergesOf(trainBpe(['éé éé éé'], { vocabularySize: 257 }))).toEqual(['Ã ©']);
  });

  it('numbers bytes, then merges, then special tokens', () => {
    const json = trainBpe(texts, { vocabularySize: 330, specialTokens, minFrequency: 1 });
    expect(Object.values(json.model.vocab).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 330 - specialTokens.length }, (_, i) => i),
    );
    expect(json.added_tokens.map((token) => token.id)).toEqual(
      specialTokens.map((_, i) => 330 - specialTokens.length + i),
    );
    expect(Object.keys(json.model.vocab).slice(0, 256).sort()).toEqual(byteAlphabet().sort());
    expect(new Set(byteToChar()).size).toBe(256);
  });

  it('does not depend on the order of the texts', () => {
    const one = trainBpe(texts, { vocabularySize: 320, specialTokens, minFrequency: 1 });
    expect(trainBpe([...texts].reverse(), { vocabularySize: 320, specialTokens, minFrequency: 1 })).toEqual(one);
  });

  it('stops when no pair is frequent enough', () => {
    expect(trainBpe(['abcdefg'], { vocabularySize: 1024 }).model.merges).toEqual([]);
    expect(trainBpe(['abcdefg'], { vocabularySize: 1024, minFrequency: 1 }).model.merges).toHaveLength(6);
  });

  it('learns nothing from special tokens in the text', () => {
    const json = trainBpe(['<img>ab<img>ab<img>ab'], { vocabularySize: 300, specialTokens: ['<img>'] });
    expect(mergesOf(json)).toEqual(['a b']);
  });

  it('names a vocabulary that is too small and a special token given twice', () => {
    expect(() => trainBpe(texts, { vocabularySize: 260, specialTokens })).toThrow(/at least 270/);
    expect(() => trainBpe(texts, { specialTokens: ['<x>', '<x>'] })).toThrow(/"<x>" is given twice/);
  });
});

describe('TextTokenizer', () => {
  it('gives every Unicode string back', () => {
    const unicode = fc.string({ unit: 'binary', maxLength: 40 });
    const mixed = fc.array(
      fc.oneof(
        unicode,
        fc.constantFrom(' ', '\n', '\r\n', '\t', "'S", '\ufeff', '\u0085', '\u017f', 'e\u0301', ...specialTokens),
      ),
    );
    fc.assert(
      fc.property(unicode, mixed, (text, parts) => {
        for (const string of [text, parts.join('')]) expect(tokenizer.decode(tokenizer.encode(string))).toBe(string);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it('reads special tokens in the text as single ids and can leave them out again', () => {
    const ids = tokenizer.encode('<|im_start|>user\n<img><IMG_CONTEXT></img>pick<|im_end|><new_token_7>');
    expect(ids[0]).toBe(tokenizer.idOf(SPECIAL_TOKENS.messageStart));
    expect(ids.at(-1)).toBe(329);
    expect(ids.filter((id) => tokenizer.isSpecial(id))).toHaveLength(6);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe('user\npick');
  });

  it('replaces unpaired surrogates', () => {
    expect(tokenizer.decode(tokenizer.encode('a\ud800b'))).toBe('a\ufffdb');
  });

  it('compresses what it was trained on', () => {
    expect(tokenizer.encode(' the spoon')).toHaveLength(2);
    expect(tokenizer.encode('')).toEqual([]);
  });

  it('names unknown tokens and ids', () => {
    expect(() => tokenizer.idOf('<image>')).toThrow(UnknownTokenError);
    expect(() => tokenizer.decode([5000])).toThrow('id 5000 is not in the vocabulary of 330');
  });
});
