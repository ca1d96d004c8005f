/** What is committed in results/ fits together: no number of the README or of a page is older than the ones it comes from. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { answer, type ModelResults } from '../dist/eval/study-results.js';

const file = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const numbers = JSON.parse(readFileSync(file('results/paper.json'), 'utf8'));

test('the tables of the README are those of results/paper.json', () => {
  expect(() => execFileSync(process.execPath, [file('scripts/readme-results.mjs'), '--check'])).not.toThrow();
});

test.each(Object.keys(numbers))('the answers of %s follow from the measurements beside them', (study) => {
  const models = Object.entries(numbers[study].models).map(([name, model]): ModelResults => {
    const { role, seeds } = model as {
      role: string;
      seeds: Record<string, ModelResults['runs'][number]['measurement']>;
    };
    const runs = Object.entries(seeds).map(([seed, measurement]) => ({ seed: Number(seed), measurement, scenes: [] }));
    return { name, role, once: name === 'specialist', runs };
  });
  const found = answer({ models }).map(({ hypothesis, verdict, parts }) => [
    hypothesis.id,
    verdict,
    parts.map((part) => part?.estimate),
  ]);
  type Written = { id: string; verdict: string | null; differences: { estimate: object }[] };
  const written = numbers[study].hypotheses.map(({ id, verdict, differences }: Written) => [
    id,
    verdict,
    differences.map(({ estimate }) => estimate),
  ]);
  expect(JSON.parse(JSON.stringify(found))).toEqual(written);
});
