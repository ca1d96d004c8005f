// Gradients: backward, grad, and the thread-local modes that record or cast.
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include "engine.h"

namespace dualvla {
namespace {

// libtorch 2.4 gave autocast one interface for all devices and deprecated the one a device.
constexpr bool kAutocastByDevice = TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4);

// backward(tensors, gradients, retainGraph, createGraph, inputs)
Napi::Value Backward(Engine& engine, const Napi::CallbackInfo& info) {
  torch::autograd::backward(tensorsArgument(engine, info, 0, "tensors"), tensorsArgument(engine, info, 1, "gradients"),
                            booleanArgument(info, 2, "retain_graph"), booleanArgument(info, 3, "create_graph"),
                            tensorsArgument(engine, info, 4, "inputs"));
  return info.Env().Undefined();
}

// grad(outputs, inputs, gradients, retainGraph, createGraph, allowUnused): handles of the gradients
Napi::Value Grad(Engine& engine, const Napi::CallbackInfo& info) {
  std::vector<at::Tensor> gradients = torch::autograd::grad(
      tensorsArgument(engine, info, 0, "outputs"), tensorsArgument(engine, info, 1, "inputs"),
      tensorsArgument(engine, info, 2, "grad_outputs"), booleanArgument(info, 3, "retain_graph"),
      booleanArgument(info, 4, "create_graph"), booleanArgument(info, 5, "allow_unused"));
  const Napi::Array handles = Napi::Array::New(info.Env(), gradients.size());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const_cast<Napi::Array&>(handles).Set(static_cast<std::uint32_t>(i), engine.put(std::move(gradients[i])));
  }
  return handles;
}

Napi::Value GetGrad(Engine& engine, const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), engine.put(engine.get(info[0]).grad()));
}

// setGrad(handle, gradient or 0)
Napi::Value SetGrad(Engine& engine, const Napi::CallbackInfo& info) {
  const at::Tensor& tensor = engine.get(info[0]);
  const std::int64_t handle = integerArgument(info, 1, "gradient");
  if (handle == 0) {
    tensor.mutable_grad() = at::Tensor();
    return info.Env().Undefined();
  }
  const at::Tensor& gradient = engine.get(info[1]);
  if (!gradient.sizes().equals(tensor.sizes())) fail("a gradient must have the shape of its tensor");
  if (gradient.device() != tensor.device()) fail("a gradient must lie on the device of its tensor");
  if (gradient.scalar_type() != tensor.scalar_type()) fail("a gradient must have the dtype of its tensor");
  tensor.mutable_grad() = gradient;
  return info.Env().Undefined();
}

Napi::Value SetRequiresGrad(Engine& engine, const Napi::CallbackInfo& info) {
  const at::Tensor& tensor = engine.get(info[0]);
  const bool wanted = booleanArgument(info, 1, "requires_grad");
  if (!tensor.is_leaf() && !wanted) {
    fail("requires_grad can only be taken from leaf tensors: use detach() for a tensor without history");
  }
  tensor.set_requires_grad(wanted);
  return info.Env().Undefined();
}

Napi::Value GetGradEnabled(Engine&, const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), at::GradMode::is_enabled());
}

// setGradEnabled(on): returns what it was
Napi::Value SetGradEnabled(Engine&, const Napi::CallbackInfo& info) {
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(booleanArgument(info, 0, "enabled"));
  return Napi::Boolean::New(info.Env(), before);
}

bool autocastEnabled(c10::DeviceType device) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::is_autocast_enabled(device);
#else
  return device == c10::kCPU ? at::autocast::is_cpu_enabled() : at::autocast::is_enabled();
#endif
}

at::ScalarType autocastDtype(c10::DeviceType device) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::get_autocast_dtype(device);
#else
  return device == c10::kCPU ? at::autocast::get_autocast_cpu_dtype() : at::autocast::get_autocast_gpu_dtype();
#endif
}

void setAutocast(c10::DeviceType device, bool enabled, at::ScalarType dtype) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  at::autocast::set_autocast_enabled(device, enabled);
  at::autocast::set_autocast_dtype(device, dtype);
#else
  if (device == c10::kCPU) {
    at::autocast::set_cpu_enabled(enabled);
    at::autocast::set_autocast_cpu_dtype(dtype);
  } else {
    at::autocast::set_enabled(enabled);
    at::autocast::set_autocast_gpu_dtype(dtype);
  }
#endif
}

c10::DeviceType autocastDevice(const Napi::CallbackInfo& info) {
  const std::string name = stringArgument(info, 0, "device");
  if (name == "cpu") return c10::kCPU;
  if (name == "cuda") return c10::kCUDA;
  fail("autocast knows the devices 'cpu' and 'cuda', not '" + name + "'");
}

// enterAutocast(device, enabled, dtype): returns what it was, as enabled * 256 + dtype
Napi::Value EnterAutocast(Engine&, const Napi::CallbackInfo& info) {
  const c10::DeviceType device = autocastDevice(info);
  const bool enabled = booleanArgument(info, 1, "enabled");
  const std::int64_t dtype = integerArgument(info, 2, "dtype");
  if (dtype != static_cast<std::int64_t>(at::kBFloat16) && dtype != static_cast<std::int64_t>(at::kHalf)) {
    fail("autocast computes in bfloat16 or float16");
  }
  if (dtype == static_cast<std::int64_t>(at::kHalf) && device == c10::kCPU && !kAutocastByDevice) {
    fail("this libtorch has no float16 autocast on the CPU: use bfloat16");
  }
  const int before = (autocastEnabled(device) ? 256 : 0) + static_cast<int>(autocastDtype(device));
  setAutocast(device, enabled, static_cast<at::ScalarType>(dtype));
  at::autocast::increment_nesting();
  return Napi::Number::New(info.Env(), before);
}

// leaveAutocast(device, before)
Napi::Value LeaveAutocast(Engine&, const Napi::CallbackInfo& info) {
  const c10::DeviceType device = autocastDevice(info);
  const std::int64_t before = integerArgument(info, 1, "before");
  if (before < 0 || before >= 512) fail("leaveAutocast needs what enterAutocast returned");
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  setAutocast(device, before >= 256, static_cast<at::ScalarType>(before & 255));
  return info.Env().Undefined();
}

}  // namespace

void exposeAutograd(Engine& engine, Napi::Object exports) {
  expose<Backward>(engine, exports, "backward");
  expose<Grad>(engine, exports, "grad");
  expose<GetGrad>(engine, exports, "getGrad");
  expose<SetGrad>(engine, exports, "setGrad");
  expose<SetRequiresGrad>(engine, exports, "setRequiresGrad");
  expose<GetGradEnabled>(engine, exports, "getGradEnabled");
  expose<SetGradEnabled>(engine, exports, "setGradEnabled");
  expose<EnterAutocast>(engine, exports, "enterAutocast");
  expose<LeaveAutocast>(engine, exports, "leaveAutocast");
}

}  // namespace dualvla
