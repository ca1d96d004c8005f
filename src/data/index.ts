/** Data sets of robot episodes: the Episode type, LeRobot v3.0 reading and writing, statistics, action chunks, the training loader. */
export * from './action-chunk.js';
export { type ConvertOptions, type ConvertSummary, convertDataset } from './convert.js';
export { type DatasetPart, mergeDatasets, partsByShare, splitDataset } from './convert-edit.js';
export { type EpisodeSource, leRobotSource, type SourceEpisode } from './convert-source.js';
export * from './dataset-info.js';
export { numericDatasetStats } from './dataset-stats.js';
export * from './ecot.js';
export { AnnotationIndex } from './ecot-index.js';
export { type AnnotationEntry, readAnnotations, rewriteAnnotations } from './ecot-json-stream.js';
export * from './episode.js';
export * from './errors.js';
export * from './features.js';
export {
  downloadHubDataset,
  type HubDatasetId,
  type HubDownloadOptions,
  type HubSnapshot,
  hubIdText,
  parseHubId,
} from './hub-dataset.js';
export { decodeImage, encodePng, encodePngs, resizePixels } from './image-codec.js';
export * from './language.js';
export { LeRobotDataset, parquetPaths, pictureSize, type ReadEpisodeOptions } from './lerobot-dataset.js';
export type { EpisodeRecord, VideoLocation } from './lerobot-metadata-files.js';
export { LeRobotV2Dataset, leRobotV2Source, leRobotVersion } from './lerobot-v2.js';
export { type AddEpisodeOptions, type EncodedFrames, LeRobotWriter, PROVENANCE_FILE } from './lerobot-writer.js';
export * from './loader.js';
export type { LoaderEpisode, LoaderTable, StateStats } from './loader-table.js';
export * from './multimodal-dataset.js';
export * from './multimodal-loader.js';
export * from './multimodal-tsv.js';
export { repairDataset } from './repair-dataset.js';
export { isRlds, RldsDataset } from './rlds-dataset.js';
export type { RldsColumn, RldsEpisode } from './rlds-episode.js';
export { type RldsSourceOptions, rldsSource } from './rlds-source.js';
export * from './rlds-transforms.js';
export * from './statistics.js';
export { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';
export { frameTfRecord, readTfRecords, type TfRecord } from './tfrecord.js';
export { decodeExample, type Example, type ExampleValue, encodeExample } from './tfrecord-example.js';
export {
  type DatasetProblem,
  type ValidateOptions,
  type ValidationReport,
  validateDataset,
} from './validate-dataset.js';
export {
  type Checksum,
  downloadVerified,
  fetchPatiently,
  type Patience,
  type VerifiedDownload,
} from './verified-download.js';
export { concatVideos, decodeVideo, encodeVideo, probeVideo, type VideoCodecOptions } from './video.js';
export * from './vla-it.js';
export { type DatasetState, datasetState, partialFolder } from './writer-folder.js';
export type { JsonValue } from './writer-journal.js';
export type { LeRobotWriterOptions } from './writer-options.js';
