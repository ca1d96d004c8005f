// dualvla::rope(x_BTHE, cos, sin): rotary positions (Su et al. 2021), halves layout, result [B, H, T, E], one pass for the CPU.
// float32 and bfloat16, arithmetic in float32. Differentiable once. Other devices use the chain, see functional.ts.
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "fused.h"

namespace {

using at::Tensor;
using c10::BFloat16;
using dualvla::byType;
using dualvla::checkInput;
using dualvla::checkOnce;
using dualvla::kGrain;
using dualvla::narrow;
using dualvla::widen;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// ---- rope: out[b,h,t] = [x1 cos1 - x2 sin1, x2 cos2 + x1 sin2] with x1, x2 the halves of x[b,t,h].
// The backward pass is the transposed rotation, read from [B,H,T,E] and written to [B,T,H,E].

struct RopeShape {
  int64_t B, T, H, E;
  int64_t angle_batch;  // stride of cos and sin between batch items: 0 if shared
};

template <bool kBackward, typename T>
DUALVLA_INLINE void ropeRow(int64_t half, const T* __restrict x, const float* __restrict cos, const float* __restrict sin,
                            T* __restrict out) {
#pragma omp simd
  for (int64_t i = 0; i < half; i++) {
    const float a = widen(x[i]);
    const float b = widen(x[i + half]);
    if constexpr (kBackward) {
      out[i] = narrow<T>(a * cos[i] + b * sin[i + half]);
      out[i + half] = narrow<T>(b * cos[i + half] - a * sin[i]);
    } else {
      out[i] = narrow<T>(a * cos[i] - b * sin[i]);
      out[i + half] = narrow<T>(b * cos[i + half] + a * sin[i + half]);
    }
  }
}
// Works through the (b, t) pairs from `begin` to `end`.
template <bool kBackward, typename T>
DUALVLA_INLINE void ropeLoop(const RopeShape& s, int64_t begin, int64_t end, const T* x, const float* cos,
                             const float* sin, T* out) {
  for (int64_t bt = begin; bt < end; bt++) {
    const int64_t b = bt / s.T;
    const int64_t t = bt % s.T;
    const int64_t angle = b * s.angle_batch + t * s.E;
    for (int64_t h = 0; h < s.H; h++) {
      const int64_t interleaved = (bt * s.H + h) * s.E;
      const int64_t headed = ((b * s.H + h) * s.T + t) * s.E;
      ropeRow<kBackward>(s.E / 2, x + (kBackward ? headed : interleaved), cos + angle, sin + angle,
                         out + (kBackward ? interleaved : headed));
    }
  }
}
DUALVLA_SIMD_CLONES void ropeForwardRun(const RopeShape& s, int64_t b, int64_t e, const float* x, const float* c,
                                        const float* n, float* o) {
  ropeLoop<false>(s, b, e, x, c, n, o);
}
DUALVLA_SIMD_CLONES void ropeForwardRun(const RopeShape& s, int64_t b, int64_t e, const BFloat16* x, const float* c,
                                        const float* n, BFloat16* o) {
  ropeLoop<false>(s, b, e, x, c, n, o);
}
DUALVLA_SIMD_CLONES void ropeBackwardRun(const RopeShape& s, int64_t b, int64_t e, const float* x, const float* c,
                                         const float* n, float* o) {
  ropeLoop<true>(s, b, e, x, c, n, o);
}
DUALVLA_SIMD_CLONES void ropeBackwardRun(const RopeShape& s, int64_t b, int64_t e, const BFloat16* x, const float* c,
                                         const float* n, BFloat16* o) {
  ropeLoop<true>(s, b, e, x, c, n, o);
}

struct Rope : torch::autograd::Function<Rope> {
  static Tensor forward(AutogradContext* context, const Tensor& x_, const Tensor& cos_, const Tensor& sin_) {
    at::AutoDispatchBelowADInplaceOrView guard;
    checkInput("rope", x_);
    const bool batched = cos_.dim() == 3;
    TORCH_CHECK(x_.dim() == 4 && x_.size(3) % 2 == 0 && cos_.sizes() == sin_.sizes() && (batched || cos_.dim() == 2) &&
                    cos_.size(-1) == x_.size(3) && cos_.size(-2) == x_.size(1) && (!batched || cos_.size(0) == x_.size(0)),
                "rope: the input is ", x_.sizes(), " (batch, tokens, heads, an even size), cos ", cos_.sizes(), " and sin ",
                sin_.sizes(), "; expected cos and sin [tokens, size] or [batch, tokens, size]");
    const Tensor x = x_.contiguous();
    const Tensor cos = cos_.to(at::kFloat).contiguous();
    const Tensor sin = sin_.to(at::kFloat).contiguous();
    const RopeShape s{x.size(0), x.size(1), x.size(2), x.size(3), batched ? x.size(1) * x.size(3) : 0};
    const Tensor out = at::empty({s.B, s.H, s.T, s.E}, x.options());
    byType(x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, s.B * s.T, kGrain / (s.H * s.E + 1) + 1, [&](int64_t b, int64_t e) {
        ropeForwardRun(s, b, e, x.data_ptr<T>(), cos.data_ptr<float>(), sin.data_ptr<float>(), out.data_ptr<T>());
      });
    });
    context->save_for_backward({cos, sin});
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    checkOnce("rope");
    const auto saved = context->get_saved_variables();
    const Tensor& cos = saved[0];
    const Tensor& sin = saved[1];
    const Tensor grad = grads[0].contiguous();
    const RopeShape s{grad.size(0), grad.size(2), grad.size(1), grad.size(3),
                      cos.dim() == 3 ? grad.size(2) * grad.size(3) : 0};
    const Tensor out = at::empty({s.B, s.T, s.H, s.E}, grad.options());
    byType(grad, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, s.B * s.T, kGrain / (s.H * s.E + 1) + 1, [&](int64_t b, int64_t e) {
        ropeBackwardRun(s, b, e, grad.data_ptr<T>(), cos.data_ptr<float>(), sin.data_ptr<float>(), out.data_ptr<T>());
      });
    });
    return {out, Tensor(), Tensor()};
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(dualvla, m) { m.def("rope(Tensor self, Tensor cos, Tensor sin) -> Tensor"); }

// One kernel for both: `apply` records the graph only where gradients are wanted.
TORCH_LIBRARY_IMPL(dualvla, CompositeImplicitAutograd, m) {
  m.impl("rope", [](const Tensor& x, const Tensor& cos, const Tensor& sin) { return Rope::apply(x, cos, sin); });
}
