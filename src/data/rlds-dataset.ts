/**
 * Reader of RLDS data sets in TFDS's TFRecord layout: `{name}/{version}/{name}-{split}.tfrecord-00000-of-000NN` beside dataset_info.json and
 * features.json. One episode in memory at a time.
 *
 * Knows nothing about robots: what the columns mean is said by rlds-transforms.ts.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { CorruptDatasetError, DatasetConflictError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import { decodeRldsEpisode, type RldsEpisode } from './rlds-episode.js';
import { type RldsLeaf, readRldsFeatures } from './rlds-features.js';
import { readTfRecords } from './tfrecord.js';

export const RLDS_FEATURES_FILE = 'features.json';
const INFO = 'dataset_info.json';

const whole = z.coerce.number().int().nonnegative();
const infoSchema = z.looseObject({
  name: z.string().min(1),
  version: z.string().default(''),
  fileFormat: z.string().default('tfrecord'),
  splits: z
    .array(
      z.looseObject({
        name: z.string(),
        shardLengths: z.array(whole).default([]),
        filepathTemplate: z.string().default(''),
      }),
    )
    .default([]),
});

export interface RldsShard {
  readonly path: string;
  /** Episodes in it, as dataset_info.json says. */
  readonly length: number;
}

export class RldsDataset {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  readonly split: string;
  /** Splits that dataset_info.json declares. */
  readonly splits: readonly string[];
  readonly shards: readonly RldsShard[];
  readonly leaves: readonly RldsLeaf[];

  private constructor(
    fields: Pick<RldsDataset, 'folder' | 'name' | 'version' | 'split' | 'splits' | 'shards' | 'leaves'>,
  ) {
    this.folder = fields.folder;
    this.name = fields.name;
    this.version = fields.version;
    this.split = fields.split;
    this.splits = fields.splits;
    this.shards = fields.shards;
    this.leaves = fields.leaves;
  }

  /**
   * Opens a split (default "train") of the data set at `folder`, or of its only version below it. Throws MissingDatasetError for absent
   * files, UnsupportedDatasetError for another file format, CorruptDatasetError for metadata that make no sense.
   */
  static open(folder: string, options: { readonly split?: string } = {}): RldsDataset {
    const root = versionFolder(resolve(folder));
    const leaves = readRldsFeatures(join(root, RLDS_FEATURES_FILE));
    if (!leaves.some((leaf) => leaf.path.startsWith('steps/') && leaf.sequences > 0))
      throw new UnsupportedDatasetError('This TFDS data set has no sequence "steps": it holds no episodes', {
        file: join(root, RLDS_FEATURES_FILE),
      });
    const info = readInfo(root);
    if (info.fileFormat !== 'tfrecord')
      throw new UnsupportedDatasetError(`The records are stored as ${info.fileFormat}, this reader knows tfrecord`, {
        file: join(root, INFO),
      });
    const splits = info.splits.map((one) => one.name);
    const split = options.split ?? 'train';
    const found = info.splits.find((one) => one.name === split);
    if (!found)
      throw new MissingDatasetError(`There is no split "${split}"; there are: ${splits.join(', ') || 'none'}`, {
        file: join(root, INFO),
        hint: 'Name another one with --split',
      });
    const count = found.shardLengths.length;
    const shards = found.shardLengths.map((length, i) => ({
      path: join(root, shardName(found.filepathTemplate, info.name, split, i, count)),
      length,
    }));
    const missing = shards.filter((shard) => !existsSync(shard.path));
    if (missing[0])
      throw new MissingDatasetError(`${missing.length} of ${count} files of split "${split}" are missing`, {
        file: missing[0].path,
        hint: 'Fetch them, or name another split with --split',
      });
    return new RldsDataset({ folder: root, name: info.name, version: info.version, split, splits, shards, leaves });
  }

  get numEpisodes(): number {
    return this.shards.reduce((sum, shard) => sum + shard.length, 0);
  }

  /**
   * Episodes from `from` on, in order. Throws CorruptDatasetError (file, episode, field) for damaged records and for files with another
   * number of records than declared.
   */
  *episodes(from = 0): Generator<RldsEpisode> {
    let first = 0;
    for (const shard of this.shards) {
      const next = first + shard.length;
      if (from < next) {
        let records = Math.max(0, from - first);
        for (const record of readTfRecords(shard.path, { from: records })) {
          if (record.index >= shard.length)
            throw new CorruptDatasetError(`More than the ${shard.length} records that ${INFO} declares`, {
              file: shard.path,
            });
          yield decodeRldsEpisode(record.data, this.leaves, {
            index: first + record.index,
            file: shard.path,
            record: record.index,
          });
          records++;
        }
        if (records < shard.length)
          throw new CorruptDatasetError(`${records} records, ${INFO} declares ${shard.length}`, {
            file: shard.path,
            hint: 'The file is incomplete: fetch it again',
          });
      }
      first = next;
    }
  }
}

/** Whether a folder looks like a TFDS data set, or holds versions of one. */
export function isRlds(folder: string): boolean {
  return existsSync(join(folder, RLDS_FEATURES_FILE)) || versionsIn(folder).length > 0;
}

function versionsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter(
    (name) => /^\d+\.\d+\.\d+$/.test(name) && existsSync(join(folder, name, RLDS_FEATURES_FILE)),
  );
}

function versionFolder(folder: string): string {
  if (existsSync(join(folder, RLDS_FEATURES_FILE))) return folder;
  const versions = versionsIn(folder);
  if (versions.length > 1)
    throw new DatasetConflictError(`Several versions lie here: ${versions.join(', ')}`, {
      file: folder,
      hint: 'Name the folder of one of them',
    });
  return versions[0] === undefined ? folder : join(folder, versions[0]);
}

function readInfo(root: string): z.infer<typeof infoSchema> {
  const file = join(root, INFO);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new MissingDatasetError(`The TFDS data set has no ${INFO}`, { file, cause });
    throw new CorruptDatasetError(`${INFO} is not JSON`, { file, cause });
  }
  const parsed = infoSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new CorruptDatasetError(`${INFO} is wrong: ${issue?.message}`, { file, field: issue?.path.join('.') });
  }
  return parsed.data;
}

/** File name of a shard; a name with folders in it is cut to its last part, so that nothing outside the data set is read. */
function shardName(template: string, name: string, split: string, shard: number, count: number): string {
  const five = (value: number): string => String(value).padStart(5, '0');
  const values: Record<string, string> = {
    DATASET: name,
    SPLIT: split,
    FILEFORMAT: 'tfrecord',
    SHARD_INDEX: five(shard),
    NUM_SHARDS: five(count),
    SHARD_X_OF_Y: `${five(shard)}-of-${five(count)}`,
  };
  const text = template === '' ? '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}' : template;
  return basename(text.replace(/\{(\w+)\}/g, (whole, key: string) => values[key] ?? whole));
}
