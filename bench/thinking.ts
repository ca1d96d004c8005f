/**
 * What skipped reasoning saves: models predict for the same held-out frames in turn, one after another in one process, so that whatever else
 * the machine does hits all alike. Processor time of single predictions, as ratios to the first model. Run:
 *
 *   npx tsx bench/thinking.ts --data STUDY/held-out STUDY/seed-1/base/train STUDY/seed-1/dualvla/train ...
 *
 *   --data DIR      LeRobot data sets, or a folder of them
 *   --frames 192    evenly over the data
 *   --drawn         models of pruned data draw whether to think, in place of doing the likelier
 */
import { parseArgs } from 'node:util';
import { datasetFolders } from '../dist/data/dataset-folders.js';
import { Loader, type LoaderBatch } from '../dist/data/loader.js';
import { PromptBuilder } from '../dist/model/vla-batch.js';
import { scope, torch } from '../dist/torch/index.js';
import { loadPretrained } from '../dist/train/pretrained.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string' },
    frames: { type: 'string', default: '192' },
    drawn: { type: 'boolean', default: false },
  },
});
if (values.data === undefined || positionals.length < 2) {
  process.stderr.write('npx tsx bench/thinking.ts --data DIR RUN RUN ... [--frames 192] [--drawn]\n');
  process.exit(2);
}
torch.set_num_threads(1);

const models = positionals.map((path) => {
  const { model, config, tokenizer, statistics } = loadPretrained(path, 'cpu');
  return { path, model, config, statistics, prompts: new PromptBuilder(config, tokenizer) };
});

/** Observations of one frame each, as a model normalises them. */
async function framesOf({ config, statistics }: (typeof models)[number]): Promise<LoaderBatch[]> {
  await using loader = await Loader.open({
    folders: datasetFolders(values.data as string),
    batchSize: 1,
    chunk: config.chunk_size,
    representation: statistics.chunk.representation,
    cameras: config.cameras,
    imageSize: config.vision.image_size,
    chunkStats: statistics.chunk,
    stateStats: statistics.state,
    seed: 0,
    epochs: 1,
  });
  const batches: LoaderBatch[] = [];
  while (batches.length < Number(values.frames)) {
    const batch = await loader.next();
    if (batch === undefined) break;
    batches.push(structuredClone(batch));
  }
  return batches;
}

const frames = await Promise.all(models.map(framesOf));
const count = frames[0]?.length ?? 0;
let state = 1;
const uniform = (): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
};
const seconds = models.map(() => [] as number[]);
const tokens = models.map(() => 0);
const thought = models.map(() => 0);
for (let i = -2; i < count; i++) {
  const draw = uniform();
  for (const [m, { model, prompts }] of models.entries()) {
    const frame = frames[m]?.[Math.max(0, i)];
    if (frame === undefined) continue;
    const { images, stateNormalised, instruction } = frame;
    const started = process.cpuUsage();
    const text = scope(() => {
      const built = prompts.build({ images, state: stateNormalised, instruction }, 'cpu');
      const predicted = model.predict(built, values.drawn ? { skipAbove: [draw] } : undefined);
      predicted.actions.to('float32').data<Float32Array>();
      return predicted.reasoning[0] ?? [];
    });
    const { user, system } = process.cpuUsage(started);
    // The first two warm up.
    if (i < 0) continue;
    seconds[m]?.push((user + system) / 1e6);
    tokens[m] = (tokens[m] ?? 0) + text.length;
    if (text.length > 0) thought[m] = (thought[m] ?? 0) + 1;
  }
}

const sum = (list: readonly number[]): number => list.reduce((total, value) => total + value, 0);
const [first = []] = seconds;
/** 95 % of the ratios of frames drawn again. */
function interval(own: readonly number[]): [number, number] {
  const ratios = Array.from({ length: 2000 }, () => {
    const drawn = own.map(() => Math.floor(uniform() * own.length));
    return sum(drawn.map((i) => own[i] as number)) / sum(drawn.map((i) => first[i] as number));
  }).sort((a, b) => a - b);
  return [ratios[50] as number, ratios[1949] as number];
}
console.log(
  `| model | ms a prediction | of the first, 95 % over ${count} frames | thinks before | tokens a prediction |`,
);
console.log('|---|---|---|---|---|');
for (const [m, own] of seconds.entries()) {
  const [low, high] = interval(own);
  const ratio = m === 0 ? '1' : `${(sum(own) / sum(first)).toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
  const share = ((100 * (thought[m] ?? 0)) / count).toFixed(0);
  const each = ((tokens[m] ?? 0) / count).toFixed(1);
  console.log(`| ${models[m]?.path} | ${((1000 * sum(own)) / count).toFixed(1)} | ${ratio} | ${share} % | ${each} |`);
}
