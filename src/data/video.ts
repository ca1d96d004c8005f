/**
 * Videos through the ffmpeg command: encode an episode, join episodes by stream copy, decode a range of frames.
 *
 * Joining writes exact `duration` lines and a fine movie timescale: ffmpeg's concat demuxer otherwise drifts by about a millisecond a
 * join, more than the 1e-4 s that the official loader allows. Knows nothing about data sets.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { syncFile } from './durable-file.js';
import { VideoError } from './errors.js';

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

interface Output {
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

function runTool(command: string, args: readonly string[], file: string, input?: Uint8Array): Promise<Output> {
  return new Promise((fulfil, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => out.push(data));
    child.stderr.on('data', (data: Buffer) => err.push(data));
    // A tool that dies early closes its input: its exit status tells why.
    child.stdin.on('error', () => undefined);
    child.on('error', (cause) => {
      reject(
        new VideoError(`${command} cannot be started`, { file, cause, hint: 'Install it: apt-get install ffmpeg' }),
      );
    });
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

export interface DecodeVideoOptions {
  readonly path: string;
  /** Time of the first frame, seconds. */
  readonly from: number;
  readonly numFrames: number;
  readonly fps: number;
  /** Size of the decoded pictures; the video is scaled to it. */
  readonly width: number;
  readonly height: number;
}

/**
 * Decodes `numFrames` consecutive frames into uint8 RGB [numFrames, height, width, 3].
 * Throws VideoError when the file has fewer frames or their times are off by more than the tolerance.
 */
export async function decodeVideo(options: DecodeVideoOptions): Promise<Uint8Array> {
  const { path, from, numFrames, fps, width, height } = options;
  // Seek half a frame early so that rounding never drops the first frame; time stamps stay those of the file.
  const seek = Math.max(0, from - 0.5 / fps);
  const args = [
    '-v',
    'info',
    '-hide_banner',
    '-nostats',
    '-copyts',
    '-ss',
    seek.toFixed(6),
    '-i',
    path,
    '-frames:v',
    String(numFrames),
  ]
    .concat(['-vf', `showinfo=checksum=0,scale=${width}:${height}:flags=bicubic`, '-fps_mode', 'passthrough'])
    .concat(['-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1']);
  const { stdout, stderr } = await runTool(ffmpeg(), args, path);
  const expected = numFrames * width * height * 3;
  if (stdout.length !== expected) {
    const got = Math.floor(stdout.length / (width * height * 3));
    throw new VideoError(`The video has ${got} frames from ${from.toFixed(4)} s on, expected ${numFrames}`, {
      file: path,
    });
  }
  const times = [...stderr.matchAll(/pts_time:\s*(-?[\d.]+)/g)].map((match) => Number(match[1]));
  for (let t = 0; t < numFrames; t++) {
    const wanted = from + t / fps;
    const time = times[t] ?? Number.NaN;
    // showinfo prints six significant digits.
    if (!(Math.abs(time - wanted) <= TIMESTAMP_TOLERANCE + Math.abs(wanted) * 1e-5))
      throw new VideoError(`Frame at ${time} s, the metadata says ${wanted.toFixed(6)} s`, { file: path, frame: t });
  }
  return stdout;
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
