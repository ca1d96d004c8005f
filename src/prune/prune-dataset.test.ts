import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Features,
  LeRobotDataset,
  LeRobotWriter,
  syntheticEpisode,
  syntheticFeatures,
  validateDataset,
} from '../data/index.js';
import { boundariesFromPhases, labelsFromPhases, readBoundaryLabels, writeBoundaryLabels } from './boundary-labels.js';
import { KeepLabelsError, PruneError } from './errors.js';
import { keepOfFrames } from './keep-labels.js';
import { motionLabelsOfStates } from './kinematics.js';
import { pruneDatasets } from './prune-dataset.js';
import { leRobotInput, openPruneInputs, type PruneInput } from './prune-input.js';
import { writeTimeline } from './report-page.js';
import { writePrunedDatasets } from './write-pruned.js';

let root: string;
let folders: string[];
let inputs: PruneInput[];
const out = (name: string): string => join(root, name);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'prune-'));
  folders = [out('data/a'), out('data/b')];
  for (const [d, folder] of folders.entries()) {
    // The second has phases, the first subtask rows alone.
    const features: Features = {
      ...syntheticFeatures(),
      ...(d === 1 ? { phase: { dtype: 'string', shape: [1], names: null } } : {}),
    };
    const writer = await LeRobotWriter.create(folder, { fps: 5, robotType: 'test', features });
    for (let i = 0; i < 3; i++) {
      const episode = syntheticEpisode(i + d);
      const phase = Array.from({ length: episode.length }, (_, t) => (t < 2 ? 'reach' : t < 5 ? 'grasp' : 'lift'));
      await writer.addEpisode(
        d === 1 ? { ...episode, columns: { ...episode.columns, phase: { dtype: 'string', values: phase } } } : episode,
      );
    }
    await writer.finish();
  }
  inputs = await openPruneInputs(out('data'));
});
afterAll(() => rmSync(root, { recursive: true }));

const options = () => ({ inputs, scene: { kind: 'labels', labels: 'phases' } as const });

/** Every file below a folder with its size, time and content. */
function snapshot(folder: string): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return names
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => `${path} ${statSync(path).mtimeMs} ${readFileSync(path).toString('base64')}`)
    .join('\n');
}

describe('pruning data sets', () => {
  it('labels every episode by both layers, and leaves the input as it was', async () => {
    const before = snapshot(out('data'));
    const { labels, episodes, report } = await pruneDatasets(options());
    expect(snapshot(out('data'))).toBe(before);
    expect(labels.episodes.map(({ folder, episode }) => `${folder} ${episode}`)).toEqual([
      'a 0',
      'a 1',
      'a 2',
      'b 0',
      'b 1',
      'b 2',
    ]);
    const dataset = await LeRobotDataset.open(folders[1]!);
    const episode = await dataset.episode(1);
    const { labels: motion } = motionLabelsOfStates(episode.state, 7);
    const expected = Array.from(motion, (bit, t) => (t === 0 || (bit === 1 && (t === 2 || t === 5)) ? 1 : 0));
    expect([...episodes[4]!.keep]).toEqual(expected);
    expect(labels.episodes[4]!.keep).toBe(expected.join(''));
    expect(episodes[4]!.boundaries).toEqual([2, 5]);

    expect(report).toMatchObject({ episodes: 6, frames: labels.dataset.numFrames, kept: labels.kept });
    const { both, sceneOnly, motionOnly, neither, firstFrames } = report.why;
    expect(both + sceneOnly + motionOnly + neither + firstFrames).toBe(report.frames);
    expect(both + firstFrames).toBe(report.kept);
    expect(report.time.reduce((sum, bin) => sum + bin.kept, 0)).toBe(report.kept);
    expect(report.tasks.reduce((sum, task) => sum + task.frames, 0)).toBe(report.frames);
    expect(report.reasoning?.after.frames).toBeLessThan(report.reasoning?.before.frames as number);

    const shape = await Promise.all(
      folders.map(async (folder, d) => ({ name: 'ab'[d]!, episodes: (await LeRobotDataset.open(folder)).episodes })),
    );
    expect(keepOfFrames(labels, shape).reduce((a, b) => a + b, 0)).toBe(labels.kept);
  });

  it('goes by the name "" for a lone data set, and works on motion energy and on one layer alone', async () => {
    const alone = { ...options(), inputs: [leRobotInput(await LeRobotDataset.open(folders[0]!), '')] };
    expect((await pruneDatasets(alone)).labels.episodes[0]!.folder).toBe('');
    const { episodes } = await pruneDatasets({ ...alone, scene: { kind: 'motion-energy' }, combine: 'or' });
    expect(episodes[0]!.sceneScore).toHaveLength(episodes[0]!.keep.length);
    const motion = await pruneDatasets({ ...alone, scene: { kind: 'none' }, combine: 'motion' });
    expect(motion.labels.episodes[0]).not.toHaveProperty('scene');
    await expect(pruneDatasets({ ...alone, scene: { kind: 'none' } })).rejects.toThrow(/needs the scene layer/);
    await expect(pruneDatasets({ ...alone, scene: { kind: 'motion-energy', camera: 'left' } })).rejects.toThrow(
      /no camera "left".*third/,
    );
    await expect(pruneDatasets({ ...alone, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });

  it('writes a pruned copy that is a valid data set', async () => {
    const result = await pruneDatasets(options());
    const target = out('pruned');
    await writePrunedDatasets({ inputs, target, result });
    const copy = await LeRobotDataset.open(join(target, 'b'));
    const [original, pruned] = [
      await (await LeRobotDataset.open(folders[1]!)).episode(2, { images: true }),
      await copy.episode(2, { images: true }),
    ];
    const own = result.episodes[5]!;
    expect(pruned.columns['reasoning.keep']?.values).toEqual(own.keep);
    expect(pruned.columns['reasoning.motion_score']?.values).toEqual(own.motionScore);
    const texts = original.columns['reasoning.text']!.values as string[];
    expect(pruned.columns['reasoning.text']!.values).toEqual(texts.map((text, t) => (own.keep[t] ? text : '')));
    expect([pruned.action, pruned.state, pruned.images, pruned.languagePersistent]).toEqual([
      original.action,
      original.state,
      original.images,
      original.languagePersistent,
    ]);
    expect((await validateDataset(join(target, 'b'))).problems.filter(({ severity }) => severity === 'error')).toEqual(
      [],
    );
    await expect(writePrunedDatasets({ inputs, target, result })).rejects.toThrow(/exists already/);
  });

  it('draws timelines with every frame', async () => {
    const result = await pruneDatasets(options());
    await writeTimeline(out('timeline.html'), { inputs, result, perFolder: 1 });
    const html = readFileSync(out('timeline.html'), 'utf8');
    const frames = result.episodes[0]!.keep.length + result.episodes[3]!.keep.length;
    expect(html.match(/<image /g)).toHaveLength(frames);
    expect(existsSync(out('timeline.html.tmp'))).toBe(false);
  });
});

describe('boundary labels', () => {
  it('come from phases, or from subtask rows', async () => {
    const labels = await labelsFromPhases(out('data'), folders, (folder, episode) => folder === 'b' || episode === 0);
    expect(labels).toHaveLength(4);
    expect(labels[1]).toEqual({ folder: 'b', episode: 0, boundaries: [2, 5] });
    expect(labels[0]!.boundaries).toEqual([Math.ceil(syntheticEpisode(0).length / 2)]);
    expect(() => boundariesFromPhases({ ...syntheticEpisode(0), languagePersistent: [] })).toThrow(
      /neither a "phase" column nor subtask rows/,
    );
  });

  it('are read as written, and prune what they label', async () => {
    const labels = await labelsFromPhases(out('data'), folders);
    writeBoundaryLabels(out('labels.jsonl'), labels);
    expect(readBoundaryLabels(out('labels.jsonl'))).toEqual(labels);
    const phases = await pruneDatasets(options());
    const given = await pruneDatasets({ ...options(), scene: { kind: 'labels', labels } });
    expect(given.labels.episodes).toEqual(phases.labels.episodes);
    await expect(pruneDatasets({ ...options(), scene: { kind: 'labels', labels: labels.slice(1) } })).rejects.toThrow(
      /no line for this episode/,
    );
    const outside = [{ ...labels[0]!, boundaries: [99] }, ...labels.slice(1)];
    await expect(pruneDatasets({ ...options(), scene: { kind: 'labels', labels: outside } })).rejects.toThrow(
      PruneError,
    );
  });

  it('name the line that is wrong', () => {
    const refuse = (line: string, message: RegExp): void => {
      writeFileSync(out('bad.jsonl'), `{"folder":"","episode":0,"boundaries":[1]}\n\n${line}\n`);
      expect(() => readBoundaryLabels(out('bad.jsonl'))).toThrow(KeepLabelsError);
      expect(() => readBoundaryLabels(out('bad.jsonl'))).toThrow(message);
    };
    refuse('{', /Line 3: not JSON/);
    refuse('{"episode":1,"boundaries":[2,2]}', /Line 3: boundaries are not ascending/);
    refuse('{"episode":0,"boundaries":[2]}', /Line 3: episode 0 of "" comes twice/);
    refuse('{"episode":-1,"boundaries":[]}', /Line 3: episode/);
    expect(() => readBoundaryLabels(out('none.jsonl'))).toThrow(/cannot be read/);
  });
});
