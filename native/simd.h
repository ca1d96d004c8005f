// Helpers for loops that the compiler vectorises: function versions for the vector units of x86 processors, chosen when
// the addon is loaded (elsewhere the compiler's baseline serves; NEON is part of it on ARM), and bfloat16 conversions that
// stay inline in them.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <c10/util/BFloat16.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define DUALVLA_SIMD_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
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

}  // namespace dualvla
