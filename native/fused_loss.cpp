// dualvla::cross_entropy_rows(logits, target, ignore_index) -> (losses, log_sum_exp): cross entropy of each row, one pass
// forward and one backward over the logits, without keeping log-probabilities:
//   loss[n] = log(sum_v exp(logits[n,v])) - logits[n,target[n]], 0 where target[n] == ignore_index
// float32 and bfloat16 logits, arithmetic in float32, CPU. Differentiable once.
#include <cmath>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "fused.h"

namespace {

using at::Tensor;
using c10::BFloat16;
using dualvla::byType;
using dualvla::exponential;
using dualvla::narrow;
using dualvla::widen;

template <typename T>
DUALVLA_INLINE float logSumExpLoop(int64_t V, const T* __restrict x) {
  float top = -__builtin_inff();
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < V; i++) top = widen(x[i]) > top ? widen(x[i]) : top;
  if (!(top > -__builtin_inff() && top < __builtin_inff())) {
    // Infinite or all NaN: no such logarithm. (A NaN among finite logits shows in the sum below.)
    return __builtin_nanf("");
  }
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < V; i++) sum += exponential(widen(x[i]) - top);
  return top + std::log(sum);
}
// out = (softmax(x) - [i == target]) * scale; the target's own part is subtracted by the caller.
template <typename T>
DUALVLA_INLINE void softmaxGradLoop(int64_t V, const T* __restrict x, float lse, float scale, T* __restrict out) {
#pragma omp simd
  for (int64_t i = 0; i < V; i++) out[i] = narrow<T>(exponential(widen(x[i]) - lse) * scale);
}
DUALVLA_SIMD_CLONES float logSumExpRun(int64_t V, const float* x) { return logSumExpLoop(V, x); }
DUALVLA_SIMD_CLONES float logSumExpRun(int64_t V, const BFloat16* x) { return logSumExpLoop(V, x); }
DUALVLA_SIMD_CLONES void softmaxGradRun(int64_t V, const float* x, float lse, float scale, float* out) {
  softmaxGradLoop(V, x, lse, scale, out);
}
DUALVLA_SIMD_CLONES void softmaxGradRun(int64_t V, const BFloat16* x, float lse, float scale, BFloat16* out) {
  softmaxGradLoop(V, x, lse, scale, out);
}

struct CrossEntropyRows : torch::autograd::Function<CrossEntropyRows> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const Tensor& logits_,
                                                const Tensor& target_, int64_t ignore_index) {
    at::AutoDispatchBelowADInplaceOrView guard;
    TORCH_CHECK(logits_.device().is_cpu() && logits_.dim() == 2 && target_.dim() == 1 &&
                    target_.size(0) == logits_.size(0) && target_.scalar_type() == at::kLong,
                "cross_entropy: logits are ", logits_.scalar_type(), " ", logits_.sizes(), " and targets ",
                target_.scalar_type(), " ", target_.sizes(), "; expected [N, classes] and int64 [N]");
    TORCH_CHECK(logits_.scalar_type() == at::kFloat || logits_.scalar_type() == at::kBFloat16,
                "cross_entropy: no kernel for ", logits_.scalar_type());
    const Tensor logits = logits_.contiguous();
    const Tensor target = target_.contiguous();
    const int64_t N = logits.size(0);
    const int64_t V = logits.size(1);
    const int64_t* classes = target.data_ptr<int64_t>();
    for (int64_t n = 0; n < N; n++) {
      TORCH_CHECK_INDEX(classes[n] == ignore_index || (classes[n] >= 0 && classes[n] < V), "cross_entropy: target ",
                        classes[n], " at row ", n, " is not a class of ", V);
    }
    const Tensor losses = at::empty({N}, logits.options().dtype(at::kFloat));
    const Tensor lse = at::empty({N}, logits.options().dtype(at::kFloat));
    byType(logits, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, N, 16384 / (V + 1) + 1, [&](int64_t from, int64_t to) {
        for (int64_t n = from; n < to; n++) {
          const bool counted = classes[n] != ignore_index;
          const T* row = logits.data_ptr<T>() + n * V;
          const float total = counted ? logSumExpRun(V, row) : 0.f;
          lse.data_ptr<float>()[n] = total;
          losses.data_ptr<float>()[n] = counted ? total - widen(row[classes[n]]) : 0.f;
        }
      });
    });
    context->save_for_backward({logits, target, lse});
    context->saved_data["ignore_index"] = ignore_index;
    context->mark_non_differentiable({lse});
    return {losses, lse};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "cross_entropy has no second derivative: do not use create_graph");
    const auto saved = context->get_saved_variables();
    const Tensor& logits = saved[0];
    const Tensor& target = saved[1];
    const Tensor& lse = saved[2];
    const int64_t ignore_index = context->saved_data["ignore_index"].toInt();
    const Tensor grad = grads[0].to(at::kFloat).contiguous();
    const Tensor out = at::empty_like(logits);
    const int64_t V = logits.size(1);
    const int64_t* classes = target.data_ptr<int64_t>();
    byType(logits, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, logits.size(0), 16384 / (V + 1) + 1, [&](int64_t from, int64_t to) {
        for (int64_t n = from; n < to; n++) {
          T* row = out.data_ptr<T>() + n * V;
          if (classes[n] == ignore_index) {
            std::fill(row, row + V, T(0.f));
            continue;
          }
          const T* x = logits.data_ptr<T>() + n * V;
          const float total = lse.data_ptr<float>()[n];
          const float scale = grad.data_ptr<float>()[n];
          softmaxGradRun(V, x, total, scale, row);
          row[classes[n]] = narrow<T>((std::exp(widen(x[classes[n]]) - total) - 1.f) * scale);
        }
      });
    });
    return {out, Tensor(), Tensor()};
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(dualvla, m) {
  m.def("cross_entropy_rows(Tensor logits, Tensor target, int ignore_index) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(dualvla, CompositeImplicitAutograd, m) {
  m.impl("cross_entropy_rows", [](const Tensor& logits, const Tensor& target, int64_t ignore_index) {
    const auto out = CrossEntropyRows::apply(logits, target, ignore_index);
    return std::make_tuple(out[0], out[1]);
  });
}
