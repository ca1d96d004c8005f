/**
 * Dual retrieval (the paper's Sec. 3.3): the text embedding of the instruction picks the task of a knowledge base, the image embedding of the scene the most
 * similar marked trajectories of that task; they are shown to the judge as examples.
 */
import { type ImageEmbedder, normalized, similarity, type TextEmbedder } from './embedding.js';
import { cutStrip, filmStrip } from './film-strip.js';
import type { MarkedExample } from './judge-request.js';
import { quoted } from './judge-request.js';
import { type BaseEntry, type KnowledgeBase, KnowledgeBaseError } from './knowledge-base.js';
import type { Picture, Rollout } from './rollout.js';
import type { ExampleSource } from './vlm-judge.js';

export interface DualRetrievalOptions {
  readonly base: KnowledgeBase;
  readonly text: TextEmbedder;
  readonly image: ImageEmbedder;
  /** Examples for a rollout; default 1, as in the paper. */
  readonly count?: number;
}

/** What was found for a rollout, the most similar first. */
export interface Retrieved {
  readonly task: string;
  /** Of the instruction to the task's nearest one. */
  readonly textSimilarity: number;
  readonly cases: readonly { readonly entry: BaseEntry; readonly imageSimilarity: number }[];
}

export class DualRetrieval implements ExampleSource {
  readonly count: number;
  readonly #options: DualRetrievalOptions;
  readonly #entries: readonly BaseEntry[];
  #texts: Promise<Map<string, Float32Array>> | undefined;
  readonly #scenes = new Map<string, Promise<Float32Array>>();

  /** @throws KnowledgeBaseError for an empty base */
  constructor(options: DualRetrievalOptions) {
    this.#options = options;
    this.#entries = options.base.entries;
    this.count = options.count ?? 1;
    if (this.#entries.length === 0) throw new KnowledgeBaseError(`${options.base.folder} holds no trajectory`);
  }

  get name(): string {
    const { base, text, image } = this.#options;
    return `${this.count} of ${this.#entries.length} (${base.hash}) by ${text.name} and ${image.name}`;
  }

  async examplesFor(rollout: Rollout): Promise<MarkedExample[]> {
    const { cases } = await this.retrieve(rollout);
    return Promise.all(
      cases.map(async ({ entry }) => ({
        id: entry.id,
        text: exampleText(entry),
        strip: await this.#options.base.strip(entry.id),
      })),
    );
  }

  /** The task, then the cases: those of policies of the rollout's kind (reasoning or not), others only where the task has none. */
  async retrieve(rollout: Rollout): Promise<Retrieved> {
    const { task, textSimilarity } = await this.#taskOf(rollout.instruction);
    const ofTask = this.#entries.filter((entry) => entry.task === task && entry.source !== rollout.id);
    const ofKind = ofTask.filter(({ reasons }) => reasons === rollout.reasons);
    const scene = await this.#embedScene(await filmStrip(rollout));
    const ranked = await Promise.all(
      (ofKind.length > 0 ? ofKind : ofTask).map(async (entry) => ({
        entry,
        imageSimilarity: similarity(scene, await this.#sceneOf(entry)),
      })),
    );
    ranked.sort((a, b) => b.imageSimilarity - a.imageSimilarity || a.entry.id.localeCompare(b.entry.id));
    return { task, textSimilarity, cases: ranked.slice(0, this.count) };
  }

  async #taskOf(instruction: string): Promise<{ task: string; textSimilarity: number }> {
    const { text } = this.#options;
    const instructions = [...new Set(this.#entries.map((entry) => entry.instruction))];
    this.#texts ??= text
      .embed(instructions)
      .then((vectors) => new Map(instructions.map((one, i) => [one, vectors[i] as Float32Array])));
    const known = await this.#texts;
    const [wanted] = (await text.embed([instruction])) as [Float32Array];
    let best = { task: '', textSimilarity: Number.NEGATIVE_INFINITY };
    for (const entry of this.#entries) {
      const near = similarity(wanted, known.get(entry.instruction) as Float32Array);
      if (near > best.textSimilarity) best = { task: entry.task, textSimilarity: near };
    }
    return best;
  }

  #sceneOf({ id }: BaseEntry): Promise<Float32Array> {
    let scene = this.#scenes.get(id);
    if (scene === undefined) {
      scene = this.#options.base.strip(id).then((strip) => this.#embedScene(strip));
      this.#scenes.set(id, scene);
    }
    return scene;
  }

  /** Mean of beginning, middle and end. */
  async #embedScene(strip: Picture): Promise<Float32Array> {
    const pictures = cutStrip(strip).filter((_, i) => i % 2 === 0);
    const vectors = await this.#options.image.embed(pictures);
    const sum = new Float32Array((vectors[0] as Float32Array).length);
    for (const vector of vectors)
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (vector[i] as number);
    return normalized(sum);
  }
}

/** What a thought is about and what it is about to do; of a text without those fields, its beginning. */
function gist(thought: string): string {
  const field = (tag: string): string | undefined => new RegExp(`^${tag}: ?(.*)$`, 'm').exec(thought)?.[0];
  const said = [field('SUBTASK'), field('MOVE')].filter((line) => line !== undefined);
  return (said.length > 0 ? said.join('; ') : thought).slice(0, 160);
}

/** An example in words; the strip goes beside it. */
export function exampleText({ instruction, reasons, thoughts, marks, why }: BaseEntry): string {
  const whole = (value: number): number => Math.round(value);
  const result = reasons
    ? {
        Reasoning: whole(marks.R ?? 0),
        Action: whole(marks.A),
        Intention: whole(marks.I),
        Alignment: whole(marks.RA ?? 0),
      }
    : { Action: whole(marks.A), Intention: whole(marks.I) };
  const said = reasons
    ? ` Thoughts then: ${thoughts.map((thought) => (thought === null ? 'none' : quoted(gist(thought)))).join('; ')}.`
    : '';
  return `Task: ${quoted(instruction)}. Five pictures side by side: beginning, a quarter, the middle, three quarters, end.${said} Marks: ${JSON.stringify(result)}. Why: ${why}`;
}
