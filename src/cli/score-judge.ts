/** Options of the verbs that judge, and the judge that they name. */
import type { Command } from 'commander';
import type { ChatEndpoint } from '../eval/benchmarks/chat-endpoint.js';
import type { ImageEmbedder, TextEmbedder } from '../score/embedding.js';
import type { RolloutJudge } from '../score/score-rollouts.js';
import type { ExampleSource, VlmJudge } from '../score/vlm-judge.js';
import { type EndpointFlags, endpointOf, parsePrice } from './endpoint-options.js';
import { UsageError } from './errors.js';
import { wholeNumber } from './options.js';

export interface JudgeFlags extends EndpointFlags {
  judge: string;
  keyEnv: string;
  concurrency: number;
  tokenBudget: number;
  tokensPerPicture: number;
  pictureSide: number;
  repeats: number;
  temperature: number;
  maxTokens: number;
  asks: number;
  base?: string;
  examples: number;
  textEmbedding: string;
  imageEmbedding: string;
  embeddingKeyEnv: string;
  device: string;
}

/** A judge, and the endpoint that it asks, if it asks one. */
export interface NamedJudge {
  readonly judge: RolloutJudge;
  readonly vlm?: VlmJudge;
  readonly endpoint?: ChatEndpoint;
}

export const isEndpoint = (judge: string): boolean => judge !== 'rule';

/** Adds the options of judges. */
export function withJudgeOptions(command: Command): Command {
  return command
    .option('--judge <who>', 'rule, or model@url of an OpenAI-compatible chat endpoint that sees pictures', 'rule')
    .option('--key-env <name>', "environment variable with the endpoint's key", 'OPENAI_API_KEY')
    .option('--concurrency <n>', 'questions at once', wholeNumber(1), 4)
    .option('--requests-per-minute <n>', 'at most', wholeNumber(1))
    .option('--retries <n>', 'further tries of a request', wholeNumber(), 5)
    .option('--timeout <seconds>', 'of a request', wholeNumber(1), 180)
    .option('--price <prompt,reply>', 'of a million tokens, to estimate and count the cost', parsePrice)
    .option('--token-budget <n>', 'tokens of a question; decides how many pictures are shown', wholeNumber(500), 12_000)
    .option('--tokens-per-picture <n>', 'what the model counts a picture for', wholeNumber(1), 260)
    .option('--picture-side <n>', 'longer side of the pictures', wholeNumber(32), 256)
    .option('--repeats <n>', 'judgements of each rollout, with their spread', wholeNumber(1), 1)
    .option('--temperature <t>', 'of the judge', parseTemperature, 0)
    .option('--max-tokens <n>', 'longest reply', wholeNumber(50), 1_000)
    .option('--asks <n>', 'times a question is asked until its reply can be used', wholeNumber(1), 3)
    .option('--base <dir>', 'knowledge base of marked examples (the one that ships)')
    .option('--examples <n>', 'marked examples a question; 0: none', wholeNumber(), 1)
    .option(
      '--text-embedding <who>',
      'hashed-ngrams, clip:DIR, or model@url of an embeddings endpoint',
      'hashed-ngrams',
    )
    .option('--image-embedding <who>', 'colour-grid, checkpoint:PATH, or clip:DIR', 'colour-grid')
    .option('--embedding-key-env <name>', "environment variable with the embeddings endpoint's key", 'OPENAI_API_KEY')
    .option('--device <name>', 'of learned embeddings: cpu, cuda ...', 'cpu');
}

function parseTemperature(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 2) || text.trim() === '')
    throw new UsageError(`'${text}' is no temperature from 0 to 2`);
  return value;
}

/** The judge that --judge names. @param audit where its exchanges are kept */
export async function judgeOf(flags: JudgeFlags, audit: string | undefined, signal?: AbortSignal): Promise<NamedJudge> {
  const { ruleRolloutJudge } = await import('../score/score-rollouts.js');
  if (!isEndpoint(flags.judge)) return { judge: ruleRolloutJudge() };
  const endpoint = await endpointOf(flags.judge, flags, flags.keyEnv);
  if (!endpoint) {
    throw new UsageError(
      `--judge: '${flags.judge}' is neither rule nor model@url of an endpoint (qwen-vl@http://localhost:8000/v1)`,
    );
  }
  const { VlmJudge } = await import('../score/vlm-judge.js');
  const { tokenBudget, tokensPerPicture, pictureSide, repeats, temperature, maxTokens, asks } = flags;
  const examples = await examplesOf(flags, signal);
  const vlm = new VlmJudge({
    endpoint,
    ...{ tokenBudget, tokensPerPicture, pictureSide, repeats, temperature, maxTokens, asks },
    ...(audit === undefined ? {} : { audit }),
    ...(examples ? { examples } : {}),
    ...(signal ? { signal } : {}),
  });
  return { judge: vlm, vlm, endpoint };
}

async function examplesOf(flags: JudgeFlags, signal: AbortSignal | undefined): Promise<ExampleSource | undefined> {
  if (flags.examples === 0) return undefined;
  const { EMBEDDED_BASE } = await import('../score/embedded-base.js');
  const { KnowledgeBase } = await import('../score/knowledge-base.js');
  const { DualRetrieval } = await import('../score/dual-retrieval.js');
  const base = KnowledgeBase.open(flags.base ?? EMBEDDED_BASE);
  const [text, image] = [await textEmbedder(flags, signal), await imageEmbedder(flags)];
  return new DualRetrieval({ base, text, image, count: flags.examples });
}

async function textEmbedder(flags: JudgeFlags, signal: AbortSignal | undefined): Promise<TextEmbedder> {
  const { HashedTextEmbedder, EndpointTextEmbedder } = await import('../score/embedding.js');
  const who = flags.textEmbedding;
  if (who === 'hashed-ngrams') return new HashedTextEmbedder();
  if (who.startsWith('clip:')) return (await clipOf(who, flags.device)).text;
  const endpoint = await endpointOf(who, flags, flags.embeddingKeyEnv);
  if (endpoint) return new EndpointTextEmbedder(endpoint, signal);
  throw new UsageError(`--text-embedding: '${who}' is none of hashed-ngrams, clip:DIR, model@url`);
}

async function imageEmbedder({ imageEmbedding: who, device }: JudgeFlags): Promise<ImageEmbedder> {
  const { GridImageEmbedder } = await import('../score/embedding.js');
  if (who === 'colour-grid') return new GridImageEmbedder();
  if (who.startsWith('clip:')) return (await clipOf(who, device)).image;
  if (who.startsWith('checkpoint:')) {
    const { checkpointImageEmbedder } = await import('../score/embedding-models.js');
    return checkpointImageEmbedder(who.slice('checkpoint:'.length), device);
  }
  throw new UsageError(`--image-embedding: '${who}' is none of colour-grid, checkpoint:PATH, clip:DIR`);
}

async function clipOf(who: string, device: string) {
  const { clipEmbedders } = await import('../score/embedding-models.js');
  return clipEmbedders(who.slice('clip:'.length), device);
}
