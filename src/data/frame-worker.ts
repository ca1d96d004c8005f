/**
 * Worker of the frame cache: decodes the pictures of units into shared memory. Workers of one job take units from a shared counter, so
 * nobody waits for the main thread, which may be busy training.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { DataError } from './errors.js';
import { LeRobotDataset } from './lerobot-dataset.js';

/** What every worker is given once. */
export interface FrameWorkerData {
  readonly folders: readonly string[];
  readonly cameras: readonly string[];
  readonly imageSize: number | null;
  /** Int32: [0] is set, and the message 'stop' sent, when the worker is to end after the unit it is at. */
  readonly stop: SharedArrayBuffer;
}

/** One unit of a job: episodes [from, to) of a data set, whose frames go to consecutive slots. */
export interface FrameTask {
  readonly folder: number;
  readonly from: number;
  readonly to: number;
  readonly slot: number;
}

export interface FrameJob {
  readonly id: number;
  readonly tasks: readonly FrameTask[];
  /** camera -> pixels of all slots. */
  readonly arenas: Readonly<Record<string, SharedArrayBuffer>>;
  /** Int32: [0] the next task to take, [1 + i] whether task i is done. */
  readonly progress: SharedArrayBuffer;
}

export interface FrameReport {
  readonly id: number;
  readonly error?: { readonly name: string; readonly message: string };
}

async function main(): Promise<void> {
  const port = parentPort;
  if (!port) throw new DataError('This file is a worker; the loader starts it');
  const { folders, cameras, imageSize, stop } = workerData as FrameWorkerData;
  const stopped = new Int32Array(stop);
  const datasets = await Promise.all(folders.map((folder) => LeRobotDataset.open(folder)));
  let queue: Promise<void> = Promise.resolve();
  port.on('message', (job: FrameJob | 'stop') => {
    queue = queue.then(() => (job === 'stop' ? port.close() : run(job)));
  });

  async function run(job: FrameJob): Promise<void> {
    const progress = new Int32Array(job.progress);
    for (let i = Atomics.add(progress, 0, 1); i < job.tasks.length; i = Atomics.add(progress, 0, 1)) {
      if (Atomics.load(stopped, 0) === 1) return;
      const task = job.tasks[i] as FrameTask;
      let report: FrameReport = { id: job.id };
      try {
        await decode(task, job.arenas);
        Atomics.store(progress, 1 + i, 1);
      } catch (error) {
        report = { id: job.id, error: { name: (error as Error).name, message: (error as Error).message } };
      }
      port?.postMessage(report);
      if (report.error) return;
    }
  }

  async function decode(task: FrameTask, arenas: FrameJob['arenas']): Promise<void> {
    const dataset = datasets[task.folder] as LeRobotDataset;
    const images = await dataset.readImages({ from: task.from, to: task.to }, cameras, imageSize ?? undefined);
    let { slot } = task;
    for (const [i, episode] of images.entries()) {
      for (const camera of cameras) {
        const sequence = episode[camera];
        const arena = arenas[camera];
        if (!sequence || !arena) continue;
        new Uint8Array(arena).set(sequence.data, slot * sequence.width * sequence.height * 3);
      }
      slot += dataset.episodes[task.from + i]?.length ?? 0;
    }
  }
}

await main();
