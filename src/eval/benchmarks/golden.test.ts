/** Every shared official value: unit functions, rows, scores, prompts, in both profiles. Counts are checked so that none is passed over. */
import { describe, expect, it } from 'vitest';
import { anlsScore, normalisedDistance } from './anls.js';
import { AnsweredRows, type Benchmark, type BenchmarkScore, type MessagePart } from './benchmark.js';
import { GOLDEN_MISSING, goldenJson, goldenLines, goldenPath } from './golden.test-support.js';
import { BENCHMARKS, findBenchmark } from './index.js';
import { type Judge, RecordedJudge } from './judge.js';
import { acceptedScore } from './mm-vet.js';
import { infer, inferOption, inferText, PROFILES, type Profile } from './option-inference.js';
import { OWN_WORDING, type Wording } from './prompts.js';
import { parseStringList } from './python-literal.js';
import { QuestionSet } from './question-set.js';
import { CONTRACTIONS, processAnswer, processPunctuation, vqaScore } from './vqa-answer.js';

interface GoldenRow {
  index: number | string;
  prediction_seen: string;
  inferred?: string | false;
  hit?: 0 | 1;
  group_hit?: 0 | 1;
  score?: number;
  choices?: Record<string, string>;
}
interface GoldenRows {
  rows: GoldenRow[];
  judge_mode?: { scores: Nested; rows: { index: number; hit: 0 | 1 }[]; n_judge_calls?: number };
}
type Nested = Record<string, Record<string, number | null>>;
interface GoldenBenchmark {
  scores: Record<string, unknown>;
  judge_mode_scores?: Nested;
  n_judge_calls?: number;
  main_score_0_100: number;
}
interface Expected {
  profiles: Record<
    Profile,
    { benchmarks: Record<string, GoldenBenchmark>; suite: { order: string[]; values: number[]; average: number } }
  >;
}

if (GOLDEN_MISSING !== undefined) console.warn(`golden benchmark tests skipped: ${GOLDEN_MISSING}`);

const SETS = new Map<string, QuestionSet>();
function setOf(id: string): QuestionSet {
  const set = SETS.get(id) ?? QuestionSet.open(goldenPath(id, 'dataset.tsv'));
  SETS.set(id, set);
  return set;
}

function answersOf(id: string, profile: Profile): AnsweredRows {
  const lines = goldenLines<{ index: number | string; prediction: string }>(id, 'predictions.jsonl');
  const predictions = new Map(lines.map(({ index, prediction }) => [String(index), prediction]));
  return new AnsweredRows(setOf(id), predictions, profile, 'xlsx', id === 'mmbench' ? 2 : 1);
}

async function scoreOf(id: string, profile: Profile, judge?: Judge): Promise<BenchmarkScore> {
  const benchmark = findBenchmark(id);
  if (!benchmark) throw new Error(`no benchmark ${id}`);
  return benchmark.score(answersOf(id, profile), { profile, wording: OWN_WORDING, ...(judge ? { judge } : {}) });
}

describe.skipIf(GOLDEN_MISSING !== undefined)('unit values', () => {
  it('infers options: 700', () => {
    const rows = goldenLines<
      { answer: string; choices: Record<string, string> } & Record<
        Profile,
        { option: string | false; text: string | false; infer: string | false }
      >
    >('unit', 'can_infer.jsonl');
    expect(rows).toHaveLength(700);
    for (const row of rows) {
      for (const profile of PROFILES) {
        const choices = () => new Map(Object.entries(row.choices));
        expect({
          row,
          option: inferOption(row.answer, choices(), profile).option,
          text: inferText(row.answer, choices(), profile).option,
          infer: infer(row.answer, choices(), profile).option,
        }).toEqual({ row, ...row[profile] });
      }
    }
  });

  it('processes answers: 500', () => {
    const rows = goldenLines<{ in: string } & Record<Profile, { punct: string; out: string }>>(
      'unit',
      'process_answer.jsonl',
    );
    expect(rows).toHaveLength(500);
    for (const row of rows) {
      for (const profile of PROFILES) {
        expect({ in: row.in, out: processAnswer(row.in, profile) }).toEqual({ in: row.in, out: row[profile].out });
        expect({ in: row.in, out: processPunctuation(row.in, profile) }).toEqual({
          in: row.in,
          out: row[profile].punct,
        });
      }
    }
  });

  it('scores by annotators: 300', () => {
    const rows = goldenLines<{ answers: string[]; pred: string } & Record<Profile, { match: number[]; score: number }>>(
      'unit',
      'vqa_score.jsonl',
    );
    expect(rows).toHaveLength(300);
    for (const { answers, pred, ...of } of rows) {
      for (const profile of PROFILES) {
        const { match, score } = vqaScore(answers, pred, profile);
        expect({ answers, pred, match, score }).toEqual({ answers, pred, ...of[profile] });
      }
    }
  });

  it('measures edit distances: 500', () => {
    const rows = goldenLines<{ gt: string; pred: string; nls: number; hit: number }>('unit', 'anls.jsonl');
    expect(rows).toHaveLength(500);
    for (const { gt, pred, nls, hit } of rows) {
      expect({ gt, pred, nls: normalisedDistance(gt, pred), hit: anlsScore([gt], pred).score }).toEqual({
        gt,
        pred,
        nls,
        hit,
      });
    }
  });

  it("reads judges' numbers: 49", () => {
    const rows = goldenLines<{ judge_output: string; accepted: boolean; score: number | string | null }>(
      'unit',
      'mmvet_float.jsonl',
    );
    expect(rows).toHaveLength(49);
    for (const { judge_output, accepted, score } of rows) {
      expect({ judge_output, score: acceptedScore(judge_output) }).toEqual({
        judge_output,
        score: accepted ? Number(score) : undefined,
      });
    }
  });

  it('reads list literals: 327', () => {
    const rows = goldenLines<{ raw: string; list: string[] }>('unit', 'python_list.jsonl');
    expect(rows).toHaveLength(327);
    for (const { raw, list } of rows) expect({ raw, list: parseStringList(raw) }).toEqual({ raw, list });
  });

  it('knows the contractions that can apply', () => {
    const all = goldenJson<Record<string, string>>('unit', 'contractions.json');
    for (const [word, full] of Object.entries(all)) {
      if (word === word.toLowerCase()) expect(CONTRACTIONS.get(word) ?? word).toBe(full);
    }
  });
});

describe.skipIf(GOLDEN_MISSING !== undefined)('rows and scores', () => {
  const official = (id: string, { scores }: GoldenBenchmark): Record<string, number | null> => {
    if (id === 'mmvet') {
      return Object.fromEntries(
        Object.entries(scores as Record<string, { acc: number }>).map(([name, { acc }]) => [name, acc]),
      );
    }
    return scores as Record<string, number | null>;
  };
  /** Categories without rows are null there and missing here. */
  const withoutEmpty = (scores: object) =>
    Object.fromEntries(Object.entries(scores).filter(([, value]) => value !== null));
  const checkNested = (scores: Record<string, number | null>, nested: Nested): void => {
    for (const [split, of] of Object.entries(nested)) {
      const ours = Object.fromEntries(
        Object.entries(scores).flatMap(([name, value]) =>
          name.startsWith(`${split}/`) ? [[name.slice(split.length + 1), value]] : [],
        ),
      );
      expect(withoutEmpty(ours)).toEqual(withoutEmpty(of));
      expect(scores[split]).toBe(of.Overall);
    }
  };

  describe.each(PROFILES)('%s', (profile) => {
    let rowsSeen = 0;
    it.each(BENCHMARKS.map(({ id }) => id))('%s', async (id) => {
      const expected = goldenJson<Expected>('expected.json').profiles[profile].benchmarks[id] as GoldenBenchmark;
      const golden = goldenJson<GoldenRows>(id, `rows_${profile}.json`);
      const answers = answersOf(id, profile);
      expect(answers.predictions).toEqual(
        answers.indices.map((index) => golden.rows.find((row) => row.index === index)?.prediction_seen),
      );
      const judge = id === 'mmvet' ? new RecordedJudge(goldenPath('mmvet', 'judge_outputs.json')) : undefined;
      const { scores, main, rows } = await scoreOf(id, profile, judge);
      expect(main).toBe(expected.main_score_0_100);
      expect(rows).toHaveLength(golden.rows.length);
      const ours = new Map(rows.map((row) => [row.index, row]));
      for (const { index, inferred, hit, group_hit, score } of golden.rows) {
        const row = ours.get(index);
        // Rotations have no hit of their own there, only the group's first row has.
        const outcome = group_hit ?? hit ?? score ?? row?.hit;
        expect({ index, extracted: row?.extracted, outcome: row?.hit ?? row?.score }).toEqual({
          index,
          extracted: inferred ?? row?.extracted,
          outcome,
        });
      }
      if (['mmstar', 'mmmu', 'mmbench'].includes(id)) checkNested(scores, expected.scores as Nested);
      else expect(scores).toMatchObject(official(id, expected));
      rowsSeen += rows.length;
    });

    it('all rows have been compared: 755', () => expect(rowsSeen).toBe(755));

    it('averages over the eight', async () => {
      const { suite } = goldenJson<Expected>('expected.json').profiles[profile];
      const { averageOfEight } = await import('./results.js');
      expect(averageOfEight(suite.values)).toBe(suite.average);
      expect(BENCHMARKS.map(({ id }) => id)).toEqual(suite.order);
    });

    it.each(['mmstar', 'mmbench'])('%s with a judge', async (id) => {
      const expected = goldenJson<Expected>('expected.json').profiles[profile].benchmarks[id] as GoldenBenchmark;
      const script = goldenJson<Record<string, { prompt: string; outputs: string[] }>>(
        id,
        `judge_script_${profile}.json`,
      );
      const recorded = new RecordedJudge(goldenPath(id, `judge_script_${profile}.json`));
      const wording = officialJudges(Object.values(script).map(({ prompt }) => prompt));
      let calls = 0;
      const judge: Judge = {
        name: 'script',
        ask: (question) => {
          calls++;
          expect(question.prompt).toBe(script[String(question.index)]?.prompt);
          return recorded.ask(question);
        },
      };
      const benchmark = findBenchmark(id) as Benchmark;
      const { scores, rows } = await benchmark.score(answersOf(id, profile), {
        profile,
        judge,
        wording,
      });
      checkNested(scores, expected.judge_mode_scores as Nested);
      expect(calls).toBe(expected.n_judge_calls);
      const golden = goldenJson<GoldenRows>(id, `rows_${profile}.json`).judge_mode?.rows ?? [];
      const hits = new Map(rows.map(({ index, hit }) => [index, hit]));
      for (const { index, hit } of golden) expect({ index, hit: hits.get(index) }).toEqual({ index, hit });
    });
  });
});

/** Templates out of official prompts: what all of a language have in common around a row's own words. */
function officialJudges(prompts: readonly string[]): Wording {
  const template = (prompt: string | undefined, marks: readonly [string, string, string, string]): string => {
    if (prompt === undefined) return '';
    const [question, options, answer, end] = marks;
    const head = prompt.slice(0, prompt.lastIndexOf(question) + question.length);
    return `${head}{question}?\n${options}There are several options: \n{options}\n${answer}{prediction}\n${end}`;
  };
  const chinese = prompts.find((prompt) => prompt.startsWith('你'));
  const english = prompts.find((prompt) => !prompt.startsWith('你'));
  return {
    ...OWN_WORDING,
    judgeOption: template(english, ['\nQuestion: ', 'Options: ', 'Answer: ', 'Your output: ']),
    judgeOptionChinese: template(chinese, ['\n问题: ', '选项: ', '答案: ', '输出: ']),
  };
}

describe.skipIf(GOLDEN_MISSING !== undefined)('prompts', () => {
  it('of MM-Vet to the judge: 56', () => {
    const prompts = goldenJson<Record<string, string>>('mmvet', 'judge_prompts.json');
    const [first] = Object.values(prompts) as [string];
    const head = first.slice(0, first.lastIndexOf('\n', first.indexOf('What does gauge 0')) + 1);
    const wording = { ...OWN_WORDING, judgeScore: `${head}{question} | {answer} | {prediction} | ` };
    const asked = new Map<string, string>();
    const recorded = new RecordedJudge(goldenPath('mmvet', 'judge_outputs.json'));
    const judge: Judge = {
      name: 'script',
      ask: (question) => {
        asked.set(String(question.index), question.prompt);
        expect(question.temperature).toBe(question.attempt * 0.5);
        return recorded.ask(question);
      },
    };
    const benchmark = findBenchmark('mmvet');
    return Promise.resolve(
      benchmark?.score(answersOf('mmvet', 'upstream'), { profile: 'upstream', judge, wording }),
    ).then(() => {
      expect(Object.fromEntries(asked)).toEqual(prompts);
      expect(asked.size).toBe(56);
    });
  });

  const shown = (parts: readonly MessagePart[]) =>
    parts.map((part) => ('text' in part ? { type: 'text', value: part.text } : { type: 'image' }));

  it('of all rows, official layout: 755', () => {
    const prompts = goldenLines<{ bench: string; index: number | string; msgs: { type: string; value: string }[] }>(
      'prompts_official.jsonl',
    );
    const lastLine = (bench: string) =>
      prompts
        .find((prompt) => prompt.bench === bench)
        ?.msgs.at(-1)
        ?.value.split('\n') ?? [];
    const wording = {
      ...OWN_WORDING,
      selectOption: `${lastLine('mmstar').at(-2)}\n`,
      answerShortly: lastLine('textvqa').at(-1) as string,
    };
    for (const { bench, index, msgs } of prompts) {
      const set = setOf(bench);
      const row = set.rowOf(index) as number;
      const pictures = set.pictures(row).length;
      const parts = findBenchmark(bench)?.ask(set, row, pictures, 'upstream', wording) ?? [];
      expect({ bench, index, parts: shown(parts) }).toEqual({
        bench,
        index,
        parts: msgs.map(({ type, value }) => (type === 'text' ? { type, value } : { type })),
      });
    }
    expect(prompts).toHaveLength(755);
  });

  it("of multiple choice, InstructVLA's layout: 371", () => {
    const prompts = goldenLines<{ bench: string; index: number | string; final_prompt: string }>(
      'prompts_instructvla_model.jsonl',
    );
    const lastLine = (has: (text: string) => boolean) =>
      prompts
        .find(({ final_prompt }) => has(final_prompt))
        ?.final_prompt.split('\n')
        .at(-1) as string;
    const chinese = (text: string) => /[\u4e00-\u9fff]/.test(text);
    const wording = {
      ...OWN_WORDING,
      answerLetter: lastLine((text) => !chinese(text) && /\n[A-Z]\. /.test(text)),
      answerLetterChinese: lastLine((text) => chinese(text) && /\n[A-Z]\. /.test(text)),
      answerFreely: lastLine((text) => !chinese(text) && !/\n[A-Z]\. /.test(text)),
    };
    for (const { bench, index, final_prompt } of prompts) {
      const set = setOf(bench);
      const row = set.rowOf(index) as number;
      const pictures = set.pictures(row).length;
      const parts = findBenchmark(bench)?.ask(set, row, pictures, 'instructvla', wording) ?? [];
      const text = parts.map((part) => ('text' in part ? part.text : '<image>')).join('');
      const joined = pictures === 1 ? text.replace('<image>', '<image>\n') : text;
      expect({ bench, index, prompt: joined }).toEqual({ bench, index, prompt: final_prompt });
    }
    expect(prompts).toHaveLength(371);
  });
});
