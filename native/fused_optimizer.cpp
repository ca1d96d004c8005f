// Fused multi-tensor operators of the optimizer for the CPU: one pass over memory where a chain of foreach operators
// makes a dozen. Registered as dualvla::fused_adamw_ and dualvla::fused_sum_of_squares; called like any other operator.
// Knows nothing about parameter groups, schedules or when to step.
//
// AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it, in float32:
//   w -= lr * weight_decay * w;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
//   w -= lr / (1-b1^t) * m / (sqrt(v) / sqrt(1-b2^t) + eps)
#include <cmath>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "simd.h"

namespace {

constexpr int64_t kChunk = 1 << 14;

// A stretch of one tensor of a list.
struct Chunk {
  size_t tensor;
  int64_t begin;
  int64_t length;
};

std::vector<Chunk> split(at::TensorList tensors) {
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < tensors.size(); i++) {
    const int64_t n = tensors[i].numel();
    for (int64_t b = 0; b < n; b += kChunk) chunks.push_back({i, b, std::min(kChunk, n - b)});
  }
  return chunks;
}

struct AdamW {
  float decay, beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, inv_sqrt_bias2, eps, grad_scale;
};

// `p` is the low-precision parameter beside its float32 master `w`; T = float means that `w` is the parameter itself.
template <typename T>
DUALVLA_INLINE void adamw(
    const AdamW& c, int64_t n, float* __restrict w, T* __restrict p, const T* __restrict g, float* __restrict m,
    float* __restrict v) {
  const AdamW k = c;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const float grad = dualvla::widen(g[i]) * k.grad_scale;
    const float first = m[i] * k.beta1 + grad * k.one_minus_beta1;
    const float second = v[i] * k.beta2 + grad * grad * k.one_minus_beta2;
    const float denominator = __builtin_sqrtf(second) * k.inv_sqrt_bias2 + k.eps;
    const float weight = w[i] * k.decay - k.step_size * (first / denominator);
    m[i] = first;
    v[i] = second;
    w[i] = weight;
    if constexpr (!std::is_same_v<T, float>) p[i] = dualvla::narrow<T>(weight);
  }
}

DUALVLA_SIMD_CLONES void adamw_float(const AdamW& c, int64_t n, float* w, const float* g, float* m, float* v) {
  adamw<float>(c, n, w, nullptr, g, m, v);
}
DUALVLA_SIMD_CLONES void adamw_bfloat16(
    const AdamW& c, int64_t n, float* w, c10::BFloat16* p, const c10::BFloat16* g, float* m, float* v) {
  adamw<c10::BFloat16>(c, n, w, p, g, m, v);
}

void check_state(const at::Tensor& param, const at::Tensor& t, const char* what) {
  TORCH_CHECK(
      t.scalar_type() == at::kFloat && t.sizes() == param.sizes() && t.is_contiguous(), "fused_adamw_: ", what,
      " must be contiguous float32 of the parameter's shape ", param.sizes(), ", got ", t.scalar_type(), " ", t.sizes());
}

// `masters` is empty, or holds for each parameter a float32 copy (required for bfloat16 parameters; for a
// float32 parameter it must be the parameter itself). All parameters share `step`, counted from 1. CPU only.
void fused_adamw_(
    at::TensorList params, at::TensorList grads, at::TensorList exp_avgs, at::TensorList exp_avg_sqs,
    at::TensorList masters, int64_t step, double lr, double beta1, double beta2, double eps, double weight_decay,
    double grad_scale) {
  const size_t n = params.size();
  TORCH_CHECK(
      grads.size() == n && exp_avgs.size() == n && exp_avg_sqs.size() == n && (masters.empty() || masters.size() == n),
      "fused_adamw_: the lists have different lengths");
  std::vector<at::Tensor> dense_grads;
  dense_grads.reserve(n);
  for (size_t i = 0; i < n; i++) {
    const auto& p = params[i];
    TORCH_CHECK(p.device().is_cpu() && p.is_contiguous(), "fused_adamw_: parameters must be contiguous and on the CPU");
    TORCH_CHECK(
        grads[i].sizes() == p.sizes() && grads[i].scalar_type() == p.scalar_type(),
        "fused_adamw_: gradient ", grads[i].scalar_type(), " ", grads[i].sizes(), " for a parameter ", p.scalar_type(),
        " ", p.sizes());
    TORCH_CHECK(
        p.scalar_type() == at::kFloat || (p.scalar_type() == at::kBFloat16 && !masters.empty()), "fused_adamw_: ",
        p.scalar_type(), " parameters; expected float32, or bfloat16 with float32 masters");
    check_state(p, exp_avgs[i], "exp_avg");
    check_state(p, exp_avg_sqs[i], "exp_avg_sq");
    if (!masters.empty()) check_state(p, masters[i], "master");
    dense_grads.push_back(grads[i].contiguous());
  }
  const double bias1 = 1 - std::pow(beta1, static_cast<double>(step));
  const double bias2 = 1 - std::pow(beta2, static_cast<double>(step));
  const AdamW c{
      static_cast<float>(1 - lr * weight_decay), static_cast<float>(beta1), static_cast<float>(1 - beta1),
      static_cast<float>(beta2), static_cast<float>(1 - beta2), static_cast<float>(lr / bias1),
      static_cast<float>(1 / std::sqrt(bias2)), static_cast<float>(eps), static_cast<float>(grad_scale)};

  const auto chunks = split(params);
  at::parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t from, int64_t to) {
    for (int64_t j = from; j < to; j++) {
      const auto [t, b, len] = chunks[j];
      const auto& p = params[t];
      float* m = exp_avgs[t].data_ptr<float>() + b;
      float* v = exp_avg_sqs[t].data_ptr<float>() + b;
      if (p.scalar_type() == at::kFloat) {
        adamw_float(c, len, p.data_ptr<float>() + b, dense_grads[t].data_ptr<float>() + b, m, v);
      } else {
        adamw_bfloat16(
            c, len, masters[t].data_ptr<float>() + b, p.data_ptr<c10::BFloat16>() + b,
            dense_grads[t].data_ptr<c10::BFloat16>() + b, m, v);
      }
    }
  });
}

template <typename T>
DUALVLA_INLINE double sum_of_squares(int64_t n, const T* __restrict x) {
  double total = 0;
  // float32 sums over short runs, added up in double: exact enough for any count, and the inner loop is vectorised.
  for (int64_t b = 0; b < n; b += 1024) {
    const int64_t e = n - b < 1024 ? n : b + 1024;
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int64_t i = b; i < e; i++) part += dualvla::widen(x[i]) * dualvla::widen(x[i]);
    if (__builtin_isinf(part)) {
      // float32 overflowed though the values may be finite: redo this run in double.
      double wide = 0;
      for (int64_t i = b; i < e; i++) wide += static_cast<double>(dualvla::widen(x[i])) * static_cast<double>(dualvla::widen(x[i]));
      total += wide;
    } else {
      total += part;
    }
  }
  return total;
}

DUALVLA_SIMD_CLONES double squares_float(int64_t n, const float* x) { return sum_of_squares(n, x); }
DUALVLA_SIMD_CLONES double squares_bfloat16(int64_t n, const c10::BFloat16* x) { return sum_of_squares(n, x); }

// Sum of the squares of all elements of all tensors (float32 or bfloat16, CPU), as a float64 scalar tensor.
// The partial sums are added in a fixed order: the result does not depend on the number of threads.
at::Tensor fused_sum_of_squares(at::TensorList tensors) {
  std::vector<at::Tensor> dense;
  dense.reserve(tensors.size());
  for (const auto& t : tensors) {
    TORCH_CHECK(t.device().is_cpu(), "fused_sum_of_squares: tensors must be on the CPU");
    TORCH_CHECK(
        t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16,
        "fused_sum_of_squares: no kernel for ", t.scalar_type());
    dense.push_back(t.contiguous());
  }
  const auto chunks = split(dense);
  std::vector<double> parts(chunks.size());
  at::parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t from, int64_t to) {
    for (int64_t j = from; j < to; j++) {
      const auto [t, b, len] = chunks[j];
      const auto& x = dense[t];
      if (x.scalar_type() == at::kFloat) {
        parts[j] = squares_float(len, x.data_ptr<float>() + b);
      } else {
        parts[j] = squares_bfloat16(len, x.data_ptr<c10::BFloat16>() + b);
      }
    }
  });
  double total = 0;
  for (double part : parts) total += part;
  auto out = at::empty({}, at::TensorOptions().dtype(at::kDouble));
  *out.data_ptr<double>() = total;
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(dualvla, m) {
  m.def(
      "fused_adamw_(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, "
      "Tensor(d!)[] masters, int step, *, float lr, float beta1, float beta2, float eps, float weight_decay, "
      "float grad_scale=1.) -> ()",
      fused_adamw_);
  m.def("fused_sum_of_squares(Tensor[] tensors) -> Tensor", fused_sum_of_squares);
}
