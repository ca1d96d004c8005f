// Fused layers for the CPU, each one pass forward and one backward where a chain of operators makes many:
//   dualvla::swiglu(gate, up)               silu(gate) * up                                 (Shazeer 2020)
//   dualvla::gelu_tanh(x)                   0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))  (Hendrycks & Gimpel 2016)
//   dualvla::rms_norm(x, weight, eps)       x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang & Sennrich 2019)
//   dualvla::layer_norm(x, weight, bias, eps) (x - mean) / sqrt(var + eps) * weight + bias over the last axis (Ba et al. 2016)
//   dualvla::rope(x_BTHE, cos, sin)         rotary positions (Su et al. 2021), halves layout, result [B, H, T, E]
// float32 and bfloat16, arithmetic in float32. Differentiable once. Other devices use the chains, see functional.ts.
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
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

// Elements a thread takes at a time in element-wise loops.
constexpr int64_t kGrain = 1 << 14;

void checkInput(const char* op, const Tensor& x) {
  TORCH_CHECK(x.device().is_cpu(), op, ": the tensor is on ", x.device(), ", expected the CPU");
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, op, ": no kernel for ", x.scalar_type());
}

void checkOnce(const char* op) {
  TORCH_CHECK(!at::GradMode::is_enabled(), op, " has no second derivative: do not use create_graph");
}

// Calls `f` with a value of the tensor's element type.
template <typename F>
void byType(const Tensor& x, F f) {
  if (x.scalar_type() == at::kFloat) {
    f(float{});
  } else {
    f(BFloat16{});
  }
}

DUALVLA_INLINE float sigmoid(float x) { return 1.f / (1.f + exponential(-x)); }

// ---- swiglu

template <typename T>
DUALVLA_INLINE void swigluForwardLoop(int64_t n, const T* __restrict gate, const T* __restrict up, T* __restrict out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const float g = widen(gate[i]);
    out[i] = narrow<T>(g * sigmoid(g) * widen(up[i]));
  }
}
template <typename T>
DUALVLA_INLINE void swigluBackwardLoop(int64_t n, const T* __restrict gate, const T* __restrict up,
                                       const T* __restrict grad, T* __restrict grad_gate, T* __restrict grad_up) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const float g = widen(gate[i]);
    const float s = sigmoid(g);
    const float d = widen(grad[i]);
    grad_up[i] = narrow<T>(d * g * s);
    grad_gate[i] = narrow<T>(d * widen(up[i]) * s * (1.f + g * (1.f - s)));
  }
}
DUALVLA_SIMD_CLONES void swigluForwardRun(int64_t n, const float* a, const float* b, float* o) {
  swigluForwardLoop(n, a, b, o);
}
DUALVLA_SIMD_CLONES void swigluForwardRun(int64_t n, const BFloat16* a, const BFloat16* b, BFloat16* o) {
  swigluForwardLoop(n, a, b, o);
}
DUALVLA_SIMD_CLONES void swigluBackwardRun(int64_t n, const float* a, const float* b, const float* d, float* x, float* y) {
  swigluBackwardLoop(n, a, b, d, x, y);
}
DUALVLA_SIMD_CLONES void swigluBackwardRun(int64_t n, const BFloat16* a, const BFloat16* b, const BFloat16* d, BFloat16* x,
                                           BFloat16* y) {
  swigluBackwardLoop(n, a, b, d, x, y);
}

struct Swiglu : torch::autograd::Function<Swiglu> {
  static Tensor forward(AutogradContext* context, const Tensor& gate_, const Tensor& up_) {
    at::AutoDispatchBelowADInplaceOrView guard;
    checkInput("swiglu", gate_);
    TORCH_CHECK(gate_.sizes() == up_.sizes() && gate_.scalar_type() == up_.scalar_type(), "swiglu: gate is ",
                gate_.scalar_type(), " ", gate_.sizes(), " and up ", up_.scalar_type(), " ", up_.sizes());
    const Tensor gate = gate_.contiguous();
    const Tensor up = up_.contiguous();
    const Tensor out = at::empty_like(gate);
    byType(gate, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, gate.numel(), kGrain, [&](int64_t b, int64_t e) {
        swigluForwardRun(e - b, gate.data_ptr<T>() + b, up.data_ptr<T>() + b, out.data_ptr<T>() + b);
      });
    });
    context->save_for_backward({gate, up});
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    checkOnce("swiglu");
    const auto saved = context->get_saved_variables();
    const Tensor& gate = saved[0];
    const Tensor& up = saved[1];
    const Tensor grad = grads[0].contiguous();
    const Tensor grad_gate = at::empty_like(gate);
    const Tensor grad_up = at::empty_like(up);
    byType(gate, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, gate.numel(), kGrain, [&](int64_t b, int64_t e) {
        swigluBackwardRun(e - b, gate.data_ptr<T>() + b, up.data_ptr<T>() + b, grad.data_ptr<T>() + b,
                          grad_gate.data_ptr<T>() + b, grad_up.data_ptr<T>() + b);
      });
    });
    return {grad_gate, grad_up};
  }
};

// ---- gelu_tanh: 0.5 (1 + tanh(u)) = sigmoid(2u)

template <typename T>
DUALVLA_INLINE void geluForwardLoop(int64_t n, const T* __restrict x, T* __restrict out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const float v = widen(x[i]);
    out[i] = narrow<T>(v * sigmoid(1.5957691216f * (v + 0.044715f * v * v * v)));
  }
}
template <typename T>
DUALVLA_INLINE void geluBackwardLoop(int64_t n, const T* __restrict x, const T* __restrict grad, T* __restrict out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const float v = widen(x[i]);
    const float s = sigmoid(1.5957691216f * (v + 0.044715f * v * v * v));
    const float slope = 1.5957691216f * (1.f + 3.f * 0.044715f * v * v);
    out[i] = narrow<T>(widen(grad[i]) * s * (1.f + v * slope * (1.f - s)));
  }
}
DUALVLA_SIMD_CLONES void geluForwardRun(int64_t n, const float* x, float* o) { geluForwardLoop(n, x, o); }
DUALVLA_SIMD_CLONES void geluForwardRun(int64_t n, const BFloat16* x, BFloat16* o) { geluForwardLoop(n, x, o); }
DUALVLA_SIMD_CLONES void geluBackwardRun(int64_t n, const float* x, const float* d, float* o) {
  geluBackwardLoop(n, x, d, o);
}
DUALVLA_SIMD_CLONES void geluBackwardRun(int64_t n, const BFloat16* x, const BFloat16* d, BFloat16* o) {
  geluBackwardLoop(n, x, d, o);
}

struct GeluTanh : torch::autograd::Function<GeluTanh> {
  static Tensor forward(AutogradContext* context, const Tensor& x_) {
    at::AutoDispatchBelowADInplaceOrView guard;
    checkInput("gelu_tanh", x_);
    const Tensor x = x_.contiguous();
    const Tensor out = at::empty_like(x);
    byType(x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, x.numel(), kGrain, [&](int64_t b, int64_t e) {
        geluForwardRun(e - b, x.data_ptr<T>() + b, out.data_ptr<T>() + b);
      });
    });
    context->save_for_backward({x});
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    checkOnce("gelu_tanh");
    const Tensor x = context->get_saved_variables()[0];
    const Tensor grad = grads[0].contiguous();
    const Tensor out = at::empty_like(x);
    byType(x, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, x.numel(), kGrain, [&](int64_t b, int64_t e) {
        geluBackwardRun(e - b, x.data_ptr<T>() + b, grad.data_ptr<T>() + b, out.data_ptr<T>() + b);
      });
    });
    return {out};
  }
};

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

TORCH_LIBRARY_FRAGMENT(dualvla, m) {
  m.def("swiglu(Tensor gate, Tensor up) -> Tensor");
  m.def("gelu_tanh(Tensor self) -> Tensor");
  m.def("rms_norm(Tensor self, Tensor weight, float eps) -> Tensor");
  m.def("layer_norm(Tensor self, Tensor weight, Tensor bias, float eps) -> Tensor");
  m.def("rope(Tensor self, Tensor cos, Tensor sin) -> Tensor");
}

// One kernel for both: `apply` records the graph only where gradients are wanted.
TORCH_LIBRARY_IMPL(dualvla, CompositeImplicitAutograd, m) {
  m.impl("swiglu", [](const Tensor& gate, const Tensor& up) { return Swiglu::apply(gate, up); });
  m.impl("gelu_tanh", [](const Tensor& x) { return GeluTanh::apply(x); });
  m.impl("rms_norm", [](const Tensor& x, const Tensor& w, double eps) { return RmsNorm::apply(x, w, eps); });
  m.impl("layer_norm", [](const Tensor& x, const Tensor& w, const Tensor& bias, double eps) {
    return LayerNorm::apply(x, w, bias, eps);
  });
  m.impl("rope", [](const Tensor& x, const Tensor& cos, const Tensor& sin) { return Rope::apply(x, cos, sin); });
}
