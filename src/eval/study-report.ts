/**
 * Writes what studies found: paper.json (every model and seed), drawings.json (what is drawn beside), and for each study its tables as
 * Markdown and a page with drawings. Both files keep other studies, and seeds of the same study that were measured elsewhere or before.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../data/durable-file.js';
import type { Measurement } from './measurement.js';
import { machineName } from './provenance.js';
import { readDrawings, type StudyDrawings, withEarlierDrawings } from './study-drawings.js';
import { renderStudyPage } from './study-page.js';
import {
  type Answer,
  answer,
  type Difference,
  estimateOfModel,
  MEASURES,
  readStudyResults,
  type StudyResults,
  type Verdict,
} from './study-results.js';
import { settingsOfModel, sharedWeights, withEarlierSittings } from './study-sittings.js';
import type { Estimate } from './study-statistics.js';
import {
  ablationTables,
  multimodalTable,
  phaseTable,
  successTable,
  thinkingTable,
  toMarkdown,
  validityTable,
  verdictTable,
  verdictText,
  vlaScoreTable,
} from './study-tables.js';

export interface StudyReportOptions {
  /** Outputs of `dualvla study run`. */
  folders: readonly string[];
  out: string;
  split: string;
}

export interface WrittenReports {
  files: string[];
  /** A line a hypothesis. */
  studies: { study: string; lines: string[] }[];
}

/** A study has no measurement yet. */
export class NothingMeasuredError extends Error {
  override readonly name = 'NothingMeasuredError';
  constructor(folder: string, split: string) {
    super(`nothing is measured in ${folder} on ${split} scenes; next: dualvla study run, or another --split`);
  }
}

/** Nothing is written if it throws. @throws NoStudyError, NothingMeasuredError, OtherSittingError */
export async function writeStudyReports({ folders, out, split }: StudyReportOptions): Promise<WrittenReports> {
  const folderResults = folders.map((folder) => readStudyResults(folder, split));
  for (const { folder, models } of folderResults)
    if (models.length === 0) throw new NothingMeasuredError(folder, split);
  const [json, drawn] = [join(out, 'paper.json'), join(out, 'drawings.json')];
  const numbers = readByStudy<StudyNumbers>(json);
  const drawings = readByStudy<StudyDrawings>(drawn);
  const pages = new Map<string, string>();
  const lines = new Map<string, string[]>();
  for (const own of folderResults) {
    const { name } = own.study;
    const earlier = numbers[name];
    const results = earlier === undefined ? own : withEarlierSittings(own, earlier, json);
    const answers = answer(results);
    const shown = withEarlierDrawings(readDrawings(own), drawings[name]);
    drawings[name] = shown;
    numbers[name] = studyNumbers(results, shown, answers, earlier);
    pages.set(join(out, `${name}.md`), studyMarkdown(results, shown, answers));
    pages.set(join(out, `${name}.html`), renderStudyPage(results, shown, answers, factsOf(results)));
    const said = answers.map(({ hypothesis: { id, claim }, verdict }) => `${id} ${verdictText(verdict)}: ${claim}`);
    lines.set(name, said);
  }
  mkdirSync(out, { recursive: true });
  for (const [path, text] of pages) writeFileSync(path, text);
  writeDurable(json, `${JSON.stringify(numbers, null, 1)}\n`);
  writeDurable(drawn, `${JSON.stringify(drawings)}\n`);
  const studies = [...lines].map(([study, said]) => ({ study, lines: said }));
  return { files: [json, drawn, ...pages.keys()], studies };
}

/** What a file of the results holds, by study; nothing where there is none. */
function readByStudy<T>(path: string): Record<string, T> {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, T>) : {};
}

/** A study in paper.json. */
export interface StudyNumbers {
  recipe: string;
  split: string;
  seeds: number[];
  /** Every model and seed as it was measured; `settings`: hash of what its numbers depend on. */
  models: Record<string, ModelNumbers>;
  /** Hashes of the weights that all seeds are made from: the specialist's, by name. Results from before they were noted have none. */
  shared?: Record<string, string>;
  pruning: Record<string, { frames: number; kept: number }>;
  /** Share of the questions that guessing answers, by family. */
  guessing: Record<string, number>;
  hypotheses: { id: string; claim: string; verdict: Verdict; differences: Difference[]; beside: Difference[] }[];
}

interface ModelNumbers {
  role: string;
  once: boolean;
  settings: string;
  means: Record<string, Estimate | null>;
  seeds: Record<string, Measurement>;
}

/** Models that the study does not have (any more) keep what `earlier` says of their settings. */
export function studyNumbers(
  results: StudyResults,
  drawings: StudyDrawings,
  answers: readonly Answer[],
  earlier?: StudyNumbers,
): StudyNumbers {
  const { study, split, models } = results;
  const known = new Set(study.models.map(({ name }) => name));
  const settings = (name: string): string =>
    (known.has(name) ? undefined : earlier?.models[name]?.settings) ?? settingsOfModel(study, name);
  return {
    recipe: study.name,
    split,
    seeds: seedsOf(results),
    models: Object.fromEntries(
      models.map((model) => [
        model.name,
        {
          role: model.role,
          once: model.once,
          settings: settings(model.name),
          means: Object.fromEntries(Object.entries(MEASURES).map(([key, { of }]) => [key, estimateOfModel(model, of)])),
          seeds: Object.fromEntries(model.runs.map(({ seed, measurement }) => [String(seed), measurement])),
        },
      ]),
    ),
    shared: { ...earlier?.shared, ...sharedWeights(results) },
    pruning: pruningNumbers(drawings),
    guessing: drawings.guessing,
    hypotheses: answers.map(({ hypothesis, verdict, parts, beside }) => ({
      id: hypothesis.id,
      claim: hypothesis.claim,
      verdict,
      differences: parts.filter((part) => part !== null),
      beside: beside.filter((part) => part !== null),
    })),
  };
}

function pruningNumbers({ prunings }: StudyDrawings): Record<string, { frames: number; kept: number }> {
  return Object.fromEntries(Object.entries(prunings).map(([name, { frames, kept }]) => [name, { frames, kept }]));
}

/** Training seeds; that of models which are trained once for all is none. */
function seedsOf({ models }: StudyResults): number[] {
  const chains = models.filter(({ once }) => !once);
  const seeds = (chains.length === 0 ? models : chains).flatMap(({ runs }) => runs.map(({ seed }) => seed));
  return [...new Set(seeds)].sort((a, b) => a - b);
}

function factsOf(results: StudyResults) {
  const { study, split, models } = results;
  const measurements = models.flatMap(({ runs }) => runs.map(({ measurement }) => measurement));
  const distinct = (of: (measurement: (typeof measurements)[number]) => string | number): string =>
    [...new Set(measurements.map(of))].join(', ');
  const seeds = seedsOf(results);
  const facts = [
    { name: 'recipe', value: `${study.name}: ${study.summary}` },
    { name: 'training seeds', value: seeds.join(', ') },
    { name: 'scenes a task', value: `${distinct(({ trials }) => trials)}, ${split} split, the same for every model` },
    {
      name: 'demonstrations',
      value: `${study.demonstrations.episodes_per_task} a task, reasoning of style ${study.reasoning}`,
    },
    { name: 'commit', value: distinct(({ commit }) => commit) },
    { name: 'engine', value: distinct(({ engine }) => engine) },
    { name: 'judge of VLA Score', value: distinct(({ vlaScore }) => vlaScore.judge) },
    { name: 'written on', value: `${machineName()}, ${new Date().toISOString()}` },
  ];
  const lead =
    `${models.length} models, ${seeds.length} training seed${seeds.length === 1 ? '' : 's'}: ${study.summary}. ` +
    "Differences are paired by seed; the paper's figures stand beside ours.";
  return { title: `Study ${study.name}`, lead, facts };
}

export function studyMarkdown(results: StudyResults, drawings: StudyDrawings, answers: readonly Answer[]): string {
  const { title, lead, facts } = factsOf(results);
  const [phases, validity] = [phaseTable(results), validityTable(results)];
  const tables = [
    ...(answers.length === 0 ? [] : [verdictTable(answers)]),
    successTable(results),
    vlaScoreTable(results),
    multimodalTable(results, drawings.guessing),
    ...ablationTables(results),
    thinkingTable(results),
    ...(phases === null ? [] : [phases]),
    ...(validity === null ? [] : [validity]),
  ];
  const roles = results.models.map(({ name, role }) => `- \`${name}\`: ${role}`);
  const kept = Object.entries(pruningNumbers(drawings)).map(
    ([name, { frames, kept: of }]) =>
      `- \`${name}\`: ${of} of ${frames} frames (${((100 * of) / Math.max(1, frames)).toFixed(1)} %)`,
  );
  const parts = [
    `# ${title}`,
    lead,
    facts.map(({ name, value }) => `- ${name}: ${value}`).join('\n'),
    ...tables.map(toMarkdown),
    ...(kept.length === 0 ? [] : [`## Frames that keep their reasoning\n\n${kept.join('\n')}`]),
    `## Models\n\n${roles.join('\n')}`,
  ];
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}
