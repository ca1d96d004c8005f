import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VideoError } from './errors.js';
import { checkVideoParts, decodeVideo, decodeVideoParts, encodeVideo, type VideoPartsOptions } from './video.js';

const [NUM_FRAMES, SIDE, FPS] = [30, 64, 10];
const folder = mkdtempSync(join(tmpdir(), 'dualvla-video-'));
const path = join(folder, 'v.mp4');
const of = (parts: readonly number[], more: Partial<VideoPartsOptions> = {}): VideoPartsOptions => ({
  path,
  from: 0,
  fps: FPS,
  width: SIDE,
  height: SIDE,
  parts: parts.map((numFrames, episode) => ({ numFrames, episode })),
  ...more,
});

/** What comes before the end or the error. */
async function take<T>(items: AsyncIterable<T>): Promise<{ items: T[]; error: unknown }> {
  const taken: T[] = [];
  try {
    for await (const item of items) taken.push(item);
  } catch (error) {
    return { items: taken, error };
  }
  return { items: taken, error: null };
}

beforeAll(async () => {
  const frames = new Uint8Array(NUM_FRAMES * SIDE * SIDE * 3);
  for (let t = 0; t < NUM_FRAMES; t++) frames.fill(t * 8, t * SIDE * SIDE * 3, (t + 1) * SIDE * SIDE * 3);
  await encodeVideo({ path, frames, width: SIDE, height: SIDE, fps: FPS, codec: 'libx264' });
});
afterAll(() => rmSync(folder, { recursive: true }));

it('is not cut short by a Ctrl-C that its program means to live through', async () => {
  const video = new URL('./video.js', import.meta.url).href;
  // ffmpeg waits with the rest of the pictures, more than a pipe holds, until the program goes on after the Ctrl-C.
  const program = `import { decodeVideoParts } from '${video}';
    const parts = decodeVideoParts(${JSON.stringify(of([1, NUM_FRAMES - 1]))});
    await parts.next();
    const pressed = new Promise((fulfil) => process.on('SIGINT', fulfil));
    const alive = setInterval(() => undefined, 1000);
    console.log('ready');
    await pressed;
    clearInterval(alive);
    console.log((await parts.next()).value.length);`;
  // A group of its own stands for the terminal's.
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { detached: true });
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  child.stdout.on('data', (data: Buffer) => (said += data.toString()));
  await once(child.stdout, 'data');
  process.kill(-(child.pid as number), 'SIGINT');
  const [status] = await once(child, 'close');
  expect(said).toBe(`ready\n${(NUM_FRAMES - 1) * SIDE * SIDE * 3}\n`);
  expect(status).toBe(0);
});

describe('parts of a video', () => {
  it('are what each is when decoded alone, with any number of threads', async () => {
    const [from, lengths] = [0.5, [7, 1, 12]] as const;
    const alone = [];
    let first = 0;
    for (const numFrames of lengths) {
      alone.push(await decodeVideo({ path, from: from + first / FPS, numFrames, fps: FPS, width: SIDE, height: SIDE }));
      first += numFrames;
    }
    for (const threads of [1, 3]) {
      const { items, error } = await take(decodeVideoParts(of(lengths, { from, threads })));
      expect(error).toBeNull();
      expect(items).toEqual(alone);
    }
    expect(alone[0]?.[0]).toBeGreaterThan(36);
    expect(alone[0]?.[0]).toBeLessThan(44);
  });

  for (const [name, read] of [
    ['decoded', decodeVideoParts],
    ['checked', checkVideoParts],
  ] as const)
    describe(name, () => {
      it('give those before the end of the video, then say which one is short', async () => {
        const { items, error } = await take<unknown>(read(of([10, 15, 9])));
        expect(items.length).toBe(2);
        expect(error).toBeInstanceOf(VideoError);
        expect(error).toMatchObject({ file: path, episode: 2 });
        expect((error as Error).message).toContain('5 frames from 2.5000 s on, expected 9');
      });

      it('say which frame is not at its time', async () => {
        const { items, error } = await take<unknown>(read(of([4, 4], { fps: FPS * 1.001 })));
        expect(items.length).toBe(0);
        expect(error).toMatchObject({ file: path, episode: 0, frame: 2 });
        expect((error as Error).message).toContain('Frame at 0.2 s, the metadata says 0.1998');
      });

      it('say that a file is no video', async () => {
        const { error } = await take<unknown>(read(of([4], { path: import.meta.filename })));
        expect(error).toBeInstanceOf(VideoError);
        expect((error as Error).message).toContain('failed');
      });

      it('may be left early', async () => {
        for await (const _ of read(of([2, 28]))) break;
      });
    });
});
