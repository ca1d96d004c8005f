/** Exact bits of 16 and 8 bit floats against PyTorch's (golden/models/09c_rounding). */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type DType, safetensors, type Tensor, torch } from './index.js';

const path = fileURLToPath(new URL('../../../shared/golden/models/09c_rounding.safetensors', import.meta.url));

describe.skipIf(!existsSync(path))(
  'rounding as in golden/models/09c_rounding (skipped where ../shared/golden is absent)',
  () => {
    const fixture = () => safetensors.open(path);
    const expected = (name: string): number[] => fixture().get(`outputs/${name}`).tolist() as number[];

    /** Input bits (int32 each) as floats of `dtype`. */
    function fromBits(name: string, dtype: DType): Tensor {
      const bits = fixture().get(`inputs/${name}`).data<Int32Array>();
      return torch.from_bytes(dtype === 'float32' ? bits : Uint16Array.from(bits), [bits.length], dtype);
    }

    function bitsOf(x: Tensor): number[] {
      if (x.dtype === 'float32') return Array.from(new Int32Array(x.data<Float32Array>().buffer));
      return Array.from(x.data<Uint16Array>());
    }

    /** Equal bits, with every NaN equal to every other. */
    function expectBits(actual: number[], wanted: number[], isNaNBits: (bits: number) => boolean): void {
      const wrong = wanted.flatMap((bits, i) => {
        const same = actual[i] === bits || (isNaNBits(bits) && isNaNBits(actual[i]!));
        return same ? [] : [`${i}: ${actual[i]?.toString(16)} instead of ${bits.toString(16)}`];
      });
      expect(actual.length).toBe(wanted.length);
      expect(wrong).toEqual([]);
    }

    const isNaNBfloat16 = (bits: number): boolean => (bits & 0x7fff) > 0x7f80;

    it('float32 to bfloat16 and back', () => {
      const x = fromBits('float32_bits', 'float32');
      expectBits(bitsOf(x.to('bfloat16')), expected('bfloat16_bits'), isNaNBfloat16);
      const back = expected('bfloat16_back_to_float32_bits');
      expectBits(bitsOf(x.to('bfloat16').to('float32')), back, (bits) => (bits & 0x7fffffff) > 0x7f800000);
    });

    it('float32 to float16', () => {
      const x = fromBits('float32_bits', 'float32');
      expectBits(bitsOf(x.to('float16')), expected('float16_bits'), (bits) => (bits & 0x7fff) > 0x7c00);
    });

    it('float32 to float8_e5m2 where the engine has it, an error where not', () => {
      const x = fromBits('float32_bits', 'float32');
      if (!torch.has_dtype('float8_e5m2')) {
        expect(() => x.to('float8_e5m2')).toThrow(/does not have/);
        return;
      }
      const bits = Array.from(x.to('float8_e5m2').data<Uint8Array>());
      expectBits(bits, expected('float8_e5m2_bits'), (value) => (value & 0x7f) > 0x7c);
    });

    it.each<[string, (a: Tensor, b: Tensor) => Tensor, ulps: number]>([
      ['add', (a, b) => a.add(b), 0],
      ['sub', (a, b) => a.sub(b), 0],
      ['mul', (a, b) => a.mul(b), 0],
      ['div', (a, b) => a.div(b), 0],
      ['mul_then_add', (a, b) => a.mul(b).add(a), 0],
      ['square_root_of_abs', (a) => a.abs().sqrt(), 0],
      ['silu', (a) => torch.silu(a), 1],
      ['gelu_erf', (a) => torch.gelu(a), 1],
      ['softmax_last_axis_20x20', (a) => a.view([20, 20]).softmax(-1), 1],
    ])('bfloat16 %s', (name, compute, ulps) => {
      const actual = bitsOf(
        compute(fromBits('bf16_a_bits', 'bfloat16'), fromBits('bf16_b_bits', 'bfloat16')).flatten(),
      );
      const wanted = expected(`bf16_${name}_bits`);
      if (ulps === 0) {
        expectBits(actual, wanted, isNaNBfloat16);
      } else {
        // The fixture allows one bit where the float32 function underneath differs between versions.
        const far = wanted.filter((bits, i) => !(Math.abs(actual[i]! - bits) <= ulps) && !isNaNBfloat16(bits));
        expect(far).toEqual([]);
      }
    });
  },
);
