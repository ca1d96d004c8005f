// Fused norms over the last axis for the CPU, each one pass forward and one backward where a chain of operators makes many:
//   dualvla::rms_norm(x, weight, eps)          x / sqrt(mean(x^2) + eps) * weight                (Zhang & Sennrich 2019)
//   dualvla::layer_norm(x, weight, bias, eps)  (x - mean) / sqrt(var + eps) * weight + bias      (Ba et al. 2016)
// float32 and bfloat16, arithmetic in float32. Differentiable once. Other devices use the chain, see functional.ts.
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
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

// ---- rms_norm: rows of length D

template <typename T>
DUALVLA_INLINE void rmsForwardLoop(int64_t rows, int64_t D, float eps, const T* __restrict x, const float* __restrict w,
                                   T* __restrict out, float* __restrict rstd) {
  for (int64_t r = 0; r < rows; r++, x += D, out += D) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < D; i++) sum += widen(x[i]) * widen(x[i]);
    const float scale = 1.f / __builtin_sqrtf(sum / static_cast<float>(D) + eps);
    rstd[r] = scale;
#pragma omp simd
    for (int64_t i = 0; i < D; i++) out[i] = narrow<T>(w[i] * (widen(x[i]) * scale));
  }
}
// grad_x = rstd (g w - x rstd^2 mean(g w x)), grad_w += g x rstd
template <typename T>
DUALVLA_INLINE void rmsBackwardLoop(int64_t rows, int64_t D, const T* __restrict x, const float* __restrict w,
                                    const T* __restrict grad, const float* __restrict rstd, T* __restrict grad_x,
                                    float* __restrict grad_w) {
  for (int64_t r = 0; r < rows; r++, x += D, grad += D, grad_x += D) {
    const float scale = rstd[r];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < D; i++) {
      const float gx = widen(grad[i]) * widen(x[i]);
      dot += gx * w[i];
      grad_w[i] += gx * scale;
    }
    const float pull = dot * scale * scale / static_cast<float>(D);
#pragma omp simd
    for (int64_t i = 0; i < D; i++) grad_x[i] = narrow<T>(scale * (widen(grad[i]) * w[i] - widen(x[i]) * pull));
  }
}
DUALVLA_SIMD_CLONES void rmsForwardRun(int64_t n, int64_t D, float eps, const float* x, const float* w, float* o, float* r) {
  rmsForwardLoop(n, D, eps, x, w, o, r);
}
DUALVLA_SIMD_CLONES void rmsForwardRun(int64_t n, int64_t D, float eps, const BFloat16* x, const float* w, BFloat16* o,
                                       float* r) {
  rmsForwardLoop(n, D, eps, x, w, o, r);
}
DUALVLA_SIMD_CLONES void rmsBackwardRun(int64_t n, int64_t D, const float* x, const float* w, const float* g,
                                        const float* r, float* gx, float* gw) {
  rmsBackwardLoop(n, D, x, w, g, r, gx, gw);
}
DUALVLA_SIMD_CLONES void rmsBackwardRun(int64_t n, int64_t D, const BFloat16* x, const float* w, const BFloat16* g,
                                        const float* r, BFloat16* gx, float* gw) {
  rmsBackwardLoop(n, D, x, w, g, r, gx, gw);
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& x_, const Tensor& weight, double eps) {
    at::AutoDispatchBelowADInplaceOrView guard;
    checkInput("rms_norm", x_);
    TORCH_CHECK(weight.dim() == 1 && x_.dim() >= 1 && weight.size(0) == x_.size(-1), "rms_norm: the input is ",
                x_.sizes(), " and the weight ", weight.sizes());
    const Tensor x = x_.contiguous();
    const Tensor w = weight.to(at::kFloat).contiguous();
    const int64_t D = w.numel();
    const int64_t rows = D == 0 ? 0 : x.numel() / D;
    const Tensor out = at::empty_like(x);
    const Tensor rstd = at::empty({rows}, x.options().dtype(at::kFloat));
    byType(x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, kGrain / (D + 1) + 1, [&](int64_t b, int64_t e) {
        rmsForwardRun(e - b, D, static_cast<float>(eps), x.data_ptr<T>() + b * D, w.data_ptr<float>(),
                      out.data_ptr<T>() + b * D, rstd.data_ptr<float>() + b);
      });
    });
    context->save_for_backward({x, weight, rstd});
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    checkOnce("rms_norm");
    const auto saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor w = saved[1].to(at::kFloat).contiguous();
    const Tensor& rstd = saved[2];
    const Tensor grad = grads[0].to(x.scalar_type()).contiguous();
    const int64_t D = w.numel();
    const int64_t rows = rstd.numel();
    const Tensor grad_x = at::empty_like(x);
    // One partial sum of the weight's gradient a block of rows, added up in order: the same for any number of threads.
    const int64_t block = 256;
    const int64_t blocks = (rows + block - 1) / block;
    const Tensor partial = at::zeros({blocks, D}, w.options());
    byType(x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, blocks, 1, [&](int64_t from, int64_t to) {
        for (int64_t k = from; k < to; k++) {
          const int64_t b = k * block;
          rmsBackwardRun(std::min(block, rows - b), D, x.data_ptr<T>() + b * D, w.data_ptr<float>(),
                         grad.data_ptr<T>() + b * D, rstd.data_ptr<float>() + b, grad_x.data_ptr<T>() + b * D,
                         partial.data_ptr<float>() + k * D);
        }
      });
    });
    return {grad_x, partial.sum(0).to(saved[1].scalar_type()), Tensor()};
  }
};

// ---- layer_norm: rows of length D

template <typename T>
DUALVLA_INLINE void layerNormForwardLoop(int64_t rows, int64_t D, float eps, const T* __restrict x,
                                         const float* __restrict w, const float* __restrict bias, T* __restrict out,
                                         float* __restrict mean, float* __restrict rstd) {
  for (int64_t r = 0; r < rows; r++, x += D, out += D) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < D; i++) sum += widen(x[i]);
    const float m = sum / static_cast<float>(D);
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < D; i++) squares += (widen(x[i]) - m) * (widen(x[i]) - m);
    const float scale = 1.f / __builtin_sqrtf(squares / static_cast<float>(D) + eps);
    mean[r] = m;
    rstd[r] = scale;
#pragma omp simd
    for (int64_t i = 0; i < D; i++) out[i] = narrow<T>((widen(x[i]) - m) * scale * w[i] + bias[i]);
  }
}
// y = (x - mean) rstd: grad_x = rstd (g w - mean(g w) - y mean(g w y)), grad_w += g y, grad_bias += g
template <typename T>
DUALVLA_INLINE void layerNormBackwardLoop(int64_t rows, int64_t D, const T* __restrict x, const float* __restrict w,
                                          const T* __restrict grad, const float* __restrict mean,
                                          const float* __restrict rstd, T* __restrict grad_x, float* __restrict grad_w,
                                          float* __restrict grad_bias) {
  for (int64_t r = 0; r < rows; r++, x += D, grad += D, grad_x += D) {
    const float m = mean[r];
    const float scale = rstd[r];
    float sum = 0;
    float dot = 0;
#pragma omp simd reduction(+ : sum, dot)
    for (int64_t i = 0; i < D; i++) {
      const float g = widen(grad[i]);
      const float y = (widen(x[i]) - m) * scale;
      sum += g * w[i];
      dot += g * w[i] * y;
      grad_w[i] += g * y;
      grad_bias[i] += g;
    }
    sum /= static_cast<float>(D);
    dot /= static_cast<float>(D);
#pragma omp simd
    for (int64_t i = 0; i < D; i++) {
      const float y = (widen(x[i]) - m) * scale;
      grad_x[i] = narrow<T>(scale * (widen(grad[i]) * w[i] - sum - y * dot));
    }
  }
}
DUALVLA_SIMD_CLONES void layerNormForwardRun(int64_t n, int64_t D, float eps, const float* x, const float* w,
                                             const float* b, float* o, float* m, float* r) {
  layerNormForwardLoop(n, D, eps, x, w, b, o, m, r);
}
DUALVLA_SIMD_CLONES void layerNormForwardRun(int64_t n, int64_t D, float eps, const BFloat16* x, const float* w,
                                             const float* b, BFloat16* o, float* m, float* r) {
  layerNormForwardLoop(n, D, eps, x, w, b, o, m, r);
}
DUALVLA_SIMD_CLONES void layerNormBackwardRun(int64_t n, int64_t D, const float* x, const float* w, const float* g,
                                              const float* m, const float* r, float* gx, float* gw, float* gb) {
  layerNormBackwardLoop(n, D, x, w, g, m, r, gx, gw, gb);
}
DUALVLA_SIMD_CLONES void layerNormBackwardRun(int64_t n, int64_t D, const BFloat16* x, const float* w, const BFloat16* g,
                                              const float* m, const float* r, BFloat16* gx, float* gw, float* gb) {
  layerNormBackwardLoop(n, D, x, w, g, m, r, gx, gw, gb);
}

struct LayerNorm : torch::autograd::Function<LayerNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& x_, const Tensor& weight, const Tensor& bias, double eps) {
    at::AutoDispatchBelowADInplaceOrView guard;
    checkInput("layer_norm", x_);
    TORCH_CHECK(weight.dim() == 1 && x_.dim() >= 1 && weight.size(0) == x_.size(-1) && weight.sizes() == bias.sizes(),
                "layer_norm: the input is ", x_.sizes(), ", the weight ", weight.sizes(), " and the bias ", bias.sizes());
    const Tensor x = x_.contiguous();
    const Tensor w = weight.to(at::kFloat).contiguous();
    const Tensor shift = bias.to(at::kFloat).contiguous();
    const int64_t D = w.numel();
    const int64_t rows = D == 0 ? 0 : x.numel() / D;
    const Tensor out = at::empty_like(x);
    const Tensor mean = at::empty({rows}, x.options().dtype(at::kFloat));
    const Tensor rstd = at::empty({rows}, x.options().dtype(at::kFloat));
    byType(x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, kGrain / (D + 1) + 1, [&](int64_t b, int64_t e) {
        layerNormForwardRun(e - b, D, static_cast<float>(eps), x.data_ptr<T>() + b * D, w.data_ptr<float>(),
                            shift.data_ptr<float>(), out.data_ptr<T>() + b * D, mean.data_ptr<float>() + b,
                            rstd.data_ptr<float>() + b);
      });
    });
    context->save_for_backward({x, weight, mean, rstd});
    context->saved_data["bias_type"] = static_cast<int64_t>(bias.scalar_type());
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    checkOnce("layer_norm");
    const auto saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor w = saved[1].to(at::kFloat).contiguous();
    const Tensor& mean = saved[2];
    const Tensor& rstd = saved[3];
    const Tensor grad = grads[0].to(x.scalar_type()).contiguous();
    const int64_t D = w.numel();
    const int64_t rows = rstd.numel();
    const Tensor grad_x = at::empty_like(x);
    // Partial sums a block of rows, added up in order: the same for any number of threads.
    const int64_t block = 256;
    const int64_t blocks = (rows + block - 1) / block;
    const Tensor partial = at::zeros({2, blocks, D}, w.options());
    byType(x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, blocks, 1, [&](int64_t from, int64_t to) {
        for (int64_t k = from; k < to; k++) {
          const int64_t b = k * block;
          layerNormBackwardRun(std::min(block, rows - b), D, x.data_ptr<T>() + b * D, w.data_ptr<float>(),
                               grad.data_ptr<T>() + b * D, mean.data_ptr<float>() + b, rstd.data_ptr<float>() + b,
                               grad_x.data_ptr<T>() + b * D, partial.data_ptr<float>() + k * D,
                               partial.data_ptr<float>() + (blocks + k) * D);
        }
      });
    });
    const Tensor sums = partial.sum(1);
    const auto bias_type = static_cast<at::ScalarType>(context->saved_data["bias_type"].toInt());
    return {grad_x, sums.select(0, 0).to(saved[1].scalar_type()), sums.select(0, 1).to(bias_type), Tensor()};
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(dualvla, m) {
  m.def("rms_norm(Tensor self, Tensor weight, float eps) -> Tensor");
  m.def("layer_norm(Tensor self, Tensor weight, Tensor bias, float eps) -> Tensor");
}

// One kernel for both: `apply` records the graph only where gradients are wanted.
TORCH_LIBRARY_IMPL(dualvla, CompositeImplicitAutograd, m) {
  m.impl("rms_norm", [](const Tensor& x, const Tensor& w, double eps) { return RmsNorm::apply(x, w, eps); });
  m.impl("layer_norm", [](const Tensor& x, const Tensor& w, const Tensor& bias, double eps) {
    return LayerNorm::apply(x, w, bias, eps);
  });
}
