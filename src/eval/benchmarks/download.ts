/**
 * Tables from where VLMEvalKit has them, or from a data set on the Hugging Face hub: streamed to disk, checked, continued after an interruption. A file appears
 * under its name only when it is whole and its checksum is right.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BenchmarkError } from './errors.js';

export interface TableSource {
  readonly url: string;
  /** Hexadecimal; without it a checksum that the server names is used, and it is an error if there is none. */
  readonly checksum?: { readonly algorithm: 'md5' | 'sha256'; readonly value: string };
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

/**
 * Downloads to `path`, unless it is there.
 * @param onProgress told the bytes so far, and of how many if the server says
 * Throws BenchmarkError where the server refuses, names no checksum, or sends something else.
 */
export async function downloadTable(
  source: TableSource,
  path: string,
  onProgress: (bytes: number, of?: number) => void = () => undefined,
  signal?: AbortSignal,
): Promise<void> {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  const part = `${path}.part`;
  const stop = signal ? { signal } : {};
  const { url, checksum } = await locate(source, stop);
  let have = existsSync(part) ? statSync(part).size : 0;
  const response = await get(url, { ...stop, ...(have > 0 ? { headers: { range: `bytes=${have}-` } } : {}) });
  if (response.status === 200) have = 0;
  // 416: everything is there already.
  if (response.status === 200 || response.status === 206) {
    const length = response.headers.get('content-length');
    const total = length === null ? undefined : have + Number(length);
    let bytes = have;
    const body = Readable.fromWeb(response.body as import('node:stream/web').ReadableStream<Uint8Array>);
    body.on('data', (chunk: Uint8Array) => {
      bytes += chunk.length;
      onProgress(bytes, total);
    });
    try {
      await pipeline(body, createWriteStream(part, { flags: have > 0 ? 'a' : 'w' }), stop);
    } catch (error) {
      signal?.throwIfAborted();
      throw new BenchmarkError(
        `${url} broke off after ${bytes} bytes (${(error as Error).message}); next: the same command`,
      );
    }
  } else if (response.status !== 416) throw new BenchmarkError(`${url} answers with status ${response.status}`);
  const hash = createHash(checksum.algorithm);
  await pipeline(createReadStream(part), hash);
  const sum = hash.digest('hex');
  if (sum !== checksum.value) {
    rmSync(part);
    throw new BenchmarkError(`${url} sent a file with ${checksum.algorithm} ${sum}, not ${checksum.value}`);
  }
  renameSync(part, path);
}

type Located = Required<TableSource>;

/** The hub redirects to the file, and says its SHA-256 before it does. */
async function locate({ url, checksum }: TableSource, stop: { signal?: AbortSignal }): Promise<Located> {
  if (checksum) return { url, checksum };
  const response = await get(url, { ...stop, method: 'HEAD', redirect: 'manual' });
  const value = (response.headers.get('x-linked-etag') ?? '').replaceAll('"', '');
  if (response.status >= 400) throw new BenchmarkError(`${url} answers with status ${response.status}`);
  if (!/^[\da-f]{64}$/.test(value)) throw new BenchmarkError(`${url} names no checksum; download it by other means`);
  return { url, checksum: { algorithm: 'sha256', value } };
}

async function get(url: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(url, options);
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    const { message, cause } = error as Error;
    throw new BenchmarkError(`${url} cannot be reached: ${cause instanceof Error ? cause.message : message}`);
  }
}
