/**
 * An annotation file opened for look-ups by episode: where each episode's value lies, read again when it is wanted. A few dozen bytes an
 * episode in memory, whatever the file's size.
 */
import { type AnnotationEntry, annotationAt, readAnnotations } from './ecot-json-stream.js';

export class AnnotationIndex {
  readonly #places = new Map<string, { readonly offset: number; readonly length: number }>();

  private constructor(readonly file: string) {}

  /** Scans the file once. Throws what `readAnnotations` throws. */
  static open(file: string): AnnotationIndex {
    const index = new AnnotationIndex(file);
    for (const { filePath, episodeId, offset, length } of readAnnotations(file))
      index.#places.set(`${filePath}\0${episodeId}`, { offset, length });
    return index;
  }

  get numEpisodes(): number {
    return this.#places.size;
  }

  /** The episode's entry, or undefined. */
  find(filePath: string, episodeId: string): AnnotationEntry | undefined {
    const place = this.#places.get(`${filePath}\0${episodeId}`);
    return place && { filePath, episodeId, value: annotationAt(this.file, place), ...place };
  }
}
