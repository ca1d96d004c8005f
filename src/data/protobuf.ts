/**
 * The wire format of protocol buffers, as far as messages of bytes, floats and integers need it (protobuf.dev, Encoding): varints, 32- and
 * 64-bit fields, length-delimited fields.
 *
 * Every length is checked against what is left before it is used. Errors are plain and name the byte; the caller adds the file.
 * Knows no message types.
 */

export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export class ProtobufReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The next field's number and wire type. */
  tag(): { readonly field: number; readonly wire: number } {
    const tag = this.#length('a tag');
    if (tag < 8) throw this.#error('field number 0');
    return { field: tag >>> 3, wire: tag & 7 };
  }

  /** A length-delimited field's bytes: a view. */
  bytes(wire: number): Uint8Array {
    if (wire !== WIRE.bytes) throw this.#error(`wire type ${wire} where bytes belong`);
    const length = this.#length('a length');
    const end = this.#at + length;
    if (end > this.#bytes.length) throw this.#error(`${length} bytes announced, ${this.#bytes.length - this.#at} left`);
    const result = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return result;
  }

  /** A varint as a signed 64-bit integer; negative ones take ten bytes. */
  int64(): bigint {
    let low = 0;
    for (let i = 0; i < 4; i++) {
      const byte = this.#byte();
      low |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw this.#error('an integer of more than ten bytes');
  }

  float32(): number {
    if (this.#at + 4 > this.#bytes.length) throw this.#error('a number is cut off');
    const value = this.#view.getFloat32(this.#at, true);
    this.#at += 4;
    return value;
  }

  /** Passes over a field of any kind. */
  skip(wire: number): void {
    if (wire === WIRE.varint) this.int64();
    else if (wire === WIRE.bytes) this.bytes(wire);
    else if (wire === WIRE.fixed32 || wire === WIRE.fixed64) {
      this.#at += wire === WIRE.fixed32 ? 4 : 8;
      if (this.#at > this.#bytes.length) throw this.#error('a number is cut off');
    } else throw this.#error(`unknown wire type ${wire}`);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw this.#error('the message ends within a number');
    this.#at++;
    return byte;
  }

  /** A varint below 2^31. */
  #length(what: string): number {
    const value = this.int64();
    if (value < 0n || value > 0x7fff_ffffn) throw this.#error(`${what} of ${value}`);
    return Number(value);
  }

  #error(what: string): Error {
    return new Error(`${what} at byte ${this.#at} of ${this.#bytes.length}`);
  }
}

/** A message under construction. */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = [];

  /** A length-delimited field. */
  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint(BigInt(field * 8 + WIRE.bytes)), varint(BigInt(value.length)), value);
    return this;
  }

  /** Varints in one packed field. */
  packedInt64(field: number, values: Iterable<bigint>): this {
    return this.bytes(field, join(Array.from(values, varint)));
  }

  /** 32-bit floats in one packed field. */
  packedFloat(field: number, values: ArrayLike<number>): this {
    const packed = new Uint8Array(values.length * 4);
    const view = new DataView(packed.buffer);
    for (let i = 0; i < values.length; i++) view.setFloat32(i * 4, values[i] as number, true);
    return this.bytes(field, packed);
  }

  finish(): Uint8Array {
    return join(this.#parts);
  }
}

/** Bytes of a varint; negative numbers as 64-bit two's complement. */
export function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
