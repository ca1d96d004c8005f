/**
 * Videos through the ffmpeg command: encode an episode, join episodes by stream copy, decode a range of frames.
 *
 * Joining writes exact `duration` lines and a fine movie timescale: ffmpeg's concat demuxer otherwise drifts by about a millisecond a
 * join, more than the 1e-4 s that the official loader allows. Knows nothing about data sets.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { syncFile } from './durable-file.js';
import { StorageError, VideoError } from './errors.js';

/** Seconds by which a frame's time may differ from what the metadata promises (the official loader's tolerance). */
export const TIMESTAMP_TOLERANCE = 1e-4;

export interface VideoCodecOptions {
  /** An ffmpeg encoder name. LeRobot's default is libsvtav1. */
  readonly codec?: 'libsvtav1' | 'libx264' | 'libx265' | 'libvpx-vp9';
  /** Quality, lower is better. */
  readonly crf?: number;
  /** Frames between key frames: small for fast random access. */
  readonly gop?: number;
  readonly pixelFormat?: 'yuv420p' | 'yuv444p';
}

/** ffmpeg's executable: the FFMPEG environment variable or the one on the PATH. */
const ffmpeg = (): string => process.env.FFMPEG ?? 'ffmpeg';
const ffprobe = (): string => process.env.FFPROBE ?? ffmpeg().replace(/ffmpeg([^/]*)$/, 'ffprobe$1');

/** Ctrl-C reaches every process of the terminal's group; when ffmpeg is to stop is for this program to say. Where this one is killed, its pipes end. */
const OWN_GROUP = { detached: true } as const;

interface Output {
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

const notStarted = (command: string, file: string, cause: unknown): VideoError =>
  new VideoError(`${command} cannot be started`, { file, cause, hint: 'Install it: apt-get install ffmpeg' });

function runTool(command: string, args: readonly string[], file: string, input?: Uint8Array): Promise<Output> {
  return new Promise((fulfil, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...OWN_GROUP });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => out.push(data));
    child.stderr.on('data', (data: Buffer) => err.push(data));
    // A tool that dies early closes its input: its exit status tells why.
    child.stdin.on('error', () => undefined);
    child.on('error', (cause) => reject(notStarted(command, file, cause)));
    child.on('close', (status) => {
      const stderr = Buffer.concat(err).toString();
      if (status === 0) fulfil({ stdout: Buffer.concat(out), stderr });
      else reject(new VideoError(`${command} failed: ${stderr.trim().split('\n').slice(-3).join(' | ')}`, { file }));
    });
    child.stdin.end(input);
  });
}

export interface EncodeVideoOptions extends VideoCodecOptions {
  readonly path: string;
  /** uint8 RGB [T, height, width, 3]. */
  readonly frames: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
}

/** Encodes frames into an mp4 file that appears under its name only when complete. */
export async function encodeVideo(options: EncodeVideoOptions): Promise<void> {
  const { path, frames, width, height, fps, codec = 'libsvtav1', crf = 30, gop = 2, pixelFormat = 'yuv420p' } = options;
  if (pixelFormat === 'yuv420p' && (width % 2 === 1 || height % 2 === 1))
    throw new VideoError(`${width}x${height} pictures cannot be stored as yuv420p: both sides must be even`, {
      file: path,
    });
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.tmp.mp4`;
  const speed =
    codec === 'libsvtav1' ? ['-preset', '12'] : codec === 'libvpx-vp9' ? ['-b:v', '0'] : ['-preset', 'veryfast'];
  const args = [
    '-v',
    'error',
    '-y',
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgb24',
    '-s',
    `${width}x${height}`,
    '-r',
    String(fps),
    '-i',
    'pipe:0',
  ]
    .concat(['-c:v', codec, '-crf', String(crf), '-g', String(gop), '-pix_fmt', pixelFormat, ...speed])
    .concat(['-movie_timescale', '15360', '-an', temporary]);
  await runTool(ffmpeg(), args, path, frames);
  syncFile(temporary);
  renameSync(temporary, path);
}

/** Joins videos of equal encoding by stream copy; frame k of the whole has the time k / fps. */
export async function concatVideos(
  inputs: readonly { readonly path: string; readonly numFrames: number }[],
  output: string,
  fps: number,
): Promise<void> {
  mkdirSync(dirname(output), { recursive: true });
  const listFile = `${output}.txt`;
  const quote = (path: string): string => `'${resolve(path).replaceAll("'", "'\\''")}'`;
  const lines = inputs.map(({ path, numFrames }) => `file ${quote(path)}\nduration ${(numFrames / fps).toFixed(9)}\n`);
  writeFileSync(listFile, `ffconcat version 1.0\n${lines.join('')}`);
  const temporary = `${output}.tmp.mp4`;
  const args = [
    '-v',
    'error',
    '-y',
    '-f',
    'concat',
    '-safe',
    '0',
    '-i',
    listFile,
    '-c',
    'copy',
    '-movie_timescale',
    '15360',
    temporary,
  ];
  await runTool(ffmpeg(), args, output);
  rmSync(listFile);
  syncFile(temporary);
  renameSync(temporary, output);
}

export type VideoFilter = 'bicubic' | 'area';

export interface DecodeVideoOptions {
  readonly path: string;
  /** Time of the first frame, seconds. */
  readonly from: number;
  readonly numFrames: number;
  readonly fps: number;
  /** Size of the decoded pictures; the video is scaled to it. */
  readonly width: number;
  readonly height: number;
  /** How pictures are made smaller; default bicubic. The mean over areas takes a third of its time, and aliases less. */
  readonly filter?: VideoFilter | undefined;
  /** Threads that decode; default as many as there are cores. One is the cheapest where several videos are decoded side by side. */
  readonly threads?: number | undefined;
}

/** A run of frames out of a longer one, such as an episode. */
export interface VideoPart {
  readonly numFrames: number;
  /** What errors name. */
  readonly episode?: number | undefined;
}

export interface VideoPartsOptions extends Omit<DecodeVideoOptions, 'numFrames'> {
  /** One follows the other without a gap. */
  readonly parts: readonly VideoPart[];
}

/**
 * A process that decodes: its pictures, the times of its frames, and how it ends.
 *
 * ffmpeg tells a time in a write of its own. Where it writes pictures as well, it tells times to a file without a name, which is read when a
 * picture's time is looked at: to wake up for each took a fifth of the time of decoding. A time is written before its picture.
 */
class Decoding {
  readonly child: ChildProcess;
  /** Rejects with a VideoError where ffmpeg cannot be started or fails. */
  readonly ended: Promise<void>;
  /** Seconds, of every frame so far. */
  readonly times: number[] = [];
  #log: number | null;
  #position = 0;
  #rest = '';
  #lastLines: string[] = [];
  #isOver = false;
  #wake: () => void = () => undefined;

  /** @param log whether times go to a file */
  constructor(args: readonly string[], file: string, log: boolean) {
    const command = ffmpeg();
    this.#log = log ? namelessFile() : null;
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', this.#log ?? 'pipe'], ...OWN_GROUP });
    this.child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    this.ended = new Promise((fulfil, reject) => {
      child.on('error', (cause) => reject(notStarted(command, file, cause)));
      child.on('close', (status) => {
        this.#end();
        if (status === 0) fulfil();
        else reject(new VideoError(`${command} failed: ${this.#lastLines.join(' | ')}`, { file }));
      });
    });
    // It is awaited when the frames have come; until then it is not unhandled.
    this.ended.catch(() => this.#end());
  }

  /** Waits until the times of `count` frames are known, or there are no more. In a file they are before their pictures come. */
  async timesOf(count: number): Promise<void> {
    this.#readLog();
    while (this.#log === null && this.times.length < count && !this.#isOver)
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    this.child.stdout?.destroy();
    await this.ended.catch(() => undefined);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#readLog();
    this.#read('\n');
    this.#isOver = true;
    if (this.#log !== null) closeSync(this.#log);
    this.#log = null;
    this.#wake();
  }

  #readLog(): void {
    if (this.#log === null) return;
    const buffer = Buffer.allocUnsafe(LOG_BYTES);
    for (;;) {
      const length = readSync(this.#log, buffer, 0, LOG_BYTES, this.#position);
      if (length === 0) return;
      this.#position += length;
      this.#read(buffer.toString('latin1', 0, length));
    }
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const time = /pts_time:\s*(-?[\d.]+)/.exec(line)?.[1];
      if (time !== undefined) this.times.push(Number(time));
      else if (line.trim() !== '') this.#lastLines = [...this.#lastLines.slice(-2), line.trim()];
    }
    this.#wake();
  }
}

const LOG_BYTES = 1 << 16;

/** A file that is gone when it is closed, open for reading and writing. Throws StorageError. */
function namelessFile(): number {
  try {
    const folder = mkdtempSync(join(tmpdir(), 'dualvla-times-'));
    try {
      return openSync(join(folder, 'times'), 'wx+');
    } finally {
      rmSync(folder, { recursive: true });
    }
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new StorageError(`No temporary file can be made: ${what}`, {
      file: tmpdir(),
      cause,
      hint: 'Set TMPDIR to a folder with space',
    });
  }
}

/** Small pictures leave ffmpeg several at a time. */
const BUFFERED = ['-flush_packets', '0', '-blocksize', '65536'];

/** Frames of all parts: what ffmpeg is asked before the output. @param filters after the one that tells the times */
function decodeArguments({ path, from, fps, parts, threads }: VideoPartsOptions, filters: string): string[] {
  // Seek half a frame early so that rounding never drops the first frame; time stamps stay those of the file.
  const seek = Math.max(0, from - 0.5 / fps).toFixed(6);
  const numFrames = parts.reduce((sum, part) => sum + part.numFrames, 0);
  const own = threads === undefined ? [] : ['-threads', String(threads)];
  // Slices of a picture in several threads cost more time in all than they save when other videos are decoded meanwhile.
  const filtering = threads === 1 ? ['-filter_threads', '1'] : [];
  return [
    '-v',
    'info',
    '-hide_banner',
    '-nostats',
    '-nostdin',
    '-copyts',
    ...filtering,
    ...own,
    '-ss',
    seek,
    '-i',
    path,
  ]
    .concat(['-map', '0:v:0', '-frames:v', String(numFrames), '-vf', `showinfo=checksum=0${filters}`])
    .concat(['-fps_mode', 'passthrough']);
}

/** Throws VideoError for a frame that is not there or not at its time. @param first the part's first frame among all */
function checkTimes(times: readonly number[], { path, from, fps }: VideoPartsOptions, part: VideoPart, first: number) {
  for (let t = 0; t < part.numFrames; t++) {
    const wanted = from + (first + t) / fps;
    const time = times[first + t] ?? Number.NaN;
    // showinfo prints six significant digits.
    if (!(Math.abs(time - wanted) <= TIMESTAMP_TOLERANCE + Math.abs(wanted) * 1e-5))
      throw new VideoError(`Frame at ${time} s, the metadata says ${wanted.toFixed(6)} s`, {
        file: path,
        episode: part.episode,
        frame: t,
      });
  }
}

function tooShort({ path, from, fps }: VideoPartsOptions, part: VideoPart, first: number, got: number): VideoError {
  const time = (from + first / fps).toFixed(4);
  return new VideoError(`The video has ${got} frames from ${time} s on, expected ${part.numFrames}`, {
    file: path,
    episode: part.episode,
  });
}

/**
 * Decodes consecutive parts of a video in one process, uint8 RGB [numFrames, height, width, 3] each, as they are asked for: while the caller
 * keeps one, ffmpeg waits after some frames more. Throws VideoError when a part has fewer frames or their times are off by more than the
 * tolerance; the parts before it have been given by then.
 */
export async function* decodeVideoParts(options: VideoPartsOptions): AsyncGenerator<Uint8Array> {
  const { path, parts, width, height, filter = 'bicubic' } = options;
  const frameBytes = width * height * 3;
  const args = decodeArguments(options, `,scale=${width}:${height}:flags=${filter}`);
  const run = new Decoding([...args, '-f', 'rawvideo', '-pix_fmt', 'rgb24', ...BUFFERED, 'pipe:1'], path, true);
  try {
    const pixels = new ByteStream(run.child.stdout as Readable);
    let first = 0;
    for (const [i, part] of parts.entries()) {
      const wanted = part.numFrames * frameBytes;
      const data = await pixels.take(wanted);
      if (data.length < wanted || i + 1 === parts.length) {
        const more = await pixels.drain();
        await run.ended;
        if (data.length + more !== wanted)
          throw tooShort(options, part, first, Math.floor((data.length + more) / frameBytes));
      }
      await run.timesOf(first + part.numFrames);
      checkTimes(run.times, options, part, first);
      first += part.numFrames;
      yield data;
    }
  } finally {
    await run.stop();
  }
}

/** Decodes consecutive parts and lets go of the pictures; goes on when a part is sound. Throws what `decodeVideoParts` throws. */
export async function* checkVideoParts(options: Omit<VideoPartsOptions, 'width' | 'height'>): AsyncGenerator<void> {
  const all = { ...options, width: 0, height: 0 };
  const run = new Decoding([...decodeArguments(all, ''), '-f', 'null', '-'], options.path, false);
  try {
    run.child.stdout?.resume();
    let first = 0;
    for (const [i, part] of options.parts.entries()) {
      const last = first + part.numFrames;
      await run.timesOf(last);
      if (run.times.length < last || i + 1 === options.parts.length) await run.ended;
      if (run.times.length < last) throw tooShort(all, part, first, run.times.length - first);
      checkTimes(run.times, all, part, first);
      first = last;
      yield;
    }
  } finally {
    await run.stop();
  }
}

/** Decodes `numFrames` consecutive frames into uint8 RGB [numFrames, height, width, 3]. Throws what `decodeVideoParts` throws. */
export async function decodeVideo({ numFrames, ...options }: DecodeVideoOptions): Promise<Uint8Array> {
  for await (const frames of decodeVideoParts({ ...options, parts: [{ numFrames }] })) return frames;
  throw new RangeError('A part is always given');
}

/** Pieces of a stream of bytes. Memory is that of the bytes that came, whatever is asked for. */
class ByteStream {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The next `length` bytes; fewer at the end. */
  async take(length: number): Promise<Uint8Array> {
    const pieces: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      if (this.#rest.length === 0) break;
      const piece = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(piece.length);
      pieces.push(piece);
      missing -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  /** Reads to the end. @returns bytes that were left */
  async drain(): Promise<number> {
    let left = this.#rest.length;
    for (let chunk = await this.#next(); chunk.length > 0; chunk = await this.#next()) left += chunk.length;
    return left;
  }

  async #next(): Promise<Buffer> {
    // A process that could not be started or was killed closes its output early: how it ended says more.
    const next = await this.#chunks.next().catch(() => ({ done: true as const, value: undefined }));
    return next.done ? Buffer.alloc(0) : (next.value as Buffer);
  }
}

export interface VideoFacts {
  readonly width: number;
  readonly height: number;
  readonly codec: string;
  readonly pixelFormat: string;
  readonly numFrames: number;
}

/** What a video file holds. */
export async function probeVideo(path: string): Promise<VideoFacts> {
  const entries = 'stream=codec_name,width,height,pix_fmt,nb_frames';
  const args = ['-v', 'error', '-select_streams', 'v:0', '-show_entries', entries, '-of', 'json', path];
  const { stdout } = await runTool(ffprobe(), args, path);
  const streams = (JSON.parse(Buffer.from(stdout).toString()) as { streams?: Record<string, string | number>[] })
    .streams;
  const stream = streams?.[0];
  if (!stream) throw new VideoError('The file has no video stream', { file: path });
  return {
    width: Number(stream.width),
    height: Number(stream.height),
    codec: String(stream.codec_name),
    pixelFormat: String(stream.pix_fmt),
    numFrames: Number(stream.nb_frames),
  };
}

export interface CutVideoOptions {
  readonly path: string;
  /** Time of the first frame, seconds. It should be a key frame. */
  readonly from: number;
  readonly numFrames: number;
  readonly fps: number;
  readonly output: string;
}

/** Copies `numFrames` frames from `from` on into a file of their own, without encoding; sound is left out. The caller checks what came out. */
export async function cutVideo({ path, from, numFrames, fps, output }: CutVideoOptions): Promise<void> {
  // A seek goes to the last key frame before its time: a little late, so that rounding never finds the episode before. Times are shifted by
  // an exact amount and negative decoding times kept, for an edit list: any other way moves the first frame away from 0.
  const seek = from > 0 ? ['-ss', (from + 0.25 / fps).toFixed(6)] : [];
  const args = ['-v', 'error', '-y', '-copyts', ...seek, '-i', path, '-frames:v', String(numFrames), '-map', '0:v:0']
    .concat(['-c', 'copy', '-an', '-output_ts_offset', (-from).toFixed(6), '-avoid_negative_ts', 'disabled'])
    .concat(['-movie_timescale', '15360', output]);
  await runTool(ffmpeg(), args, path);
}
