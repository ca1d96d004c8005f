/**
 * Short answers as the VQA evaluation compares them: punctuation, number words, articles and contractions are evened out, then an answer gets a
 * third for each of the other nine annotators who gave it, at most 1. Used by TextVQA.
 */
import { mean } from './numpy-mean.js';
import type { Profile } from './option-inference.js';
import { digitValue, lower, split, strip } from './python-text.js';

const MARKS = [
  ';',
  '/',
  '[',
  ']',
  '"',
  '{',
  '}',
  '(',
  ')',
  '=',
  '+',
  '\\',
  '_',
  '-',
  '>',
  '<',
  '@',
  '`',
  ',',
  '?',
  '!',
];
const ARTICLES: ReadonlySet<string> = new Set(['a', 'an', 'the']);
const NUMBER_WORDS: ReadonlyMap<string, string> = new Map([
  ['none', '0'],
  ...['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'].map(
    (word, value): [string, string] => [word, String(value)],
  ),
]);
/** The official code hands a flag over as the greatest number of replacements. */
const MOST_PERIODS = 32;

const CONTRACTION_LIST = `
  aint=ain't arent=aren't cant=can't couldve=could've couldnt=couldn't couldn'tve=couldn't've
  couldnt've=couldn't've didnt=didn't doesnt=doesn't dont=don't hadnt=hadn't hadnt've=hadn't've hadn'tve=hadn't've
  hasnt=hasn't havent=haven't hed=he'd hed've=he'd've he'dve=he'd've hes=he's howd=how'd howll=how'll hows=how's
  isnt=isn't itd=it'd itd've=it'd've it'dve=it'd've itll=it'll maam=ma'am mightnt=mightn't mightnt've=mightn't've
  mightn'tve=mightn't've mightve=might've mustnt=mustn't mustve=must've neednt=needn't notve=not've oclock=o'clock
  oughtnt=oughtn't ow's'at='ow's'at 'ows'at='ow's'at 'ow'sat='ow's'at shant=shan't shed've=she'd've
  she'dve=she'd've shouldve=should've shouldnt=shouldn't shouldnt've=shouldn't've shouldn'tve=shouldn't've
  somebody'd=somebodyd somebodyd've=somebody'd've somebody'dve=somebody'd've somebodyll=somebody'll
  somebodys=somebody's someoned=someone'd someoned've=someone'd've someone'dve=someone'd've someonell=someone'll
  someones=someone's somethingd=something'd somethingd've=something'd've something'dve=something'd've
  somethingll=something'll thats=that's thered=there'd thered've=there'd've there'dve=there'd've therere=there're
  theres=there's theyd=they'd theyd've=they'd've they'dve=they'd've theyll=they'll theyre=they're theyve=they've
  twas='twas wasnt=wasn't wed've=we'd've we'dve=we'd've weve=we've werent=weren't whatll=what'll whatre=what're
  whats=what's whatve=what've whens=when's whered=where'd wheres=where's whereve=where've whod=who'd
  whod've=who'd've who'dve=who'd've wholl=who'll whos=who's whove=who've whyll=why'll whyre=why're whys=why's
  wont=won't wouldve=would've wouldnt=wouldn't wouldnt've=wouldn't've wouldn'tve=wouldn't've yall=y'all
  yall'll=y'all'll y'allll=y'all'll yall'd've=y'all'd've y'alld've=y'all'd've y'all'dve=y'all'd've youd=you'd
  youd've=you'd've you'dve=you'd've youll=you'll youre=you're youve=you've
`;

/**
 * Words that get their apostrophe, as listed by the VQA evaluation (its misspelt entries too). Words are lower-cased before, so its entries with
 * capitals ("Im") never apply.
 */
export const CONTRACTIONS: ReadonlyMap<string, string> = new Map(
  split(CONTRACTION_LIST).map((pair): [string, string] => pair.split('=') as [string, string]),
);

function isDigit(text: string, at: number): boolean {
  const codePoint = text.codePointAt(at);
  return codePoint !== undefined && digitValue(codePoint) !== undefined;
}

/** Is the character that ends before `at` a digit? Those beyond the basic plane take two units. */
function endsWithDigit(text: string, at: number): boolean {
  const low = text.charCodeAt(at - 1);
  return isDigit(text, low >= 0xdc00 && low <= 0xdfff ? at - 2 : at - 1);
}

/** A comma between two digits, anywhere. */
function hasDigitComma(text: string): boolean {
  for (let at = text.indexOf(','); at >= 0; at = text.indexOf(',', at + 1)) {
    if (at > 0 && endsWithDigit(text, at) && isDigit(text, at + 1)) return true;
  }
  return false;
}

/** A mark beside a space (wherever) is deleted, else becomes a space; then periods that belong to no number go. */
export function processPunctuation(text: string, profile: Profile): string {
  const joins = hasDigitComma(text);
  let out = text;
  for (const mark of MARKS) {
    if (!text.includes(mark)) continue;
    const beside = joins || text.includes(`${mark} `) || text.includes(` ${mark}`);
    out = out.replaceAll(mark, beside ? '' : ' ');
  }
  let kept = '';
  let removed = 0;
  let from = 0;
  for (let at = out.indexOf('.'); at >= 0 && removed < MOST_PERIODS; at = out.indexOf('.', at + 1)) {
    if (isDigit(out, at + 1)) continue;
    if (profile === 'upstream' && at > 0 && endsWithDigit(out, at)) continue;
    kept += out.slice(from, at);
    from = at + 1;
    removed++;
  }
  return kept + out.slice(from);
}

/** An answer in the form in which answers are compared. */
export function processAnswer(text: string, profile: Profile): string {
  const line = strip(text.replaceAll('\n', ' ').replaceAll('\t', ' '));
  const words: string[] = [];
  for (const word of split(lower(processPunctuation(line, profile)))) {
    const plain = NUMBER_WORDS.get(word) ?? word;
    if (!ARTICLES.has(plain)) words.push(CONTRACTIONS.get(plain) ?? plain);
  }
  return words.join(' ');
}

export interface VqaScore {
  /** 0 to 1. */
  readonly score: number;
  readonly prediction: string;
  readonly references: readonly string[];
  /** Against each reference: how far the others agree. */
  readonly match: readonly number[];
}

/** @param answers the annotators' answers */
export function vqaScore(answers: readonly string[], prediction: string, profile: Profile): VqaScore {
  const references = answers.map((answer) => processAnswer(answer, profile));
  const given = processAnswer(prediction, profile);
  const agreeing = references.filter((reference) => reference === given).length;
  const match = references.map((reference) => Math.min(1, (agreeing - (reference === given ? 1 : 0)) / 3));
  return { score: mean(match), prediction: given, references, match };
}
