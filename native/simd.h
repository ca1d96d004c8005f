// Helpers for loops that the compiler vectorises: function versions for the vector units of x86 processors, chosen when
// the addon is loaded (elsewhere the compiler's baseline serves; NEON is part of it on ARM), and bfloat16 conversions that
// stay inline in them.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <c10/util/BFloat16.h>

#if defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__)
#define DUALVLA_SIMD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DUALVLA_SIMD_CLONES
#endif
// What a loop calls must be inlined into each version, else the call stops its vectorisation.
#define DUALVLA_INLINE inline __attribute__((always_inline))

namespace dualvla {

DUALVLA_INLINE float widen(float x) { return x; }

DUALVLA_INLINE float widen(c10::BFloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.x) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof(out));
  return out;
}

// Rounds to nearest, ties to even; NaN stays NaN.
template <typename T>
DUALVLA_INLINE T narrow(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    c10::BFloat16 out;
    out.x = static_cast<uint16_t>(x != x ? 0x7fc0u : rounded);
    return out;
  }
}

// e^x to about 1e-7 of the result; below -87.3 it is 0, above 88.3 it stays e^88.3. NaN stays NaN.
// Cephes' polynomial after the reduction x = n ln 2 + r.
DUALVLA_INLINE float exponential(float x) {
  const float clamped = x > 88.3f ? 88.3f : x;
  // Adding 1.5 * 2^23 rounds to the nearest integer, which then stands in the low bits.
  const float shifted = clamped * 1.44269504f + 12582912.f;
  const float n = shifted - 12582912.f;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits + 127u) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  return x < -87.3f ? 0.f : p * scale;
}

}  // namespace dualvla
