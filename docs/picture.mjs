#!/usr/bin/env node
/**
 * Makes docs/tasks.jpg, the README's picture: the scripted expert at work in all eight tasks, above as it always looks
 * (visual matching), below with everything varied (variant aggregation). Run after a build: node docs/picture.mjs
 */
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { Env, Expert, TASK_IDS, validationSeed } from '../dist/sim/index.js';

const SIZE = 224;
const GAP = 6;
const COLUMNS = 8;
/** How far into its episode the expert is when the picture is taken. */
const MOMENT = 0.7;

const tiles = [];
for (const variant of ['vm', 'va']) {
  for (const [i, task] of TASK_IDS.entries())
    tiles.push(await picture(task, variant, validationSeed(variant === 'vm' ? 3 : 20 + i)));
}
const rows = Math.ceil(tiles.length / COLUMNS);
const width = COLUMNS * (SIZE + GAP) - GAP;
const height = rows * (SIZE + GAP) - GAP;
const place = (i) => ({ left: (i % COLUMNS) * (SIZE + GAP), top: Math.floor(i / COLUMNS) * (SIZE + GAP) });
await sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
  .composite(tiles.map((input, i) => ({ input, raw: { width: SIZE, height: SIZE, channels: 3 }, ...place(i) })))
  .jpeg({ quality: 84, mozjpeg: true })
  .toFile(fileURLToPath(new URL('tasks.jpg', import.meta.url)));

async function picture(task, variant, seed) {
  const env = await Env.create({ task, variant, cameras: [] });
  try {
    const steps = runExpert(env, seed, Number.POSITIVE_INFINITY);
    runExpert(env, seed, Math.round(steps * MOMENT));
    const raw = { width: 2 * SIZE, height: 2 * SIZE, channels: 3 };
    return await sharp(env.render('third', 2 * SIZE), { raw })
      .resize(SIZE)
      .raw()
      .toBuffer();
  } finally {
    env.dispose();
  }
}

/** Runs up to `limit` steps of an episode; returns how many it took. */
function runExpert(env, seed, limit) {
  env.reset(seed);
  const expert = new Expert(env);
  let steps = 0;
  for (let over = false; !over && steps < limit; steps++) over = env.step(expert.act().action).done;
  return steps;
}
