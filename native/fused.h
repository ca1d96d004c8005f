// What the fused operators share: checks of their input, and the choice of a kernel by element type.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "simd.h"

namespace dualvla {

// Elements a thread takes at a time in element-wise loops.
constexpr int64_t kGrain = 1 << 14;

inline void checkInput(const char* op, const at::Tensor& x) {
  TORCH_CHECK(x.device().is_cpu(), op, ": the tensor is on ", x.device(), ", expected the CPU");
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, op, ": no kernel for ", x.scalar_type());
}

inline void checkOnce(const char* op) {
  TORCH_CHECK(!at::GradMode::is_enabled(), op, " has no second derivative: do not use create_graph");
}

// Calls `f` with a value of the tensor's element type.
template <typename F>
void byType(const at::Tensor& x, F f) {
  if (x.scalar_type() == at::kFloat) {
    f(float{});
  } else {
    f(c10::BFloat16{});
  }
}

}  // namespace dualvla
