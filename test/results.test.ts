/** What is committed in results/ fits together: no number of the README or of a page is older than the ones it comes from. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { StudyNumbers } from '../dist/eval/study-report.js';
import { answer, type ModelResults } from '../dist/eval/study-results.js';
import { settingsOfModel } from '../dist/eval/study-sittings.js';
import { findRecipe, type Study } from '../dist/recipes/index.js';

const file = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const studies = ['results/paper.json', 'results/first-specialist/paper.json'].flatMap((path) =>
  Object.entries(JSON.parse(readFileSync(file(path), 'utf8')) as Record<string, StudyNumbers>).map(
    ([name, study]) => [name, path, study] as const,
  ),
);

test('the tables of the README are those of results/paper.json', () => {
  expect(() => execFileSync(process.execPath, [file('scripts/readme-results.mjs'), '--check'])).not.toThrow();
});

test.each(studies)('the numbers of %s in %s were made with the recipe as it stands', (name, _, { models }) => {
  const study = findRecipe(name) as Study;
  const recorded = Object.entries(models).map(([model, { settings }]) => [model, settings]);
  expect(recorded).toEqual(Object.keys(models).map((model) => [model, settingsOfModel(study, model)]));
});

test.each(studies)('the answers of %s in %s follow from the measurements beside them', (_, __, study) => {
  const models = Object.entries(study.models).map(([name, { role, once, seeds }]): ModelResults => {
    const runs = Object.entries(seeds).map(([seed, measurement]) => ({ seed: Number(seed), measurement, scenes: [] }));
    return { name, role, once, runs };
  });
  const found = answer({ models }).map(({ hypothesis, verdict, parts }) => [
    hypothesis.id,
    verdict,
    parts.map((part) => part?.estimate),
  ]);
  const written = study.hypotheses.map(({ id, verdict, differences }) => [
    id,
    verdict,
    differences.map(({ estimate }) => estimate),
  ]);
  expect(JSON.parse(JSON.stringify(found))).toEqual(written);
});
