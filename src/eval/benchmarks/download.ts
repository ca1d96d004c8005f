/**
 * Tables from where VLMEvalKit has them, or from a data set on the Hugging Face hub: streamed to disk, checked, continued after an interruption. A file appears
 * under its name only when it is whole and its checksum is right.
 */
import { existsSync, renameSync } from 'node:fs';
import { type Checksum, downloadVerified, fetchPatiently, type Patience } from '../../data/index.js';
import { BenchmarkError } from './errors.js';

export interface TableSource {
  readonly url: string;
  /** Hexadecimal; without it a checksum that the server names is used, and it is an error if there is none. */
  readonly checksum?: Checksum;
}

const VLMEVAL = 'https://opencompass.openxlab.space/utils';

const known = (path: string, md5: string): TableSource => ({
  url: `${VLMEVAL}/${path}`,
  checksum: { algorithm: 'md5', value: md5 },
});

/** Places and MD5 of the tables as VLMEvalKit lists them. */
export const TABLE_SOURCES: ReadonlyMap<string, TableSource> = new Map([
  ['MMStar', known('VLMEval/MMStar.tsv', 'e1ecd2140806c1b1bbf54b43372efb9e')],
  ['MMMU_DEV_VAL', known('VLMEval/MMMU_DEV_VAL.tsv', '585e8ad75e73f75dcad265dfd0417d64')],
  ['MMBench_DEV_EN_V11', known('benchmarks/MMBench/MMBench_DEV_EN_V11.tsv', '30c05be8f2f347a50be25aa067248184')],
  ['TextVQA_VAL', known('VLMEval/TextVQA_VAL.tsv', 'b233b31f551bbf4056f2f955da3a92cd')],
  ['DocVQA_VAL', known('VLMEval/DocVQA_VAL.tsv', 'd5ee77e1926ff10690d469c56b73eabf')],
  ['InfoVQA_VAL', known('VLMEval/InfoVQA_VAL.tsv', '2342e9c225222f0ef4dec545ebb126fe')],
  ['OCRBench', known('VLMEval/OCRBench.tsv', 'e953d98a987cc6e26ef717b61260b778')],
  ['MMVet', known('VLMEval/MMVet.tsv', '748aa6d4aa9d4de798306a63718455e3')],
]);

/** `hf:owner/name/path/file.tsv`: a file of a data set on the hub (HF_ENDPOINT in the environment names another hub). */
export function hubSource(
  id: string,
  hub = process.env.HF_ENDPOINT ?? 'https://huggingface.co',
): TableSource | undefined {
  const found = /^hf:([\w.-]+\/[\w.-]+)\/(.+)$/.exec(id);
  return found ? { url: `${hub}/datasets/${found[1]}/resolve/main/${found[2]}` } : undefined;
}

export interface TableDownload extends Patience {
  readonly signal?: AbortSignal;
  /** Told the bytes so far, and of how many. */
  readonly onProgress?: (bytes: number, of: number) => void;
}

/**
 * Downloads to `path`, unless it is there.
 * @throws HubError where the server cannot be reached, refuses, breaks off for good or sends something else; StorageError where the disk does;
 * BenchmarkError where the server names no checksum or no size
 */
export async function downloadTable(source: TableSource, path: string, options: TableDownload = {}): Promise<void> {
  if (existsSync(path)) return;
  const { signal, onProgress } = options;
  const { checksum, bytes } = await locate(source, options);
  const part = `${path}.part`;
  const onBytes = (so: number): void => onProgress?.(so, bytes);
  await downloadVerified({ ...options, url: source.url, part, bytes, checksum, signal, onBytes });
  renameSync(part, path);
}

/** What the server says of the file. The hub redirects to it, and tells its SHA-256 and size before it does. */
async function locate({ url, checksum }: TableSource, options: TableDownload) {
  const stop = options.signal ? { signal: options.signal } : {};
  const redirect = checksum === undefined ? 'manual' : 'follow';
  const { headers } = await fetchPatiently(url, { ...stop, method: 'HEAD', redirect }, options);
  const sha256 = (headers.get('x-linked-etag') ?? '').replaceAll('"', '');
  const found =
    checksum ?? (/^[\da-f]{64}$/.test(sha256) ? ({ algorithm: 'sha256', value: sha256 } as const) : undefined);
  if (found === undefined) throw new BenchmarkError(`${url} names no checksum; download it by other means`);
  const bytes = Number(headers.get('x-linked-size') ?? headers.get('content-length') ?? Number.NaN);
  if (!Number.isSafeInteger(bytes)) throw new BenchmarkError(`${url} names no size; download it by other means`);
  return { checksum: found, bytes };
}
