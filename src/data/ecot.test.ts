import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotateWithEcot, type EcotAnnotation, ecotStep, ecotText, parseEcot, writePrunedEcot } from './ecot.js';
import { AnnotationIndex } from './ecot-index.js';
import { readAnnotations, rewriteAnnotations } from './ecot-json-stream.js';
import {
  CorruptDatasetError,
  DataError,
  MissingDatasetError,
  StorageError,
  UnsupportedDatasetError,
} from './errors.js';
import { RldsDataset } from './rlds-dataset.js';
import { transformRlds } from './rlds-transforms.js';
import { annotateWithVlaIt, parseVlaIt, vlaItQuestions, writePrunedVlaIt } from './vla-it.js';

const BRIDGE = join(fileURLToPath(new URL('../../..', import.meta.url)), 'shared/data/bridge-rlds');
const LARGE = fileURLToPath(new URL('./ecot-large.test-support.js', import.meta.url));

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-ecot-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const step = (i: number): Record<string, string> => ({
  task: 'put the pot in the sink',
  plan: 'grasp the pot, move it',
  subtask: i < 2 ? 'reach' : 'grasp',
  subtask_reason: `because ${i}`,
  move: 'move down',
  move_reason: '',
});
const annotation = {
  metadata: { episode_id: '5', file_path: '/a/out.npy' },
  features: {
    state_3d: [
      [0, 0, 0],
      [1, 1, 1],
      [2, 2, 2],
      [3, 3, 3],
    ],
    move_primitive: ['stop', 'stop', 'move down', 'stop'],
    gripper_position: [
      [1, 2],
      [3, 4],
      [5, 6],
      [7, 8],
    ],
    bboxes: [[[0.9, 'pot', [1, 2, 3, 4]]], [], [], []],
  },
  reasoning: { '0': step(0), '1': step(1), '2': step(2), '3': step(3) },
};
const file = { '/a/out.npy': { '5': annotation, '6': { features: {}, metadata: {} } }, 'b"\\ü': { '0': annotation } };

let files = 0;
function write(value: unknown, spaces?: number): string {
  const path = join(folder, `annotations ${files++}.json`);
  writeFileSync(
    path,
    typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value, null, spaces),
  );
  return path;
}
const collect = (path: string): Record<string, Record<string, unknown>> => {
  // A map, as a file may be called __proto__.
  const all = new Map<string, Record<string, unknown>>();
  for (const { filePath, episodeId, value } of readAnnotations(path))
    all.set(filePath, { ...all.get(filePath), [episodeId]: value });
  return Object.fromEntries(all);
};

describe('streaming', () => {
  it('reads what JSON.parse reads, whatever the white space', () => {
    for (const spaces of [0, 1, 4]) expect(collect(write(file, spaces))).toEqual(file);
    expect(collect(write('{}'))).toEqual({});
    expect(collect(write({ a: {} }))).toEqual({});
  });

  it('finds episodes again by name', () => {
    const index = AnnotationIndex.open(write(file, 2));
    expect(index.numEpisodes).toBe(3);
    expect(index.find('b"\\ü', '0')?.value).toEqual(annotation);
    expect(index.find('b"\\ü', '1')).toBeUndefined();
  });

  it('reads any such JSON as JSON.parse does', () => {
    const value = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 3 }), { noNullPrototype: true });
    const inner = fc.dictionary(fc.string({ unit: 'binary', maxLength: 6 }), value, {
      maxKeys: 3,
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), inner, { maxKeys: 3, noNullPrototype: true }), (all) => {
        const given = JSON.parse(JSON.stringify(all)) as Record<string, Record<string, unknown>>;
        const wanted = Object.fromEntries(Object.entries(given).filter(([, one]) => Object.keys(one).length > 0));
        expect(collect(write(given))).toEqual(wanted);
      }),
      { numRuns: 50, examples: [[JSON.parse('{"__proto__": {"a": {}}}')], [JSON.parse('{"a": {"__proto__": {}}}')]] },
    );
  });

  it.each([
    ['nothing', '', 'expected an object of files'],
    ['a list', '[]', 'expected an object of files'],
    ['a number for an episode', '{"a":{"b":1}}', "expected an episode's object"],
    ['a missing comma', '{"a":{"b":{} "c":{}}}', 'expected "," or "}"'],
    ['something behind it', '{"a":{}}}', 'behind the end'],
    ['half an escape', '{"a\\', 'ends within a key'],
    ['bad content', '{"a":{"b":{"c":tru}}}', 'wrong before byte'],
    ['deep nesting', `{"a":{"b":{"c":${'['.repeat(500)}`, 'levels of nesting'],
    ['no UTF-8', Buffer.from('7b22ff223a7b7d7d', 'hex'), 'not valid for encoding utf-8'],
  ])('refuses %s', (_, text, message) => {
    expect(() => collect(write(text))).toThrow(message);
    try {
      collect(write(text));
    } catch (error) {
      expect(error).toBeInstanceOf(CorruptDatasetError);
    }
  });

  it('names the last whole episode where a file is cut off, and refuses what is too large or absent', () => {
    const text = JSON.stringify(file);
    expect(() => collect(write(text.slice(0, -20)))).toThrow(/after episode 6 of \/a\/out.npy/);
    expect(() => [...readAnnotations(write(file), { maxEpisodeBytes: 100 })]).toThrow(UnsupportedDatasetError);
    expect(() => collect(join(folder, 'absent'))).toThrow(MissingDatasetError);
  });

  it('gives a named error or a result for any damage', () => {
    const bytes = Buffer.from(JSON.stringify({ a: { b: annotation } }));
    const path = join(folder, 'damaged.json');
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, cut) => {
        const damaged = Buffer.from(cut ? bytes.subarray(0, at) : bytes);
        if (!cut) damaged[at] = (damaged[at] as number) ^ flip;
        writeFileSync(path, damaged);
        try {
          for (const entry of readAnnotations(path)) ecotStep(parseEcot(entry, path), 1);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: 400 },
    );
  });
});

describe('a copy', () => {
  it('is the same without an edit, and appears whole or not at all', () => {
    const input = write(file, 2);
    const output = join(folder, 'copy.json');
    expect(rewriteAnnotations(input, output, ({ value }) => value).episodes).toBe(3);
    expect(JSON.parse(readFileSync(output, 'utf8'))).toEqual(file);
    const before = readFileSync(output, 'utf8');
    expect(() => rewriteAnnotations(write(before.slice(0, -9)), output, ({ value }) => value)).toThrow(DataError);
    expect(readFileSync(output, 'utf8')).toBe(before);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(() => rewriteAnnotations(input, join(input, 'below a file.json'), ({ value }) => value)).toThrow(
      StorageError,
    );
  });
});

describe('ECoT', () => {
  it("has a step's text in embodied-CoT's order", () => {
    const [entry] = readAnnotations(write(file));
    const parsed = parseEcot(entry as never, 'x');
    expect(ecotText(ecotStep(parsed, 0) ?? {})).toBe(
      [
        'TASK: put the pot in the sink',
        'PLAN: grasp the pot, move it',
        'VISIBLE OBJECTS: pot [1, 2, 3, 4]',
        'SUBTASK REASONING: because 0',
        'SUBTASK: reach',
        'MOVE: move down',
        'GRIPPER POSITION: [1, 2, 3, 4, 5, 6, 7, 8, 7, 8]',
      ].join('\n'),
    );
    expect(ecotStep(parsed, 4)).toBeUndefined();
  });

  it('is pruned by deleting reasoning["i"]; all else stays', () => {
    const output = join(folder, 'pruned.json');
    const result = writePrunedEcot(
      write(file),
      output,
      ({ filePath, step: i }) => filePath === '/a/out.npy' && i % 2 === 0,
    );
    expect(result).toMatchObject({ episodes: 3, steps: 8, kept: 2 });
    const pruned = structuredClone(file) as unknown as typeof file;
    const kept = pruned['/a/out.npy']['5'] as { reasoning: Record<string, unknown> };
    kept.reasoning = { '0': step(0), '2': step(2) };
    pruned['b"\\ü'] = { '0': { ...annotation, reasoning: {} as never } };
    expect(JSON.parse(readFileSync(output, 'utf8'))).toEqual(pruned);
  });

  it('refuses what is no annotation, by episode and field', () => {
    const path = write({ a: { '7': { reasoning: { '0': { move: 3 } } } } });
    expect(() => writePrunedEcot(path, join(folder, 'never.json'), () => true)).toThrow(
      /Episode 7 of a.*reasoning\.0\.move/,
    );
    expect(existsSync(join(folder, 'never.json'))).toBe(false);
  });
});

describe('VLA-IT', () => {
  const vlaIt = {
    f: {
      '1': {
        features: { move_primitive: ['stop', 'move up', 'move up'], other: 1 },
        alt_instruction: { Caption: 'a pot', QA: [{ question: 'q', answer: 'a' }], CR: { question: 'r', answer: 'b' } },
      },
      '2': { features: { move_primitive: [] } },
    },
  };

  it('is pruned by null, the value its loader takes for steps that are absent', () => {
    const output = join(folder, 'vla-it.json');
    const result = writePrunedVlaIt(write(vlaIt), output, ({ episodeId, step: i }) => episodeId === '1' && i === 1);
    expect(result).toMatchObject({ episodes: 2, steps: 3, kept: 1 });
    const wanted = structuredClone(vlaIt) as { f: Record<string, { features: { move_primitive: (string | null)[] } }> };
    (wanted.f['1'] as { features: { move_primitive: (string | null)[] } }).features.move_primitive = [
      null,
      'move up',
      null,
    ];
    expect(JSON.parse(readFileSync(output, 'utf8'))).toEqual(wanted);
  });

  it('has questions about whole episodes, and refuses what is none of it', () => {
    const [entry] = readAnnotations(write(vlaIt));
    expect(vlaItQuestions(parseVlaIt(entry as never, 'x'))).toEqual([
      { kind: 'CR', question: 'r', answer: 'b' },
      { kind: 'QA', question: 'q', answer: 'a' },
    ]);
    expect(() => writePrunedVlaIt(write(file), join(folder, 'never.json'), () => true)).toThrow(CorruptDatasetError);
  });
});

describe.skipIf(!existsSync(BRIDGE))('stepOffset on the real Bridge sample', () => {
  it('1 gives a frame the reasoning of its own step, 0 that of the step before', () => {
    for (const raw of RldsDataset.open(BRIDGE).episodes()) {
      const transformed = transformRlds(raw, 'bridge');
      const { episode, firstStep } = transformed;
      const states = raw.steps['observation/state'];
      if (states?.kind !== 'numeric') throw new Error('no states');
      // An annotation as ECoT's scripts make it: key i describes raw step i, here by that step's own position.
      const name = (i: number): string =>
        `at ${Array.from(states.values as Float32Array)
          .slice(i * 7, i * 7 + 3)
          .join(' ')}`;
      const keys = Array.from({ length: raw.length }, (_, i) => i);
      const made: EcotAnnotation = {
        reasoning: Object.fromEntries(keys.map((i) => [String(i), { subtask: name(i) }])),
      };
      const texts = (stepOffset: number): unknown[] => [
        ...(annotateWithEcot(episode, made, stepOffset).episode.columns['reasoning.text']?.values ?? []),
      ];
      const own = (t: number): string =>
        `SUBTASK: at ${Array.from(episode.state.subarray(t * 7, t * 7 + 3)).join(' ')}`;
      expect(firstStep).toBe(1);
      expect(texts(firstStep)).toEqual(Array.from({ length: episode.length }, (_, t) => own(t)));
      // What embodied-CoT reads: frame t + 1 has the text of frame t's position, frame 0 that of the dropped step.
      expect(texts(0).slice(1)).toEqual(Array.from({ length: episode.length - 1 }, (_, t) => own(t)));
      expect(texts(0)[0]).toBe(`SUBTASK: ${name(0)}`);
      const primitives = { features: { move_primitive: keys.map(name) } };
      const moves = annotateWithVlaIt(episode, primitives, firstStep).episode.columns['reasoning.text']?.values;
      expect(moves?.[0]).toBe(own(0).replace('SUBTASK', 'MOVE'));
    }
  });
});

describe('a large file', () => {
  it('of 100 MB is pruned in a heap of 48 MB', () => {
    // The limit is V8's, so that the test measures memory and not time: a reader that kept the file would run out of it.
    const large = join(folder, 'large.json');
    const run = (mode: string): { peakMb: number; steps: number; kept: number; bytes: number } => {
      const result = spawnSync(process.execPath, ['--max-old-space-size=48', LARGE, mode, large], { encoding: 'utf8' });
      if (result.status !== 0) throw new Error(result.stderr.slice(-2000));
      return JSON.parse(result.stdout) as never;
    };
    const idle = run('idle');
    const made = run('make');
    expect(made.bytes).toBeGreaterThan(100e6);
    const { peakMb, steps, kept } = run('prune');
    expect(steps).toBe(made.steps);
    expect(kept).toBe(Math.ceil(steps / 2));
    // Heap, blocks and episodes on top of an idle process; the file itself would be 100 MB more.
    expect(peakMb).toBeLessThan(idle.peakMb + 90);
    rmSync(large, { force: true });
    rmSync(`${large}.pruned`, { force: true });
  }, 120_000);

  it('that is being rewritten leaves the old copy when the process is killed', async () => {
    const input = join(folder, 'killed.json');
    writeFileSync(input, JSON.stringify(file));
    writeFileSync(`${input}.pruned`, 'old');
    const child = spawn(process.execPath, [LARGE, 'slow', input], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((ready) => child.stdout.once('data', ready));
    child.kill('SIGKILL');
    await new Promise((ended) => child.once('close', ended));
    expect(readFileSync(`${input}.pruned`, 'utf8')).toBe('old');
    expect(writePrunedEcot(input, `${input}.pruned`, () => true).episodes).toBe(3);
    expect(JSON.parse(readFileSync(`${input}.pruned`, 'utf8'))).toEqual(file);
  });
});
