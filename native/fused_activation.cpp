// Fused activations for the CPU, each one pass forward and one backward where a chain of operators makes many:
//   dualvla::swiglu(gate, up)   silu(gate) * up                                  (Shazeer 2020)
//   dualvla::gelu_tanh(x)       0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))  (Hendrycks & Gimpel 2016)
// float32 and bfloat16, arithmetic in float32. Differentiable once. Other devices use the chain, see functional.ts.
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include "fused.h"

namespace {

using at::Tensor;
using c10::BFloat16;
using dualvla::byType;
using dualvla::checkInput;
using dualvla::checkOnce;
using dualvla::exponential;
using dualvla::kGrain;
using dualvla::narrow;
using dualvla::widen;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

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

}  // namespace

TORCH_LIBRARY_FRAGMENT(dualvla, m) {
  m.def("swiglu(Tensor gate, Tensor up) -> Tensor");
  m.def("gelu_tanh(Tensor self) -> Tensor");
}

// One kernel for both: `apply` records the graph only where gradients are wanted.
TORCH_LIBRARY_IMPL(dualvla, CompositeImplicitAutograd, m) {
  m.impl("swiglu", [](const Tensor& gate, const Tensor& up) { return Swiglu::apply(gate, up); });
  m.impl("gelu_tanh", [](const Tensor& x) { return GeluTanh::apply(x); });
}
