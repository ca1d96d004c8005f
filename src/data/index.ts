/** Data sets of robot episodes: the Episode type, LeRobot v3.0 reading and writing, statistics, action chunks, the training loader. */
export * from './action-chunk.js';
export * from './dataset-info.js';
export * from './episode.js';
export * from './errors.js';
export * from './features.js';
export { decodeImage, encodePng, encodePngs, resizePixels } from './image-codec.js';
export * from './language.js';
export { LeRobotDataset, parquetPaths, pictureSize, type ReadEpisodeOptions } from './lerobot-dataset.js';
export type { EpisodeRecord, VideoLocation } from './lerobot-metadata-files.js';
export { type AddEpisodeOptions, LeRobotWriter, PROVENANCE_FILE } from './lerobot-writer.js';
export * from './loader.js';
export type { LoaderEpisode, LoaderTable, StateStats } from './loader-table.js';
export * from './multimodal-dataset.js';
export * from './multimodal-loader.js';
export * from './multimodal-tsv.js';
export * from './statistics.js';
export { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';
export {
  type DatasetProblem,
  type ValidateOptions,
  type ValidationReport,
  validateDataset,
} from './validate-dataset.js';
export { concatVideos, decodeVideo, encodeVideo, probeVideo, type VideoCodecOptions } from './video.js';
export { type DatasetState, datasetState, partialFolder } from './writer-folder.js';
export type { JsonValue } from './writer-journal.js';
export type { LeRobotWriterOptions } from './writer-options.js';
