import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  activeAt,
  DatasetConflictError,
  datasetState,
  type Episode,
  LeRobotDataset,
  partialFolder,
  validateDataset,
} from '../data/index.js';
import { attemptSeed, attemptVariant } from './demonstration-crew.js';
import { attemptDemonstration } from './demonstration-episode.js';
import {
  type DemonstrationEvent,
  type DemonstrationOptions,
  demonstrationFolders,
  generateDemonstrations,
} from './demonstrations.js';
import { Env } from './env.js';
import { SimOptionError } from './errors.js';
import { coveredMotion, joinWords, motionWords } from './motion-words.js';
import { SEEDS, trainSeed } from './random.js';

let base = '';
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-demonstrations-'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Small and quick: what is tested does not depend on pictures. */
const quick = { imageSize: 16, cameras: ['third'], shadows: false, workers: 1 } as const;
const some: Omit<DemonstrationOptions, 'out'> = {
  ...quick,
  tasks: ['google/close-drawer', 'google/pick-coke-can'],
  episodesPerTask: 4,
  variants: { vm: 1, 'va:table': 1 },
  failedGraspProbability: 0.5,
};

async function generate(options: DemonstrationOptions): Promise<DemonstrationEvent[]> {
  const events: DemonstrationEvent[] = [];
  for await (const event of generateDemonstrations(options)) events.push(event);
  return events;
}

/** One word for every file of a folder. */
function fingerprint(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  return Object.fromEntries(
    names.map((name) => [name.slice(folder.length), createHash('sha1').update(readFileSync(name)).digest('hex')]),
  );
}

describe('generated demonstrations', () => {
  let straight = '';
  let events: DemonstrationEvent[] = [];
  beforeAll(async () => {
    straight = join(base, 'straight');
    events = await generate({ ...some, out: straight });
  });

  it('are a valid data set of successful episodes, tasks in turn', async () => {
    expect((await validateDataset(straight, { decodeAll: true })).problems).toEqual([]);
    const episodes = events.filter((event) => event.kind === 'episode');
    expect(episodes.map(({ task }) => task)).toEqual(new Array(4).fill(some.tasks).flat());
    expect(episodes.map(({ done }) => done)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(events.at(0)).toMatchObject({ kind: 'start', robot: 'google', total: 8, done: 0 });
    const dataset = await LeRobotDataset.open(straight);
    expect(events.at(-1)).toMatchObject({ kind: 'finished', episodes: 8, frames: dataset.numFrames, folder: straight });
    expect(dataset).toMatchObject({ fps: 3, numEpisodes: 8 });
    expect(dataset.info.robotType).toBe('google');
    for (const episode of await dataset.readEpisodes({ from: 0, to: 8 }, { images: true })) {
      expect(episode.images.third).toMatchObject({ width: 16, height: 16 });
      expect(episode.task.length).toBeGreaterThan(5);
    }
  });

  it('do not depend on the number of workers', async () => {
    const out = join(base, 'two-workers');
    await generate({ ...some, out, workers: 2 });
    expect(fingerprint(out)).toEqual(fingerprint(straight));
  });

  it('continue after an abort with the same result', async () => {
    const out = join(base, 'aborted');
    for (const stopAfter of [2, 5]) {
      const controller = new AbortController();
      const run = async (): Promise<void> => {
        for await (const event of generateDemonstrations({ ...some, out, resume: true, signal: controller.signal }))
          if (event.kind === 'episode' && event.done >= stopAfter) controller.abort(new Error('enough'));
      };
      await expect(run()).rejects.toThrow('enough');
      expect(datasetState(out)).toBe('unfinished');
    }
    const rest = await generate({ ...some, out, resume: true });
    expect(rest[0]).toMatchObject({ kind: 'start', done: 5 });
    expect(fingerprint(out)).toEqual(fingerprint(straight));
  });

  it('are left alone when finished, and not mixed with others', async () => {
    const again = await generate({ ...some, out: straight, resume: true });
    expect(again.map(({ kind }) => kind)).toEqual(['start', 'finished']);
    expect(again[1]).toMatchObject({ episodes: 8, seconds: 0 });
    await expect(generate({ ...some, out: straight, resume: true, episodesPerTask: 5 })).rejects.toThrow(
      DatasetConflictError,
    );
    await expect(generate({ ...some, out: straight })).rejects.toThrow('--overwrite');
  });

  it('of two robots are two data sets', async () => {
    const out = join(base, 'robots');
    const tasks = ['google/close-drawer', 'widowx/put-carrot-on-plate'] as const;
    const folders = demonstrationFolders({ out, tasks });
    expect(folders.map(({ folder }) => folder)).toEqual([join(out, 'google'), join(out, 'widowx')]);
    await generate({ ...quick, out, tasks, episodesPerTask: 1 });
    expect((await LeRobotDataset.open(join(out, 'widowx'))).fps).toBe(5);
    expect((await LeRobotDataset.open(join(out, 'google'))).fps).toBe(3);
  });
});

it('survives kill -9', { timeout: 120_000 }, async () => {
  const [out, whole] = [join(base, 'killed'), join(base, 'whole')];
  const script = fileURLToPath(new URL('./demonstrations-crash.test-support.js', import.meta.url));
  let kills = 0;
  // Killed right after so many episodes of its own.
  for (const patience of [1, 2, Number.POSITIVE_INFINITY]) {
    await new Promise<void>((resolve) => {
      const child = spawn(process.execPath, [script, out, '6'], { stdio: ['ignore', 'pipe', 'inherit'] });
      let episodes = 0;
      child.stdout.on('data', (data: Buffer) => {
        episodes += data.toString().split('"kind":"episode"').length - 1;
        if (episodes >= patience) child.kill('SIGKILL');
      });
      child.on('close', (_, signal) => {
        if (signal === 'SIGKILL') kills++;
        resolve();
      });
    });
  }
  expect(kills).toBe(2);
  expect(existsSync(partialFolder(out))).toBe(false);
  await generate({ ...quick, out: whole, tasks: ['google/close-drawer'], episodesPerTask: 6 });
  expect(fingerprint(out)).toEqual(fingerprint(whole));
});

describe('an attempt', () => {
  it('records clean labels, marks disturbed steps, and reasons about what is there', async () => {
    const env = await Env.create({ task: 'widowx/put-carrot-on-plate', ...quick });
    const options = { perturbProbability: 0.3, failedGraspProbability: 0, reasoning: 'ecot' } as const;
    const attempt = attemptDemonstration(env, { seed: trainSeed(3), ...options });
    const episode = attempt.episode as Episode;
    expect(attempt.success).toBe(true);
    const disturbed = episode.columns['execution.disturbed']?.values as Uint8Array;
    expect(disturbed.reduce((sum, value) => sum + value, 0)).toBe(attempt.disturbed);
    expect(attempt.disturbed).toBeGreaterThan(0);
    // Labels never exceed the expert's step, disturbed or not.
    for (let t = 0; t < episode.length; t++) {
      expect(Math.hypot(episode.action[t * 7] as number, episode.action[t * 7 + 1] as number)).toBeLessThanOrEqual(
        0.0351,
      );
      expect([0, 1]).toContain(episode.action[t * 7 + 6]);
    }
    const texts = episode.columns['reasoning.text']?.values as readonly string[];
    texts.forEach((text, t) => {
      const fields = text.split('\n').map((line) => line.split(': ')[0]);
      expect(fields).toEqual([
        'PLAN',
        'VISIBLE OBJECTS',
        'SUBTASK REASONING',
        'SUBTASK',
        'MOVE REASONING',
        'MOVE',
        'GRIPPER POSITION',
      ]);
      const at = t / episode.fps;
      expect(text).toContain(`PLAN: ${activeAt(episode.languagePersistent, 'plan', at)?.content}\n`);
      expect(text).toContain(`\nSUBTASK: ${activeAt(episode.languagePersistent, 'subtask', at)?.content}\n`);
      expect(text).toContain(`\nMOVE: ${activeAt(episode.languagePersistent, 'motion', at)?.content}\n`);
      expect(episode.columns.phase?.values).toHaveLength(episode.length);
    });
    const again = attemptDemonstration(env, { seed: trainSeed(3), ...options });
    expect(again).toEqual(attempt);
    env.dispose();
  });

  it('of the privileged style says in its moves where the gripper then goes', async () => {
    const env = await Env.create({ task: 'widowx/put-carrot-on-plate', ...quick });
    const { episode } = attemptDemonstration(env, {
      seed: trainSeed(5),
      perturbProbability: 0,
      failedGraspProbability: 0,
      reasoning: 'privileged',
    });
    const { state, length, columns } = episode as Episode;
    const axes = [
      ['forward', 'backward'],
      ['left', 'right'],
      ['up', 'down'],
    ] as const;
    let named = 0;
    for (let t = 0; t + 4 < length; t++) {
      const move = /\nMOVE: (.*)\n/.exec(String(columns['reasoning.text']?.values[t]))?.[1] ?? '';
      axes.forEach(([positive, negative], d) => {
        const went = (state[(t + 4) * 7 + d] as number) - (state[t * 7 + d] as number);
        if (move.includes(positive)) expect(went).toBeGreaterThan(0.005);
        if (move.includes(negative)) expect(went).toBeLessThan(-0.005);
        if (move.includes(positive) || move.includes(negative)) named++;
      });
    }
    expect(named).toBeGreaterThan(8);
    env.dispose();
  });
});

describe('seeds and variants', () => {
  it('of attempts are apart between tasks and inside their split', () => {
    const seeds = [0, 1, 9_999].flatMap((attempt) =>
      (['widowx/put-spoon-on-towel', 'google/close-drawer'] as const).map((task) => attemptSeed(task, attempt)),
    );
    expect(new Set(seeds).size).toBe(6);
    for (const seed of seeds) {
      expect(seed).toBeGreaterThanOrEqual(SEEDS.train.start);
      expect(seed).toBeLessThan(SEEDS.train.start + SEEDS.train.count);
    }
    expect(attemptSeed('google/close-drawer', 5, 'validation')).toBeGreaterThanOrEqual(SEEDS.validation.start);
  });

  it('are drawn by weight', () => {
    const drawn = Array.from({ length: 400 }, (_, i) => attemptVariant(trainSeed(i), { vm: 3, va: 1 }));
    const share = drawn.filter((variant) => variant === 'vm').length / 400;
    expect(share).toBeGreaterThan(0.67);
    expect(share).toBeLessThan(0.83);
    expect(attemptVariant(trainSeed(0), { 'va:camera': 1 })).toBe('va:camera');
  });

  it.each([
    [{ tasks: [] }, 'no task given'],
    [{ tasks: ['google/close-drawer', 'google/close-drawer'] }, 'given twice'],
    [{ episodesPerTask: 0 }, 'episodesPerTask 0'],
    [{ perturbProbability: 2 }, 'perturbProbability 2'],
    [{ variants: {} }, 'positive weight'],
    [{ tasks: ['google/close-drawr'] }, "did you mean 'google/close-drawer'"],
  ])('wrong ones are refused: %j', async (change, message) => {
    const options = { ...some, out: join(base, 'never'), ...change } as DemonstrationOptions;
    await expect(generate(options)).rejects.toThrow(SimOptionError);
    await expect(generate(options)).rejects.toThrow(message);
  });
});

describe('motion in words', () => {
  const actions = Float32Array.from([0.03, 0, 0, 0, 0, 0, 1, 0.03, -0.025, 0, 0, 0, 0.2, 1, 0, 0, 0, 0, 0, 0, 0]);

  it('adds up what comes', () => {
    const { total, gripper } = coveredMotion(actions, 0, 4, true);
    expect(total.map((value) => Number(value.toFixed(4)))).toEqual([0.06, -0.025, 0, 0, 0, 0.2]);
    expect(gripper).toBe('close');
    expect(motionWords({ total, gripper })).toBe('move forward and right, rotate counterclockwise, close gripper');
    expect(motionWords(coveredMotion(actions, 2, 1, true))).toBe('close gripper');
    expect(motionWords(coveredMotion(actions, 2, 1, false))).toBe('hold still');
    expect(motionWords(coveredMotion(actions, 0, 1, false))).toBe('move forward, open gripper');
  });

  it('leaves out what is small beside the rest', () => {
    expect(motionWords({ total: [0.1, 0.021, -0.03, 0, 0, 0], gripper: null })).toBe('move forward and down');
    expect(motionWords({ total: [0.01, 0, 0, 0, -0.2, 0], gripper: null })).toBe('tilt up');
  });

  it('joins words', () => {
    expect([[], ['a'], ['a', 'b'], ['a', 'b', 'c']].map(joinWords)).toEqual(['', 'a', 'a and b', 'a, b and c']);
  });
});
