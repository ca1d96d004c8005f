/** `dualvla eval mm`: the eight multimodal benchmarks, asked and scored, or scored from predictions alone. */
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { Benchmark } from '../eval/benchmarks/benchmark.js';
import type { ChatEndpoint } from '../eval/benchmarks/chat-endpoint.js';
import type { Judge } from '../eval/benchmarks/judge.js';
import type { RadarModel } from '../eval/benchmarks/radar.js';
import type { BenchmarkResult } from '../eval/benchmarks/results.js';
import type { Answerer } from '../eval/multimodal/answerer.js';
import { endpointOf, parsePrice } from './endpoint-options.js';
import { CommandError, UsageError } from './errors.js';
import { oneOf, required, wholeNumber } from './options.js';
import { withStopSignal } from './stop-signal.js';
import { formatTable, Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla eval mm --data MMStar.tsv --benchmark MMStar --predictions mmstar.jsonl --mode score
  dualvla eval mm --data MMStar TextVQA --model my-vlm@http://localhost:8000/v1 --output outputs/mm/my-vlm --reuse
  dualvla eval mm --data MMVet --model outputs/train/... --judge gpt-4@https://api.example.com/v1
  dualvla eval mm --data outputs/data/multimodal/test --model outputs/train/... --output outputs/mm/mine

Tables are VLMEvalKit's (docs/multimodal-benchmarks.md). Scoring alone needs no engine and no network.
`;

const PROFILES = ['instructvla', 'upstream'] as const;
const MODES = ['all', 'infer', 'score'] as const;

interface MmFlags {
  data?: string[];
  benchmark?: string;
  predictions?: string;
  model?: string;
  mode: (typeof MODES)[number];
  profile: (typeof PROFILES)[number];
  output?: string;
  beside?: string[];
  dataRoot?: string;
  reuse?: boolean;
  overwrite?: boolean;
  download?: boolean;
  judge?: string;
  judgeReplies?: string;
  wording?: string;
  keyEnv: string;
  judgeKeyEnv: string;
  concurrency: number;
  requestsPerMinute?: number;
  retries: number;
  timeout: number;
  price?: { prompt: number; reply: number };
  limit?: number;
  partial?: boolean;
  splitThink?: boolean;
  predictionFormat: 'xlsx' | 'tsv';
  device: string;
  json?: boolean;
}

interface Table {
  readonly benchmark: Benchmark;
  readonly path: string;
}

export function registerEvalMm(evaluation: Command): void {
  evaluation
    .command('mm')
    .description('multimodal benchmarks, scored as VLMEvalKit scores them')
    .option('--data <tables...>', 'VLMEvalKit TSVs: files, folders of them, or names of benchmarks in --data-root')
    .option('--benchmark <name>', "the table's benchmark, where its name does not say it")
    .option('--data-root <dir>', 'where named tables lie (LMUData in the environment, or ~/LMUData)')
    .option('--download', 'fetch named tables that are not there (also hf:owner/name/file.tsv from the hub)')
    .option('--predictions <file>', "predictions to score: .jsonl, or VLMEvalKit's .xlsx or .tsv (one table)")
    .option('--model <who>', 'a checkpoint, or name@url of an OpenAI-compatible endpoint')
    .option('--mode <mode>', `${MODES.join(', ')}`, oneOf('mode', MODES), 'all')
    .option('--profile <name>', `${PROFILES.join(', ')}`, oneOf('profile', PROFILES), 'instructvla')
    .option('--output <dir>', 'where answers and results go')
    .option('--beside <summaries...>', 'summary.json files of other models, for the radar')
    .option('--reuse', 'go on with the answers in --output')
    .option('--overwrite', 'replace the answers in --output')
    .option('--judge <name@url>', 'a model that is asked where rules do not tell (MM-Vet needs one)')
    .option(
      '--judge-replies <file>',
      'recorded replies of a judge, JSON {"<index>": ["..."]} (of several tables: MM-Vet)',
    )
    .option('--wording <file>', 'JSON with sentences of the messages, in place of our own')
    .option('--key-env <name>', "environment variable with the endpoint's key", 'OPENAI_API_KEY')
    .option('--judge-key-env <name>', "environment variable with the judge's key", 'OPENAI_API_KEY')
    .option('--concurrency <n>', 'requests at once', wholeNumber(1), 8)
    .option('--requests-per-minute <n>', 'at most', wholeNumber(1))
    .option('--retries <n>', 'further tries of a request', wholeNumber(), 5)
    .option('--timeout <seconds>', 'of a request', wholeNumber(1), 120)
    .option('--price <prompt,reply>', 'of a million tokens, to count the cost', parsePrice)
    .option('--limit <n>', 'only the first rows of each table', wholeNumber(1))
    .option('--partial', 'score although some rows have no prediction')
    .option('--split-think', 'only what follows </think> counts')
    .option(
      '--prediction-format <kind>',
      'the file VLMEvalKit would have written: xlsx, tsv',
      oneOf('format', ['xlsx', 'tsv']),
      'xlsx',
    )
    .option('--device <name>', 'of a checkpoint: cpu, cuda ...', 'cpu')
    .option('--json', 'print the results as JSON')
    .addHelpText('before', EXAMPLES)
    .action(evalMm);
}

async function evalMm(flags: MmFlags): Promise<void> {
  const tables = await findTables(flags);
  if (flags.predictions !== undefined && tables.length > 1) {
    throw new UsageError('--predictions belong to one table; --data names several');
  }
  const fromFile = flags.predictions !== undefined;
  if (fromFile && flags.mode === 'infer')
    throw new UsageError('--mode infer makes predictions; leave --predictions out');
  const results: BenchmarkResult[] = [];
  const usage: object[] = [];
  const judging = await judgingEndpoint(flags);
  await withStopSignal(
    async (signal) => {
      if (!fromFile && flags.mode !== 'score') usage.push(...(await infer(flags, tables, signal)));
      if (flags.mode === 'infer') return;
      for (const table of tables) results.push(await score(flags, table, tables.length, signal, judging));
      if (judging) usage.push({ judge: judging.name, ...judging.usage });
    },
    () => process.stderr.write('stopping; next: the same command with --reuse\n'),
  );
  const average = await averageOf(results);
  if (flags.output !== undefined && results.length > 0)
    await writeSummary(flags, await modelName(flags, tables), results, average, usage);
  if (flags.json) {
    const shown = results.length === 1 ? results[0] : { results, ...(average === undefined ? {} : { average }) };
    process.stdout.write(`${JSON.stringify(flags.mode === 'infer' ? { usage } : shown)}\n`);
    return;
  }
  if (results.length > 0) process.stdout.write(`${resultTable(results)}\n`);
  if (average !== undefined) process.stdout.write(`average of eight: ${average.toFixed(2)}\n`);
  for (const one of usage) process.stdout.write(`${JSON.stringify(one)}\n`);
}

/** A row a benchmark; the embedded families also with what guessing gets. */
function resultTable(results: readonly BenchmarkResult[]): string {
  const guessed = results.some(({ scores }) => scores.chance !== undefined);
  const rows = results.map(({ benchmark, main, numRows, uninferableRate, profile, judge, scores }) => [
    benchmark,
    main.toFixed(2),
    String(numRows),
    `${(100 * uninferableRate).toFixed(1)} %`,
    ...(guessed ? [scores.chance == null ? '-' : (100 * scores.chance).toFixed(1)] : []),
    profile,
    judge,
  ]);
  const head = ['benchmark', 'score', 'rows', 'not inferable', ...(guessed ? ['by guessing'] : []), 'profile', 'judge'];
  return formatTable([head, ...rows], guessed ? [1, 2, 3, 4] : [1, 2, 3]);
}

async function findTables({ data, benchmark, dataRoot, download }: MmFlags): Promise<Table[]> {
  const { BENCHMARKS, EMBEDDED_BENCHMARKS, findBenchmark } = await import('../eval/benchmarks/index.js');
  const names = [...BENCHMARKS, ...EMBEDDED_BENCHMARKS].map(({ name }) => name).join(', ');
  const root = dataRoot ?? process.env.LMUData ?? join(homedir(), 'LMUData');
  const given = benchmark === undefined ? undefined : findBenchmark(benchmark);
  if (benchmark !== undefined && !given)
    throw new UsageError(`there is no benchmark '${benchmark}'; there are ${names}`);
  return Promise.all(
    required(data, '--data <tables...>')
      .flatMap(tablesOfFolder)
      .map(async (name): Promise<Table> => {
        const base = (name.split(/[\\/]/).at(-1) as string).replace(/\.tsv$/, '');
        const found = given ?? findBenchmark(base);
        const isPath = !name.startsWith('hf:') && (name.endsWith('.tsv') || existsSync(name));
        if (isPath && !existsSync(name)) throw new UsageError(`there is no table ${name}`);
        if (!found) throw new UsageError(`'${name}' does not say its benchmark; name it with --benchmark: ${names}`);
        if (isPath) return { benchmark: found, path: name };
        const candidates = name.startsWith('hf:')
          ? [base]
          : [...found.tables.filter((table) => table === base), ...found.tables];
        const path = candidates.map((table) => join(root, `${table}.tsv`)).find((file) => existsSync(file));
        return { benchmark: found, path: path ?? (await fetched(name, candidates, root, download)) };
      }),
  );
}

/** The tables of a folder in order of their names; anything else is a table itself. */
function tablesOfFolder(path: string): string[] {
  if (!existsSync(path) || !statSync(path).isDirectory()) return [path];
  const tables = readdirSync(path).filter((name) => name.endsWith('.tsv'));
  if (tables.length === 0) throw new UsageError(`there is no .tsv in ${path}`);
  return tables.sort().map((name) => join(path, name));
}

/** A table that is not there: from VLMEvalKit's place or the hub, if that is wanted. */
async function fetched(name: string, tables: readonly string[], root: string, download = false): Promise<string> {
  const { downloadTable, hubSource, TABLE_SOURCES } = await import('../eval/benchmarks/download.js');
  const table = tables.find((one) => TABLE_SOURCES.has(one)) ?? (tables[0] as string);
  const path = join(root, `${table}.tsv`);
  const source = hubSource(name) ?? TABLE_SOURCES.get(table);
  if (!source) throw new UsageError(`there is no ${path}, and no known place to fetch it from`);
  if (!download) throw new UsageError(`there is no ${path}; fetch it with --download, or name a file`);
  const progress = new Progress(`${table}.tsv`, 1);
  await downloadTable(source, path, {
    onProgress: (bytes, of) => progress.update(bytes / of, `${Math.round(bytes / 1e6)} MB`),
  });
  return path;
}

const answersPath = (flags: MmFlags, { benchmark }: Table): string =>
  join(required(flags.output, '--output <dir>'), `${benchmark.id}.${flags.profile}.jsonl`);

async function infer(flags: MmFlags, tables: readonly Table[], signal: AbortSignal): Promise<object[]> {
  const who = required(flags.model, '--model <who>');
  const { QuestionSet } = await import('../eval/benchmarks/question-set.js');
  const { askAnswerer, askEndpoint } = await import('../eval/benchmarks/ask-model.js');
  const wording = await wordingOf(flags);
  const endpoint = await endpointOf(who, flags, flags.keyEnv);
  const output = required(flags.output, '--output <dir>');
  mkdirSync(output, { recursive: true });
  for (const table of tables) {
    const path = answersPath(flags, table);
    if (!existsSync(path) || flags.reuse) continue;
    if (!flags.overwrite)
      throw new UsageError(`${path} is there already; go on with --reuse or replace it with --overwrite`);
    rmSync(path);
  }
  const lock = await lockOf(output);
  /** By the longest answer. */
  const answerers = new Map<number, Answerer>();
  try {
    for (const table of tables) {
      let progress: Progress | undefined;
      const options = {
        benchmark: table.benchmark,
        set: QuestionSet.open(table.path),
        profile: flags.profile,
        wording,
        path: answersPath(flags, table),
        signal,
        onProgress: (done: number, total: number) => {
          progress ??= new Progress(table.benchmark.name, total);
          progress.update(done);
        },
        ...(flags.limit === undefined ? {} : { limit: flags.limit }),
      };
      if (endpoint) await askEndpoint(endpoint, flags.concurrency, options);
      else {
        const { maxTokens } = table.benchmark;
        const answerer = answerers.get(maxTokens) ?? (await checkpointOf(who, maxTokens, flags.device));
        answerers.set(maxTokens, answerer);
        await askAnswerer(answerer, await checkpointName(who), 16, options);
      }
    }
  } finally {
    lock.release();
  }
  return endpoint ? [{ model: endpoint.name, ...endpoint.usage }] : [];
}

/** One process asks into a folder. */
async function lockOf(output: string): Promise<{ release(): void }> {
  const { ProcessLock } = await import('../data/process-lock.js');
  const lock = ProcessLock.take(join(output, '.lock'));
  if (lock instanceof ProcessLock) return lock;
  throw new CommandError(`${output} is being written by process ${lock.pid} on ${lock.host}; next: another --output`);
}

async function checkpointOf(path: string, maxTokens: number, device: string): Promise<Answerer> {
  if (!existsSync(path)) throw new UsageError(`--model: ${path} is no checkpoint, and no name@url of an endpoint`);
  const { loadCheckpointAnswerer } = await import('../eval/checkpoint-answerer.js');
  return loadCheckpointAnswerer(path, { device, maxTokens });
}

/** What tells a checkpoint from another at the same place: its weights' size and time. */
async function checkpointName(path: string): Promise<string> {
  const { findPretrained } = await import('../train/pretrained.js');
  const weights = realpathSync(join(findPretrained(path), 'model.safetensors'));
  const { size, mtime } = statSync(weights);
  return `${weights} (${size} bytes, ${mtime.toISOString()})`;
}

async function wordingOf({ wording }: MmFlags) {
  const { OWN_WORDING, readWording } = await import('../eval/benchmarks/prompts.js');
  return wording === undefined ? OWN_WORDING : readWording(wording);
}

async function judgeOf(
  flags: MmFlags,
  { benchmark }: Table,
  numTables: number,
  signal: AbortSignal,
  endpoint: ChatEndpoint | undefined,
): Promise<Judge | undefined> {
  if (benchmark.judge === 'never') return undefined;
  if (flags.judge !== undefined && flags.judgeReplies !== undefined) {
    throw new UsageError('--judge and --judge-replies: one of them');
  }
  // Of several tables, recorded replies belong to the one that has to have them.
  if (flags.judgeReplies !== undefined && (numTables === 1 || benchmark.judge === 'must')) {
    const { RecordedJudge } = await import('../eval/benchmarks/judge.js');
    return new RecordedJudge(flags.judgeReplies);
  }
  if (endpoint === undefined) {
    if (benchmark.judge !== 'must') return undefined;
    throw new UsageError(
      `${benchmark.name} is marked by a judge; name one with --judge <name@url> or --judge-replies <file>`,
    );
  }
  const { EndpointJudge } = await import('../eval/benchmarks/endpoint-judge.js');
  const journal = flags.output === undefined ? undefined : join(flags.output, 'judge.jsonl');
  return new EndpointJudge(endpoint, journal, signal);
}

/** One for all tables, so that it counts what all of them ask. */
async function judgingEndpoint(flags: MmFlags): Promise<ChatEndpoint | undefined> {
  if (flags.judge === undefined || flags.mode === 'infer') return undefined;
  const endpoint = await endpointOf(flags.judge, flags, flags.judgeKeyEnv);
  if (!endpoint) throw new UsageError(`--judge: '${flags.judge}' is no name@url of an endpoint`);
  return endpoint;
}

async function score(
  flags: MmFlags,
  table: Table,
  numTables: number,
  signal: AbortSignal,
  judging: ChatEndpoint | undefined,
): Promise<BenchmarkResult> {
  const { QuestionSet } = await import('../eval/benchmarks/question-set.js');
  const { readPredictions, withoutThinking } = await import('../eval/benchmarks/predictions.js');
  const { scoreBenchmark } = await import('../eval/benchmarks/results.js');
  const judge = await judgeOf(flags, table, numTables, signal, judging);
  const predictions = readPredictions(flags.predictions ?? answersPath(flags, table));
  const result = await scoreBenchmark({
    benchmark: table.benchmark,
    set: QuestionSet.open(table.path),
    predictions: flags.splitThink ? withoutThinking(predictions) : predictions,
    profile: flags.profile,
    wording: await wordingOf(flags),
    format: flags.predictionFormat,
    judgeAtOnce: flags.concurrency,
    partial: flags.partial === true || flags.limit !== undefined,
    ...(judge ? { judge } : {}),
  });
  if (flags.output !== undefined) {
    const { writeDurable } = await import('../data/durable-file.js');
    const { commitOf } = await import('../eval/provenance.js');
    const commit = commitOf(fileURLToPath(new URL('../..', import.meta.url)));
    const model = await modelName(flags, [table]);
    const name = `${table.benchmark.id}.${flags.profile}.result.json`;
    writeDurable(join(flags.output, name), `${JSON.stringify({ model, commit, ...result }, null, 1)}\n`);
  }
  return result;
}

/** Whose answers are scored: as given, else as the file of answers says. */
async function modelName(flags: MmFlags, [table]: readonly Table[]): Promise<string> {
  const { readPredictionLines } = await import('../eval/benchmarks/predictions.js');
  const said = table && flags.predictions === undefined ? readPredictionLines(answersPath(flags, table)) : undefined;
  return flags.model ?? flags.predictions ?? said?.header?.model ?? required(flags.output, '--output <dir>');
}

/** summary.json and, of three benchmarks or more, radar.svg. */
async function writeSummary(
  { output = '', profile, beside = [] }: MmFlags,
  name: string,
  results: readonly BenchmarkResult[],
  average: number | undefined,
  usage: readonly object[],
): Promise<void> {
  const { writeDurable } = await import('../data/durable-file.js');
  const scores = results.map(({ rows: _rows, ...result }) => result);
  const summary = { model: name, profile, ...(average === undefined ? {} : { average }), usage, results: scores };
  writeDurable(join(output, `summary.${profile}.json`), `${JSON.stringify(summary, null, 1)}\n`);
  if (results.length < 3) return;
  const { radar } = await import('../eval/benchmarks/radar.js');
  const models = [{ name, results }, ...beside.map(readSummary)];
  const axes = results.map(({ benchmark }) => benchmark);
  writeDurable(join(output, `radar.${profile}.svg`), radar(models, axes));
}

/** What a radar needs of another model's summary. */
function readSummary(path: string): RadarModel {
  let summary: Partial<{ model: string; results: RadarModel['results'] }> | null;
  try {
    summary = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`--beside: ${path} cannot be read: ${(error as Error).message}`);
  }
  if (typeof summary?.model !== 'string' || !Array.isArray(summary.results)) {
    throw new UsageError(`--beside: ${path} is no summary of eval mm`);
  }
  return { name: summary.model, results: summary.results };
}

/** The average, where all eight benchmarks or all eight embedded families are there. */
async function averageOf(results: readonly BenchmarkResult[]): Promise<number | undefined> {
  const { BENCHMARKS, EMBEDDED_BENCHMARKS } = await import('../eval/benchmarks/index.js');
  const { averageOfEight } = await import('../eval/benchmarks/results.js');
  for (const suite of [BENCHMARKS, EMBEDDED_BENCHMARKS]) {
    const mains = suite.map(({ name }) => results.find(({ benchmark }) => benchmark === name)?.main);
    if (mains.every((main) => main !== undefined)) return averageOfEight(mains);
  }
  return undefined;
}
