/** Chat endpoints on the command line: `model@url`, its price, and how patiently it is asked. */
import type { ChatEndpoint } from '../eval/benchmarks/chat-endpoint.js';
import { UsageError } from './errors.js';

export interface EndpointFlags {
  requestsPerMinute?: number;
  retries: number;
  /** Seconds. */
  timeout: number;
  /** Of a million tokens. */
  price?: { prompt: number; reply: number };
}

/** `2.5,10`: prices of a million tokens of the question and of the reply. @throws UsageError */
export function parsePrice(text: string): { prompt: number; reply: number } {
  const [prompt, reply, more] = text.split(',').map(Number);
  if (prompt === undefined || reply === undefined || more !== undefined || !(prompt >= 0) || !(reply >= 0)) {
    throw new UsageError(
      `--price: '${text}' is not two prices; write 2.5,10: a million tokens of the question, of the reply`,
    );
  }
  return { prompt, reply };
}

/** The endpoint that `who` names, its key from the environment; undefined where it is no `model@url`. */
export async function endpointOf(
  who: string,
  { retries, timeout, requestsPerMinute, price }: EndpointFlags,
  keyEnv: string,
): Promise<ChatEndpoint | undefined> {
  const { ChatEndpoint, parseModelAtUrl } = await import('../eval/benchmarks/chat-endpoint.js');
  const at = parseModelAtUrl(who);
  if (!at) return undefined;
  const apiKey = process.env[keyEnv];
  return new ChatEndpoint({
    ...at,
    retries,
    timeoutMs: 1000 * timeout,
    ...(apiKey ? { apiKey } : {}),
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(price ? { price } : {}),
  });
}
