#!/usr/bin/env node
/**
 * Writes the tables of the replication into README.md, between their marks, from results/paper.json: no number is copied by hand. Runs on
 * what `npm run build` made.
 *
 *   dualvla study report outputs/paper-discrete outputs/paper-frozen --out results && node scripts/readme-results.mjs
 *   node scripts/readme-results.mjs --check     changes nothing; ends with 1 where the README says otherwise
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PAPER_ABLATIONS, PAPER_SUCCESS } from '../dist/eval/paper-figures.js';
import { answer as answerOf } from '../dist/eval/study-results.js';

/** Studies that have tables of their own. */
const STUDIES = ['paper-discrete', 'paper-frozen'];
/** Models that the README has rows of; all of them are in the tables of results/. */
const MODELS = {
  vlm: 'VLM: questions alone, what everything starts from',
  specialist: 'specialist',
  continued: 'control: the specialist trained on',
  'no-text': 'control: robot data and questions, no reasoning',
  base: 'reasoning base',
  plain: 'control: the base trained on with its own data',
  dualvla: '**DualVLA**',
  'dualvla-long': 'DualVLA, last stage twice as long',
  'no-pruning': 'ablation: no pruning',
  'random-pruning': 'ablation: random pruning in proportion',
  'no-distillation': 'ablation: no distillation',
  'no-reasoning-teacher': 'ablation: no reasoning teacher',
};
const CLAIMS = {
  H1: 'learning to reason costs actions: the base acts worse than both controls',
  H2: 'DualVLA repairs it: success above the base',
  'beside H2': 'the same against the base trained on for as long with its own data (`plain`)',
  H3: 'and is as good as the specialist (3 points allowed)',
  'H3-long': 'the same with twice the steps in the last stage',
  H4: 'dual-layer pruning is better than random pruning in proportion',
  'H4-drawn': 'the same where both draw whether to think',
  H5: 'without the reasoning teacher, fewer questions are answered right',
  'H5-one': 'with the action teacher for everything, fewer are',
  'H5-vlm': 'as H5, with a reasoning teacher that knows the answers, the VLM',
  'H5-few': 'as H5, where the last stage has few questions and can forget',
  H6: 'skipped reasoning makes predictions faster',
};

const file = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const read = (path) => JSON.parse(readFileSync(file(path), 'utf8'));
const numbers = read('results/paper.json');
/** Regime `frozen` from another specialist (docs/replication.md, seventh registration). */
const first = read('results/first-specialist/paper.json');
const COLUMNS = {
  'action tokens (`discrete`)': numbers['paper-discrete'],
  'flow expert, frozen (`frozen`)': numbers['paper-frozen'],
  '`frozen`, [another specialist](results/first-specialist/paper-frozen.md)': first['paper-frozen'],
};
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** `91.5 (89.7 to 93.3)`; no interval where seeds agree or there is one. */
function cell(estimate, digits, name) {
  if (estimate === null || (name === 'reasoned' && estimate.mean === 0)) return estimate === null ? '-' : '0';
  const { mean, interval } = estimate;
  const text = (value) => value.toFixed(digits);
  return interval === null ? text(mean) : `${text(mean)} (${text(interval[0])} to ${text(interval[1])})`;
}

const MEASURES = { success: 1, actionError: 4, multimodal: 1, vlaScore: 1, reasoned: 0, secondsPerPrediction: 0 };

function modelsTable({ models, guessing }) {
  const rows = Object.entries(MODELS)
    .filter(([name]) => models[name] !== undefined)
    .map(([name, title]) => [
      title,
      Object.keys(models[name].seeds).length,
      ...Object.entries(MEASURES).map(([measure, digits]) => cell(models[name].means[measure], digits, measure)),
    ]);
  const shares = Object.values(guessing);
  const guessed = (100 * shares.reduce((sum, share) => sum + share, 0)) / shares.length;
  rows.push(['guessing', '-', '-', '-', guessed.toFixed(1), '-', '-', '-']);
  const head = ['model', 'seeds', 'success, %', 'action error', 'questions right, %', 'VLA Score', 'thinks before, %'];
  return table([...head, 'a prediction, ms'], rows);
}

/** Both specialists of regime `frozen` together: every chain once, those of the first one under other numbers. The specialists themselves are none. */
function bothSpecialists() {
  const studies = [first['paper-frozen'], numbers['paper-frozen']];
  const names = Object.keys(studies[0].models).filter((name) =>
    studies.every(({ models }) => models[name] !== undefined),
  );
  const models = names.map((name) => ({
    name,
    role: '',
    once: false,
    runs: studies.flatMap(({ models }, i) =>
      models[name].once
        ? []
        : Object.entries(models[name].seeds).map(([seed, measurement]) => ({
            seed: Number(seed) + 1000 * i,
            measurement,
            scenes: [],
          })),
    ),
  }));
  const hypotheses = answerOf({ models }).map(({ hypothesis, verdict, parts }) => ({
    id: hypothesis.id,
    verdict,
    differences: parts.filter((part) => part !== null),
    beside: [],
  }));
  // Not H3: it compares with the specialist itself, and there are two. Not H6: times of two machines.
  const said = ['H1', 'H2', 'H4', 'H5'].filter((id) => hypotheses.some((one) => one.id === id));
  return `${said.map((id) => `${id} ${answer({ hypotheses }, id)}`).join('. ')}.`;
}

/** `shown, +24.9 (+19.8 to +29.9)`: every difference that decides. */
function answer(study, id) {
  const [hypothesis, beside] = [id.replace('beside ', ''), id.startsWith('beside ')];
  const found = study.hypotheses.find((one) => one.id === hypothesis);
  if (found === undefined) return '-';
  // Registered as reported beside H2, without a verdict.
  const shown = beside
    ? found.beside.filter(({ b, measure }) => b === 'plain' && measure === 'success')
    : found.differences;
  if (shown.length === 0) return '-';
  const signed = (value) => `${value > 0 ? '+' : ''}${value.toFixed(1)}`;
  const differences = shown.map(({ measure, estimate: { mean, interval, n } }) => {
    const range = interval === null ? '' : ` (${interval.map(signed).join(' to ')})`;
    return `${signed(mean)}${measure === 'secondsPerPrediction' ? ' ms' : ''}${range}, ${n} ${n === 1 ? 'seed' : 'seeds'}`;
  });
  return beside ? differences.join('; ') : `**${found.verdict ?? 'too few seeds'}**, ${differences.join('; ')}`;
}

const points = (value) => `${value > 0 ? '+' : ''}${value.toFixed(1)}`;
const { specialist, base, dualvla } = Object.fromEntries(
  Object.entries(PAPER_SUCCESS.flow).map(([model, { average }]) => [model, average]),
);
/** A row of the paper's ablations less its DualVLA, or the other way round: [Google robot, WidowX, multimodal, average]. */
function ablation(model, sign) {
  const rows = PAPER_ABLATIONS.flatMap((one) => one.rows);
  const figures = (name) => rows.find((row) => row.model === name).figures;
  return figures(model).map((value, i) => points(sign * (value - figures('dualvla')[i])));
}
const robots = ([google, widowx]) => `${google} (Google robot), ${widowx} (WidowX)`;
/** The same differences in SimplerEnv and on eight multimodal benchmarks: Tables 2 and 6 to 8 (arXiv 2511.22134v1), which have no intervals. */
const PAPER = {
  H1: `${points(base - specialist)}; ECoT ${points(PAPER_SUCCESS.discrete.base.average - PAPER_SUCCESS.discrete.specialist.average)} to OpenVLA`,
  H2: points(dualvla - base),
  'beside H2': robots(ablation('plain', -1)),
  H3: points(dualvla - specialist),
  H4: robots(ablation('random-pruning', -1)),
  H5: ablation('no-reasoning-teacher', 1)[2],
  H6: 'about 20 % faster',
};

const blocks = {
  verdicts: table(
    ['', 'claim', ...Object.keys(COLUMNS), 'the paper'],
    Object.entries(CLAIMS)
      .map(([id, claim]) => [id, claim, ...Object.values(COLUMNS).map((study) => answer(study, id)), PAPER[id] ?? '-'])
      // Registered, not yet run anywhere: docs/replication.md alone tells of it.
      .filter(([, , ...answers]) => answers.some((one) => one !== '-')),
  ),
  'both-specialists': bothSpecialists(),
  ...Object.fromEntries(STUDIES.map((study) => [study, modelsTable(numbers[study])])),
};

const readme = file('README.md');
const before = readFileSync(readme, 'utf8');
const after = Object.entries(blocks).reduce((text, [name, block]) => {
  const [start, end] = [`<!-- results: ${name} -->`, '<!-- end of results -->'];
  const from = text.indexOf(start);
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`README.md has no '${start}' ... '${end}'`);
  return `${text.slice(0, from + start.length)}\n\n${block}\n\n${text.slice(to)}`;
}, before);
if (process.argv.includes('--check')) {
  if (after !== before) {
    process.stderr.write('README.md and results/paper.json differ; next: node scripts/readme-results.mjs\n');
    process.exit(1);
  }
} else {
  writeFileSync(readme, after);
}
