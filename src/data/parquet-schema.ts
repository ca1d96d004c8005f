/**
 * Parquet schema of a LeRobot data file: scalars for shape [1], lists for vectors, nested lists above, image = struct{bytes, path},
 * language = list<struct>. Arrow's conventions throughout (every field optional, three-level lists named list/element).
 *
 * Knows nothing about rows or files.
 */
import type { KeyValue, SchemaElement } from 'hyparquet';
import { UnsupportedDatasetError } from './errors.js';
import { type Feature, type Features, LANGUAGE_PERSISTENT_KEY, type NumericDType } from './features.js';

/** A node of a schema under construction: flat pre-order lists, as parquet stores them. */
type Node = readonly SchemaElement[];

const PHYSICAL: Readonly<Record<NumericDType, Omit<SchemaElement, 'name' | 'repetition_type'>>> = {
  float32: { type: 'FLOAT' },
  float64: { type: 'DOUBLE' },
  float16: { type: 'FLOAT' },
  bool: { type: 'BOOLEAN' },
  int8: { type: 'INT32', converted_type: 'INT_8' },
  int16: { type: 'INT32', converted_type: 'INT_16' },
  int32: { type: 'INT32' },
  int64: { type: 'INT64' },
  uint8: { type: 'INT32', converted_type: 'UINT_8' },
  uint16: { type: 'INT32', converted_type: 'UINT_16' },
  uint32: { type: 'INT32', converted_type: 'UINT_32' },
  uint64: { type: 'INT64', converted_type: 'UINT_64' },
};

export function leaf(name: string, dtype: NumericDType | 'string' | 'bytes'): Node {
  if (dtype === 'string')
    return [
      {
        name,
        type: 'BYTE_ARRAY',
        converted_type: 'UTF8',
        logical_type: { type: 'STRING' },
        repetition_type: 'OPTIONAL',
      },
    ];
  if (dtype === 'bytes') return [{ name, type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' }];
  return [{ name, ...PHYSICAL[dtype], repetition_type: 'OPTIONAL' }];
}

export function struct(name: string, fields: readonly Node[]): Node {
  return [{ name, repetition_type: 'OPTIONAL', num_children: fields.length }, ...fields.flat()];
}

export function list(name: string, element: Node): Node {
  return [
    { name, converted_type: 'LIST', logical_type: { type: 'LIST' }, repetition_type: 'OPTIONAL', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    ...element,
  ];
}

export function root(columns: readonly Node[]): SchemaElement[] {
  return [{ name: 'schema', repetition_type: 'REQUIRED', num_children: columns.length }, ...columns.flat()];
}

function languageNode(name: string): Node {
  const fields = [leaf('role', 'string'), leaf('content', 'string'), leaf('style', 'string')];
  if (name === LANGUAGE_PERSISTENT_KEY) fields.push(leaf('timestamp', 'float32'));
  fields.push(leaf('camera', 'string'), list('tool_calls', leaf('element', 'string')));
  return list(name, struct('element', fields));
}

function featureNode(name: string, feature: Feature): Node | undefined {
  const { dtype, shape } = feature;
  if (dtype === 'video') return undefined;
  if (dtype === 'image') return struct(name, [leaf('bytes', 'bytes'), leaf('path', 'string')]);
  if (dtype === 'language') return languageNode(name);
  if (dtype === 'string') return leaf(name, 'string');
  if (shape.length === 0)
    throw new UnsupportedDatasetError('A feature needs a shape, [1] for a scalar', { field: name });
  if (shape.length === 1 && shape[0] === 1) return leaf(name, dtype);
  return shape.reduce<Node>(
    (node, _, depth) => list(depth === shape.length - 1 ? name : 'element', node),
    leaf('element', dtype),
  );
}

/** Schema of a data file; features stored as video have no column. */
export function dataSchema(features: Features): SchemaElement[] {
  return root(
    Object.entries(features)
      .map(([name, feature]) => featureNode(name, feature))
      .filter((node): node is Node => node !== undefined),
  );
}

/**
 * What the Hugging Face library `datasets` writes into its files and looks for: without it a picture is a struct of bytes to whoever does not
 * say otherwise (the Hub's viewer, `load_dataset`). LeRobot's own reader brings the same from meta/info.json.
 */
export function huggingFaceMetadata(features: Features): KeyValue[] {
  const value = (dtype: string): object => ({ dtype, _type: 'Value' });
  const listOf = (feature: object, length = -1): object => ({
    feature,
    ...(length > 0 ? { length } : {}),
    _type: 'List',
  });
  const rowOf = (name: string): object => ({
    role: value('string'),
    content: value('string'),
    style: value('string'),
    ...(name === LANGUAGE_PERSISTENT_KEY ? { timestamp: value('float32') } : {}),
    camera: value('string'),
    tool_calls: listOf(value('string')),
  });
  const typeOf = (name: string, { dtype, shape }: Feature): object => {
    if (dtype === 'image') return { _type: 'Image' };
    if (dtype === 'language') return listOf(rowOf(name));
    if (dtype === 'string' || (shape.length === 1 && shape[0] === 1)) return value(dtype);
    if (shape.length === 1) return listOf(value(dtype), shape[0]);
    return { shape, dtype, _type: `Array${shape.length}D` };
  };
  const columns = Object.entries(features).filter(([, { dtype }]) => dtype !== 'video');
  // `datasets` has no arrays of more than five dimensions; it then goes by the schema.
  if (columns.some(([, { shape }]) => shape.length > 5)) return [];
  const types = Object.fromEntries(columns.map(([name, feature]) => [name, typeOf(name, feature)]));
  return [{ key: 'huggingface', value: JSON.stringify({ info: { features: types } }) }];
}

/** Names of the top-level columns of a schema, in order. */
export function columnNames(schema: readonly SchemaElement[]): string[] {
  const names: string[] = [];
  let i = 1;
  const skip = (): void => {
    const children = schema[i++]?.num_children ?? 0;
    for (let child = 0; child < children; child++) skip();
  };
  while (i < schema.length) {
    names.push(schema[i]?.name ?? '');
    skip();
  }
  return names;
}
