// Memory of the GPU's caching allocator. Compiled only where the CUDA runtime's headers are found.
#include <c10/cuda/CUDACachingAllocator.h>

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "engine.h"

namespace dualvla {
namespace {

c10::DeviceIndex deviceArgument(const Napi::CallbackInfo& info) {
  const std::int64_t index = integerArgument(info, 0, "device");
  if (index < 0 || index >= at::detail::getCUDAHooks().getNumGPUs()) fail("no such CUDA device");
  return static_cast<c10::DeviceIndex>(index);
}

// cudaMemory(device): bytes now and at most
Napi::Value CudaMemory(Engine&, const Napi::CallbackInfo& info) {
  const c10::DeviceIndex device = deviceArgument(info);
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("allocated", static_cast<double>(stats.allocated_bytes[0].current));
  result.Set("peakAllocated", static_cast<double>(stats.allocated_bytes[0].peak));
  result.Set("reserved", static_cast<double>(stats.reserved_bytes[0].current));
  result.Set("peakReserved", static_cast<double>(stats.reserved_bytes[0].peak));
  return result;
}

Napi::Value CudaResetPeakMemory(Engine&, const Napi::CallbackInfo& info) {
  c10::cuda::CUDACachingAllocator::resetPeakStats(deviceArgument(info));
  return info.Env().Undefined();
}

Napi::Value CudaEmptyCache(Engine&, const Napi::CallbackInfo& info) {
  c10::cuda::CUDACachingAllocator::emptyCache();
  return info.Env().Undefined();
}

}  // namespace

void exposeCuda(Engine& engine, Napi::Object exports) {
  expose<CudaMemory>(engine, exports, "cudaMemory");
  expose<CudaResetPeakMemory>(engine, exports, "cudaResetPeakMemory");
  expose<CudaEmptyCache>(engine, exports, "cudaEmptyCache");
}

}  // namespace dualvla
