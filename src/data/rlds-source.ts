/** RLDS episodes as a source of conversions: transform, names of columns, and optionally reasoning from an ECoT or VLA-IT file. */
import type { EpisodeSource, SourceEpisode } from './convert-source.js';
import { annotateWithEcot, parseEcot, REASONING_FEATURES } from './ecot.js';
import { AnnotationIndex } from './ecot-index.js';
import { CorruptDatasetError, MissingDatasetError } from './errors.js';
import { ACTION_KEY, type Features, STATE_KEY } from './features.js';
import type { RldsDataset } from './rlds-dataset.js';
import type { RldsEpisode } from './rlds-episode.js';
import {
  guessRldsTransform,
  type RldsTransformName,
  type TransformedEpisode,
  transformRlds,
} from './rlds-transforms.js';
import { annotateWithVlaIt, parseVlaIt } from './vla-it.js';

export interface RldsSourceOptions {
  /** Guessed from the columns if absent. */
  readonly transform?: RldsTransformName | undefined;
  readonly fps?: number | undefined;
  readonly robotType?: string | undefined;
  /** Cameras to keep, e.g. `image_0`; all by default. */
  readonly cameras?: readonly string[] | undefined;
  readonly annotations?: { readonly format: 'ecot' | 'vla-it'; readonly file: string } | undefined;
  /** Frame t takes the annotation of step t + stepOffset; by default that of its own raw step. */
  readonly stepOffset?: number | undefined;
}

const ROBOTS: Readonly<Record<RldsTransformName, string>> = { bridge: 'widowx', fractal: 'google_robot', plain: '' };

/** Opens the source; its features are those of the first episode. Throws what reading, transforming and scanning annotations throw. */
export function rldsSource(dataset: RldsDataset, options: RldsSourceOptions = {}): EpisodeSource {
  const transform = options.transform ?? guessRldsTransform(new Set(dataset.leaves.map(({ path }) => path)));
  const [raw] = dataset.episodes();
  if (!raw) throw new MissingDatasetError('The split has no episode', { file: dataset.folder });
  const sample = transformRlds(raw, transform, options);
  const cameras = options.cameras ?? Object.keys(sample.encoded);
  const unknown = cameras.find((camera) => !(camera in sample.encoded));
  if (unknown !== undefined)
    throw new MissingDatasetError(
      `There is no camera "${unknown}"; there are: ${Object.keys(sample.encoded).join(', ')}`,
      {
        file: dataset.folder,
      },
    );
  const index = options.annotations && AnnotationIndex.open(options.annotations.file);
  const features: Features = {
    ...(sample.stateNames.length > 0
      ? { [STATE_KEY]: { dtype: 'float32' as const, shape: [sample.stateNames.length], names: [...sample.stateNames] } }
      : {}),
    [ACTION_KEY]: { dtype: 'float32', shape: [sample.actionNames.length], names: [...sample.actionNames] },
    ...Object.fromEntries(
      cameras.map((camera) => [
        `observation.images.${camera}`,
        { dtype: 'image' as const, shape: [...pictureShape(raw, camera)], names: ['height', 'width', 'channels'] },
      ]),
    ),
    ...(index ? REASONING_FEATURES : {}),
  };

  const annotate = (
    one: TransformedEpisode,
    filePath: string,
    episodeId: string,
  ): { episode: TransformedEpisode['episode']; annotated: number } => {
    if (!index || !options.annotations) return { episode: one.episode, annotated: 0 };
    const { format, file } = options.annotations;
    const entry = index.find(filePath, episodeId);
    const offset = options.stepOffset ?? one.firstStep;
    if (format === 'ecot') return annotateWithEcot(one.episode, entry && parseEcot(entry, file), offset);
    return annotateWithVlaIt(one.episode, entry && parseVlaIt(entry, file), offset);
  };

  return {
    label: dataset.folder,
    fps: sample.episode.fps,
    robotType: options.robotType ?? ROBOTS[transform],
    features,
    numEpisodes: dataset.numEpisodes,
    ignored: { ...raw.leftOut, ...unusedColumns(raw, transform, cameras) },
    provenance: {
      format: 'rlds',
      name: dataset.name,
      version: dataset.version,
      split: dataset.split,
      transform,
      annotations: options.annotations?.format ?? null,
      step_offset: options.stepOffset ?? null,
    },
    async *episodes(from) {
      for (const episode of dataset.episodes(from)) {
        const one = transformRlds(episode, transform, options);
        const filePath = String(episode.metadata['episode_metadata/file_path'] ?? '');
        const episodeId = String(episode.metadata['episode_metadata/episode_id'] ?? '');
        const { episode: annotated, annotated: count } = annotate(one, filePath, episodeId);
        const frames = Object.fromEntries(
          cameras.map((camera) => [camera, { kind: 'pictures' as const, pictures: one.encoded[camera] ?? [] }]),
        );
        const note = { file_path: filePath, episode_id: episodeId, first_step: one.firstStep };
        yield {
          index: episode.index,
          episode: annotated,
          frames,
          file: episode.file,
          note: index ? { ...note, annotated: count } : note,
        } satisfies SourceEpisode;
      }
    },
  };
}

function pictureShape(
  raw: { readonly steps: Readonly<Record<string, unknown>>; readonly file: string },
  camera: string,
): readonly number[] {
  const wanted = Object.entries(raw.steps).find(
    ([path]) => path.replace(/^observation\//, '').replaceAll('/', '.') === camera,
  )?.[1] as { readonly shape?: readonly number[] } | undefined;
  const shape = wanted?.shape ?? [];
  if (shape.length !== 3 || shape[2] !== 3 || shape.includes(-1))
    throw new CorruptDatasetError(
      `features.json declares pictures of [${shape.join(', ')}], RGB of a known size is needed`,
      {
        file: raw.file,
        field: camera,
        hint: 'Choose other cameras with --cameras',
      },
    );
  return shape;
}

/** Structure of an episode, which every data set has in its own way. */
const STRUCTURE = new Set(['is_first', 'is_last', 'is_terminal']);

/** Steps' columns that the transform does not carry over. */
function unusedColumns(
  raw: RldsEpisode,
  transform: RldsTransformName,
  cameras: readonly string[],
): Readonly<Record<string, string>> {
  const used =
    transform === 'plain'
      ? /^(action(\/.*)?|observation\/(state|proprio)|language_instruction|observation\/(natural_)?language_instruction)$/
      : transform === 'bridge'
        ? /^(action|observation\/state|language_instruction)$/
        : /^(action\/(world_vector|rotation_delta|gripper_closedness_action)|observation\/(base_pose_tool_reached|gripper_closed|natural_language_instruction))$/;
  const unused = Object.entries(raw.steps).filter(([path, { kind }]) => {
    const camera = path.replace(/^observation\//, '').replaceAll('/', '.');
    return !STRUCTURE.has(path) && !(kind === 'image' ? cameras.includes(camera) : used.test(path));
  });
  return Object.fromEntries(
    unused.map(([path, { kind }]) => [
      `steps/${path}`,
      kind === 'image' ? 'not among the cameras' : `not used by the transform ${transform}`,
    ]),
  );
}
