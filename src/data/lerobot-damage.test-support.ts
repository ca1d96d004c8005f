/** Small sound data sets for tests that damage them, and the ways to do that. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ColumnSource } from 'hyparquet-writer';
import { LeRobotDataset } from './lerobot-dataset.js';
import { LeRobotWriter } from './lerobot-writer.js';
import { ParquetAppender } from './parquet-append.js';
import { ParquetFile } from './parquet-read.js';
import { type leaf, root } from './parquet-schema.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';

/** A sound data set of three episodes of six frames in a temporary folder, and copies of it to damage. */
export class SoundDataset {
  readonly base = mkdtempSync(join(tmpdir(), 'dualvla-reader-'));
  readonly folder = join(this.base, 'sound');
  #copies = 0;

  static async write(): Promise<SoundDataset> {
    const sound = new SoundDataset();
    const features = syntheticFeatures({ cameras: ['third'] });
    const writer = await LeRobotWriter.create(sound.folder, { fps: 5, robotType: 'test', features });
    for (let i = 0; i < 3; i++) await writer.addEpisode(syntheticEpisode(i, { cameras: ['third'], length: 6 }));
    await writer.finish();
    return sound;
  }

  /** A fresh copy. */
  copy(): string {
    const folder = join(this.base, `copy-${this.#copies++}`);
    cpSync(this.folder, folder, { recursive: true });
    return folder;
  }

  remove(): void {
    rmSync(this.base, { recursive: true, force: true });
  }
}

export const DATA = 'data/chunk-000/file-000.parquet';
export const EPISODES = 'meta/episodes/chunk-000/file-000.parquet';

/** Changes meta/info.json. */
export function editInfo(folder: string, edit: (info: Record<string, unknown>) => void): void {
  const path = join(folder, 'meta/info.json');
  const info = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  edit(info);
  writeFileSync(path, JSON.stringify(info));
}

/** Rewrites the data file, each column passed through `change`; undefined drops it. */
export async function editData(
  folder: string,
  change: (
    name: string,
    values: unknown[],
  ) => { values: unknown[]; node?: ReturnType<typeof leaf>; rename?: string } | undefined,
): Promise<void> {
  const path = join(folder, DATA);
  const columns: ColumnSource[] = [];
  const nodes: ReturnType<typeof leaf>[] = [];
  {
    const file = await ParquetFile.open(path);
    const values = await file.read(file.columns);
    for (const name of file.columns) {
      const changed = change(name, values.get(name) ?? []);
      if (!changed) continue;
      columns.push({ name: changed.rename ?? name, data: changed.values });
      nodes.push(changed.node ?? file.schemaOf(name));
    }
  }
  const writer = new ParquetAppender(path, root(nodes));
  writer.append(columns);
  writer.close();
}

/** What reading everything gives: the named error, or undefined. */
export async function readAll(folder: string): Promise<unknown> {
  try {
    const dataset = await LeRobotDataset.open(folder);
    await dataset.readEpisodes({ from: 0, to: dataset.numEpisodes }, { images: true });
    return undefined;
  } catch (error) {
    return error;
  }
}
