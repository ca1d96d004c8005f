import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noGrad, safetensors, type Tensor, torch } from '../torch/index.js';
import { DdmNet } from './ddm-net.js';
import { backboneConfig, loadBackbone } from './resnet-weights.js';
import { SceneEventModel, SMALL_SCENE_EVENTS } from './scene-events.js';
import { choosePicking, sceneQuality } from './scene-quality.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'scene-quality-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const TINY = { ...SMALL_SCENE_EVENTS.net, width: 4, heads: 2, decoder_layers: 1, frames_per_side: 1, dropout: 0 };

describe('quality of event boundaries', () => {
  it('within frames, and within shares of the duration as the official measure has it', () => {
    // 20 frames at 5 Hz are 4 s; a boundary a frame beside is 0.05 of the duration away, two are 0.1.
    const { frames, relative, relativeMean } = sceneQuality([
      { found: [5, 12], truth: [6, 14], numFrames: 20, fps: 5 },
      { found: [3], truth: [3], numFrames: 20, fps: 5 },
    ]);
    expect(frames.map(({ f1 }) => f1)).toEqual([1 / 3, 2 / 3, 1]);
    expect(relative[0]).toBeCloseTo(2 / 3, 12);
    expect(relative.slice(1)).toEqual(new Array(9).fill(1));
    expect(relativeMean).toBeCloseTo((2 / 3 + 9) / 10, 12);
  });

  it('chooses the threshold that finds most of what is labelled', () => {
    // A detector whose score is the brightness of the frame.
    const net = new DdmNet({ ...TINY, in_channels: 6 });
    const model = new SceneEventModel({ ...SMALL_SCENE_EVENTS, net: TINY, image_size: 1 }, net);
    model.score = ({ data }) => Float32Array.from(data, (value) => value / 255);
    const scene = (scores: number[], boundaries: number[]) => ({
      frames: { data: Uint8Array.from(scores, (score) => 255 * score), numFrames: scores.length, size: 1, channels: 3 },
      boundaries,
    });
    const easy = scene([0.1, 0.42, 0.9, 0.42, 0.1, 0.1, 0.62, 0.42, 0.1], [2, 6]);
    const { threshold, scope } = choosePicking(model, [easy]);
    expect(threshold).toBeGreaterThan(0.42);
    expect(threshold).toBeLessThanOrEqual(0.62);
    expect(scope).toBe(0);
    // Where the true ones are less sure than others' neighbours, only suppression tells them apart.
    const hard = scene([0.1, 0.1, 0.9, 0.6, 0.1, 0.1, 0.1, 0.5, 0.1], [2, 7]);
    expect(choosePicking(model, [hard])).toMatchObject({ scope: 1 });
    expect(() => choosePicking(model, [])).toThrow(/no labelled episode/);
  });
});

describe('a detector on faster videos', () => {
  it('sees every frame among neighbours at the rate it was trained on', () => {
    torch.manual_seed(4);
    const config = { ...SMALL_SCENE_EVENTS, net: TINY, image_size: 32, fps: 5 };
    const model = new SceneEventModel(config, new DdmNet({ ...TINY, in_channels: 6 }));
    expect([3, 5, 7, 8, 15, 30].map((fps) => model.frameStep(fps))).toEqual([1, 1, 1, 2, 3, 6]);
    expect(new SceneEventModel(SMALL_SCENE_EVENTS, model.net).frameStep(30)).toBe(1);
    const bytes = 32 * 32 * 3;
    const data = Uint8Array.from({ length: 7 * bytes }, (_, i) => (i * 2654435761) >>> 24);
    const facts = { size: 32, channels: 3 };
    const fast = model.score({ ...facts, data, numFrames: 7 }, { every: 2 });
    const pick = (frames: number[]): Uint8Array =>
      Uint8Array.from(frames.flatMap((t) => [...data.subarray(t * bytes, (t + 1) * bytes)]));
    const even = model.score({ ...facts, data: pick([0, 2, 4, 6]), numFrames: 4 });
    const odd = model.score({ ...facts, data: pick([1, 3, 5]), numFrames: 3 });
    expect([0, 2, 4, 6].map((t) => fast[t])).toEqual([...even]);
    expect([1, 3, 5].map((t) => fast[t])).toEqual([...odd]);
    // One event is seen by several of the slower videos; its best frame counts.
    const scores = [0, 0.1, 0.6, 0.9, 0.8, 0.1, 0.1, 0.1, 0.7];
    expect(model.boundaries(scores, 3)).toEqual([3, 8]);
    expect(model.boundaries(scores)).toEqual([2, 3, 4, 8]);
  });
});

describe('weights of a ResNet', () => {
  const write = (name: string, state: Record<string, Tensor>): string => {
    safetensors.save(join(folder, name), state);
    return join(folder, name);
  };
  const resnet = (): Record<string, Tensor> => {
    const { backbone } = new DdmNet({ ...TINY, width: 2, heads: 2, blocks: [2, 1, 1, 1], in_channels: 3 });
    return { ...backbone.state_dict(), 'fc.weight': torch.zeros([3, 64]) };
  };

  it('become the backbone: width and blocks from the file, pictures as trained, motion channels from nothing', () => {
    torch.manual_seed(5);
    const file = write('resnet.safetensors', resnet());
    const net = backboneConfig(file, TINY);
    expect(net).toMatchObject({ width: 2, blocks: [2, 1, 1, 1] });
    const model = new DdmNet({ ...net, in_channels: 12 });
    loadBackbone(model, file, 2);
    const own = model.backbone.conv1.weight;
    const given = safetensors.open(file).get('conv1.weight');
    const [first, second, motion] = [0, 3, 6].map((from) => own.narrow(1, from, from === 6 ? 6 : 3)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    expect(first.tolist()).toEqual(given.div(2).tolist());
    expect(second.tolist()).toEqual(first.tolist());
    expect(noGrad(() => motion.abs().max().item())).toBe(0);
    // Two equal cameras look as one did.
    const x = torch.randn([1, 3, 32, 32]);
    const plain = new DdmNet({ ...net, in_channels: 3 }).eval();
    loadBackbone(plain, file);
    const [one, two] = noGrad(() => [
      plain.frame_features(x)[2],
      model.eval().frame_features(torch.cat([x, x, torch.randn([1, 6, 32, 32])], 1))[2],
    ]) as [Tensor, Tensor];
    expect(noGrad(() => one.sub(two).abs().max().item() as number)).toBeLessThan(1e-4);
  });

  it('that are none are named', () => {
    const { 'layer3.0.conv2.weight': _, ...missing } = resnet();
    const model = new DdmNet({ ...TINY, width: 2, blocks: [2, 1, 1, 1] });
    expect(() => loadBackbone(model, write('missing.safetensors', missing))).toThrow(
      /missing \(file.*layer3\.0\.conv2\.weight/,
    );
    const narrow = new DdmNet({ ...TINY, width: 4, blocks: [2, 1, 1, 1] });
    expect(() => loadBackbone(narrow, write('resnet.safetensors', resnet()))).toThrow(/the network has \[4,/);
    expect(() => backboneConfig(write('other.safetensors', { a: torch.zeros([1]) }), TINY)).toThrow(
      /no weights of a ResNet.*holds a/,
    );
    const basic = { 'layer1.0.conv1.weight': torch.zeros([1]) };
    expect(() => backboneConfig(write('basic.safetensors', basic), TINY)).toThrow(/bottleneck/);
    expect(() => backboneConfig(join(folder, 'none.safetensors'), TINY)).toThrow(/cannot be read/);
  });
});
