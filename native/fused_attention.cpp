// dualvla::scaled_masked_softmax(scores, mask, scale): softmax(scores * scale + mask) over the last axis, one pass forward
// and one backward, where libtorch's chain takes a copy of the mask for every head and a softmax that is slow in bfloat16.
// scores [N, R, S]; mask float [1 or N, R, S], or empty for none. A row that the mask forbids entirely becomes 0.
// float32 and bfloat16 scores, arithmetic in float32, CPU. Differentiable once, by the scores.
#include <cstring>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "simd.h"

namespace {

using at::Tensor;
using c10::BFloat16;
using dualvla::exponential;
using dualvla::narrow;
using dualvla::widen;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows are worked on in buffers of P >= S elements, P a multiple of the vector length: short rows, as attention has, would
// otherwise spend most of their time in the scalar rest of each loop.
constexpr int64_t kLanes = 16;
int64_t padded(int64_t S) { return (S + kLanes - 1) / kLanes * kLanes; }

// Row r uses row r % mask_rows of the mask, whose rows have P elements, the padding -inf.
template <typename T>
DUALVLA_INLINE void softmaxForwardLoop(int64_t begin, int64_t end, int64_t S, int64_t P, int64_t mask_rows, float scale,
                                       const T* scores, const float* mask, T* out) {
  std::vector<float> floats(P);
  std::vector<T> values(P);
  float* __restrict line = floats.data();
  T* __restrict row = values.data();
  for (int64_t r = begin; r < end; r++) {
    std::memcpy(row, scores + r * S, sizeof(T) * S);
    const float* __restrict m = mask + (r % mask_rows) * P;
    float top = -__builtin_inff();
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < P; i++) {
      const float x = widen(row[i]) * scale + m[i];
      line[i] = x;
      top = x > top ? x : top;
    }
    if (top == -__builtin_inff()) top = 0;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < P; i++) {
      const float x = exponential(line[i] - top);
      line[i] = x;
      sum += x;
    }
    const float share = sum == 0 ? 0.f : 1.f / sum;
#pragma omp simd
    for (int64_t i = 0; i < P; i++) row[i] = narrow<T>(line[i] * share);
    std::memcpy(out + r * S, row, sizeof(T) * S);
    // What stands in the padding must stay finite, for -inf to hide it.
    std::memset(row + S, 0, sizeof(T) * (P - S));
  }
}
// grad_x = scale p (g - sum(g p))
template <typename T>
DUALVLA_INLINE void softmaxBackwardLoop(int64_t begin, int64_t end, int64_t S, int64_t P, float scale, const T* weights,
                                        const T* grads, T* out) {
  std::vector<T> weightRow(P), gradRow(P);
  T* __restrict p = weightRow.data();
  T* __restrict g = gradRow.data();
  for (int64_t r = begin; r < end; r++) {
    std::memcpy(p, weights + r * S, sizeof(T) * S);
    std::memcpy(g, grads + r * S, sizeof(T) * S);
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < P; i++) dot += widen(p[i]) * widen(g[i]);
#pragma omp simd
    for (int64_t i = 0; i < P; i++) g[i] = narrow<T>(scale * widen(p[i]) * (widen(g[i]) - dot));
    std::memcpy(out + r * S, g, sizeof(T) * S);
  }
}
DUALVLA_SIMD_CLONES void softmaxForwardRun(int64_t b, int64_t e, int64_t S, int64_t P, int64_t n, float scale,
                                           const float* x, const float* m, float* o) {
  softmaxForwardLoop(b, e, S, P, n, scale, x, m, o);
}
DUALVLA_SIMD_CLONES void softmaxForwardRun(int64_t b, int64_t e, int64_t S, int64_t P, int64_t n, float scale,
                                           const BFloat16* x, const float* m, BFloat16* o) {
  softmaxForwardLoop(b, e, S, P, n, scale, x, m, o);
}
DUALVLA_SIMD_CLONES void softmaxBackwardRun(int64_t b, int64_t e, int64_t S, int64_t P, float scale, const float* p,
                                            const float* g, float* o) {
  softmaxBackwardLoop(b, e, S, P, scale, p, g, o);
}
DUALVLA_SIMD_CLONES void softmaxBackwardRun(int64_t b, int64_t e, int64_t S, int64_t P, float scale, const BFloat16* p,
                                            const BFloat16* g, BFloat16* o) {
  softmaxBackwardLoop(b, e, S, P, scale, p, g, o);
}

// Rows a thread takes at a time.
int64_t grain(int64_t S) { return (1 << 14) / (S + 1) + 1; }

struct ScaledMaskedSoftmax : torch::autograd::Function<ScaledMaskedSoftmax> {
  static Tensor forward(AutogradContext* context, const Tensor& scores_, const Tensor& mask_, double scale) {
    at::AutoDispatchBelowADInplaceOrView guard;
    TORCH_CHECK(scores_.device().is_cpu() && mask_.device().is_cpu(), "scaled_masked_softmax: expected tensors on the CPU");
    const bool bf16 = scores_.scalar_type() == at::kBFloat16;
    TORCH_CHECK(bf16 || scores_.scalar_type() == at::kFloat, "scaled_masked_softmax: no kernel for ", scores_.scalar_type());
    const bool masked = mask_.numel() > 0;
    TORCH_CHECK(scores_.dim() == 3 && (!masked || (mask_.dim() == 3 && mask_.size(1) == scores_.size(1) &&
                                                   mask_.size(2) == scores_.size(2) &&
                                                   (mask_.size(0) == 1 || mask_.size(0) == scores_.size(0)))),
                "scaled_masked_softmax: the scores are ", scores_.sizes(), " and the mask ", mask_.sizes());
    const Tensor scores = scores_.contiguous();
    const Tensor out = at::empty_like(scores);
    const int64_t S = scores.size(2);
    const int64_t P = padded(S);
    const int64_t rows = scores.size(0) * scores.size(1);
    const int64_t mask_rows = masked ? mask_.size(0) * mask_.size(1) : 1;
    const Tensor mask = at::full({mask_rows, P}, -std::numeric_limits<float>::infinity(), scores.options().dtype(at::kFloat));
    if (masked) {
      mask.narrow(1, 0, S).copy_(mask_.reshape({mask_rows, S}));
    } else {
      mask.narrow(1, 0, S).zero_();
    }
    const float* m = mask.data_ptr<float>();
    at::parallel_for(0, rows, grain(S), [&](int64_t b, int64_t e) {
      if (bf16) {
        softmaxForwardRun(b, e, S, P, mask_rows, static_cast<float>(scale), scores.data_ptr<BFloat16>(), m,
                          out.data_ptr<BFloat16>());
      } else {
        softmaxForwardRun(b, e, S, P, mask_rows, static_cast<float>(scale), scores.data_ptr<float>(), m,
                          out.data_ptr<float>());
      }
    });
    context->save_for_backward({out});
    context->saved_data["scale"] = scale;
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "scaled_masked_softmax has no second derivative: do not use create_graph");
    const Tensor weights = context->get_saved_variables()[0];
    const Tensor grad = grads[0].contiguous();
    const Tensor out = at::empty_like(weights);
    const float scale = static_cast<float>(context->saved_data["scale"].toDouble());
    const int64_t S = weights.size(2);
    at::parallel_for(0, weights.size(0) * weights.size(1), grain(S), [&](int64_t b, int64_t e) {
      if (weights.scalar_type() == at::kBFloat16) {
        softmaxBackwardRun(b, e, S, padded(S), scale, weights.data_ptr<BFloat16>(), grad.data_ptr<BFloat16>(), out.data_ptr<BFloat16>());
      } else {
        softmaxBackwardRun(b, e, S, padded(S), scale, weights.data_ptr<float>(), grad.data_ptr<float>(), out.data_ptr<float>());
      }
    });
    return {out, Tensor(), Tensor()};
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(dualvla, m) {
  m.def("scaled_masked_softmax(Tensor scores, Tensor mask, float scale) -> Tensor");
}

TORCH_LIBRARY_IMPL(dualvla, CompositeImplicitAutograd, m) {
  m.impl("scaled_masked_softmax", [](const Tensor& scores, const Tensor& mask, double scale) {
    return ScaledMaskedSoftmax::apply(scores, mask, scale);
  });
}
