/**
 * features.json of a TFDS data set: a tree of dictionaries, sequences, tensors, pictures and texts, flattened to its leaves. A leaf's path
 * joins the names by "/", which is also its key in the records.
 *
 * Knows nothing about records.
 */
import { readFileSync } from 'node:fs';
import { CorruptDatasetError, MissingDatasetError } from './errors.js';

export type RldsLeafKind = 'numeric' | 'image' | 'text' | 'unknown';

export interface RldsLeaf {
  /** e.g. `steps/observation/image_0`. */
  readonly path: string;
  /** `unknown`: a class that this reader does not know; its values are left alone. */
  readonly kind: RldsLeafKind;
  /** NumPy name. */
  readonly dtype: string;
  /** Of one step, or of the episode for its metadata; a size of -1 is unknown. */
  readonly shape: readonly number[];
  /** `none`, or `bytes` and `zlib` for tensors stored as raw memory. */
  readonly encoding: 'none' | 'bytes' | 'zlib';
  /** How many sequences the leaf lies in: 1 for a step's value, 0 for the episode's metadata. */
  readonly sequences: number;
}

const MAX_DEPTH = 64;

interface Tree {
  readonly [key: string]: unknown;
}

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a features.json. Throws MissingDatasetError or CorruptDatasetError naming the path in the tree. */
export function readRldsFeatures(file: string): RldsLeaf[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new MissingDatasetError('The TFDS data set has no features.json', {
      file,
      hint: 'Fetch it beside the .tfrecord files: it says what the records hold',
      cause,
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CorruptDatasetError('features.json is not JSON', { file, cause });
  }
  return rldsLeaves(json, file);
}

/** The leaves of a parsed features.json. */
export function rldsLeaves(json: unknown, file: string): RldsLeaf[] {
  const leaves: RldsLeaf[] = [];
  const visit = (node: unknown, path: readonly string[], sequences: number, depth: number): void => {
    const field = path.join('/') || 'the root';
    if (!isTree(node)) throw new CorruptDatasetError('Expected a feature, found something else', { file, field });
    if (depth > MAX_DEPTH) throw new CorruptDatasetError(`More than ${MAX_DEPTH} levels of features`, { file, field });
    const inner = (key: string): unknown => (isTree(node[key]) ? (node[key] as Tree)[key] : undefined);
    const dictionary = isTree(node.featuresDict) ? node.featuresDict.features : inner('features');
    if (isTree(dictionary)) {
      for (const [name, child] of Object.entries(dictionary)) visit(child, [...path, name], sequences, depth + 1);
      return;
    }
    if (isTree(node.sequence)) {
      visit(node.sequence.feature, path, sequences + 1, depth + 1);
      return;
    }
    leaves.push({ path: path.join('/'), sequences, ...leafOf(node, file, field) });
  };
  visit(json, [], 0, 0);
  return leaves;
}

function leafOf(node: Tree, file: string, field: string): Pick<RldsLeaf, 'kind' | 'dtype' | 'shape' | 'encoding'> {
  if (isTree(node.text)) return { kind: 'text', dtype: 'string', shape: [], encoding: 'none' };
  if (isTree(node.image))
    return { kind: 'image', dtype: 'uint8', shape: shapeOf(node.image, file, field), encoding: 'none' };
  if (isTree(node.classLabel)) return { kind: 'numeric', dtype: 'int64', shape: [], encoding: 'none' };
  if (isTree(node.tensor)) {
    const text = (value: unknown): string => (typeof value === 'string' ? value : '');
    const dtype = text(node.tensor.dtype);
    const encoding = text(node.tensor.encoding ?? 'none').toLowerCase();
    if (encoding !== 'none' && encoding !== 'bytes' && encoding !== 'zlib')
      throw new CorruptDatasetError(`Unknown encoding "${encoding.slice(0, 40)}" of a tensor`, { file, field });
    const shape = shapeOf(node.tensor, file, field);
    const isText = dtype === 'string' || dtype === 'object';
    return { kind: isText ? 'text' : 'numeric', dtype: isText ? 'string' : dtype, shape, encoding };
  }
  return { kind: 'unknown', dtype: '', shape: [], encoding: 'none' };
}

function shapeOf(node: Tree, file: string, field: string): number[] {
  const dimensions = isTree(node.shape) ? (node.shape.dimensions ?? []) : [];
  if (!Array.isArray(dimensions)) throw new CorruptDatasetError('A shape is no list', { file, field });
  return dimensions.map((dimension) => {
    const known = typeof dimension === 'number' || typeof dimension === 'string';
    const size = known ? Number(dimension) : Number.NaN;
    if (!Number.isSafeInteger(size) || size < -1 || size > 2 ** 31)
      throw new CorruptDatasetError(`A size of ${known ? String(dimension).slice(0, 40) : typeof dimension}`, {
        file,
        field,
      });
    return size;
  });
}
