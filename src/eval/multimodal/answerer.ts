/** What the multimodal families ask of a model. Knows nothing of checkpoints or scoring. */

export interface Answerer {
  /** Side of the pictures it wants, pixels. */
  readonly imageSize: number;
  /** @param images RGB, `imageSize * imageSize * 3` bytes each @returns an answer a question, in order */
  answer(images: readonly Uint8Array[], questions: readonly string[]): string[] | Promise<string[]>;
}
