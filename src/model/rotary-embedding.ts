/**
 * Angles of the rotary position embedding (RoPE, arXiv 2104.09864) in the "rotate half" layout of Llama and Qwen2 checkpoints:
 * the pair of coordinate i < d/2 is i + d/2, and F.rope turns (a, b) into (a cos - b sin, b cos + a sin). Angles are float32,
 * as in the released models, whatever the activations are.
 *
 * Knows nothing about attention or about where positions come from.
 *
 * Shapes: B batch, S sequence, d head width, h = d/2.
 */
import { type Tensor, torch } from '../torch/index.js';

/** cos and sin for F.rope: [S, d] for positions shared by the batch, [B, S, d] otherwise; both halves of d are the same. */
export interface RotaryAngles {
  cos: Tensor;
  sin: Tensor;
}

/** cos and sin of position * theta^(-2i/d), i < d/2; a table for 0, 1, 2 ... is built once and grows on demand. */
export class RotaryEmbedding {
  #table: (RotaryAngles & { length: number; device: string }) | undefined;

  constructor(
    readonly headDim: number,
    readonly theta: number,
  ) {
    if (headDim % 2 !== 0) throw new RangeError(`RoPE needs an even head width, got ${headDim}`);
  }

  /** Angles of the positions start .. start + length - 1, shared by the batch. */
  range(start: number, length: number, device: string): RotaryAngles {
    if (this.#table === undefined || this.#table.device !== device || this.#table.length < start + length) {
      this.#table?.cos.dispose();
      this.#table?.sin.dispose();
      const tableLength = 2 ** Math.ceil(Math.log2(Math.max(64, start + length)));
      const { cos, sin } = this.at(torch.arange(tableLength, { dtype: 'float32', device }));
      this.#table = { cos: cos.keep(), sin: sin.keep(), length: tableLength, device };
    }
    const { cos, sin } = this.#table;
    return { cos: cos.narrow(0, start, length), sin: sin.narrow(0, start, length) };
  }

  /** Angles of explicit positions [B, S] (left padding, packed sequences) or [S]. */
  at(positions: Tensor): RotaryAngles {
    const { device } = positions;
    const exponent_h = torch.arange(0, this.headDim, 2, { dtype: 'float32', device }).div(this.headDim);
    const frequency_h = torch
      .full([this.headDim / 2], this.theta, { device })
      .pow(exponent_h)
      .reciprocal();
    const angle_h = positions.to('float32').unsqueeze(-1).mul(frequency_h);
    const angle = torch.cat([angle_h, angle_h], -1);
    return { cos: angle.cos(), sin: angle.sin() };
  }
}
