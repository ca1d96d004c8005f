// Threads of the CPU, devices, and what libtorch says about itself.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <torch/version.h>

#include <deque>
#include <mutex>

#include "engine.h"

namespace dualvla {
namespace {

// Warnings are kept for JavaScript instead of being printed: the last 64, each text once.
#if TORCH_VERSION_MAJOR >= 2
namespace torch_warnings = c10::WarningUtils;

#else
namespace torch_warnings = c10::Warning;

#endif

class Warnings : public c10::WarningHandler {
 public:
#if TORCH_VERSION_MAJOR >= 2
  void process(const c10::Warning& warning) override { add(warning.msg()); }
#else
  void process(const c10::SourceLocation&, const std::string& text, const bool) override { add(text); }
#endif
  std::deque<std::string> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::move(kept_);
  }

 private:
  void add(const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const std::string& known : kept_) {
      if (known == text) return;
    }
    kept_.push_back(text);
    if (kept_.size() > 64) kept_.pop_front();
  }
  std::mutex mutex_;
  std::deque<std::string> kept_;
};

Warnings& warnings() {
  static auto* handler = new Warnings();
  return *handler;
}

// takeWarnings(): what libtorch warned about since the last time.
Napi::Value TakeWarnings(Engine&, const Napi::CallbackInfo& info) {
  const std::deque<std::string> texts = warnings().take();
  Napi::Array array = Napi::Array::New(info.Env(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    array.Set(static_cast<std::uint32_t>(i), Napi::String::New(info.Env(), texts[i]));
  }
  return array;
}

Napi::Value GetNumThreads(Engine&, const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), at::get_num_threads());
}

Napi::Value SetNumThreads(Engine&, const Napi::CallbackInfo& info) {
  const std::int64_t count = integerArgument(info, 0, "threads");
  if (count < 1 || count > 1024) fail("the number of threads must lie between 1 and 1024");
  at::set_num_threads(static_cast<int>(count));
  return info.Env().Undefined();
}

Napi::Value Version(Engine&, const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), TORCH_VERSION); }

// description(): compiler, BLAS and CPU capability as libtorch reports them.
Napi::Value Description(Engine&, const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), at::show_config() + "\n" + at::get_parallel_info());
}

Napi::Value SetDeterministic(Engine&, const Napi::CallbackInfo& info) {
  at::globalContext().setDeterministicAlgorithms(booleanArgument(info, 0, "deterministic"), false);
  return info.Env().Undefined();
}

Napi::Value CudaDeviceCount(Engine&, const Napi::CallbackInfo& info) {
  int count = 0;
#ifdef DUALVLA_CUDA
  if (at::globalContext().hasCUDA()) count = static_cast<int>(at::detail::getCUDAHooks().getNumGPUs());
#endif
  return Napi::Number::New(info.Env(), count);
}

#ifdef DUALVLA_CUDA
// synchronize(device): waits until the device has done the work queued by this thread.
Napi::Value CudaSynchronize(Engine&, const Napi::CallbackInfo& info) {
  const std::int64_t index = integerArgument(info, 0, "device");
  if (index < 0 || index >= at::detail::getCUDAHooks().getNumGPUs()) fail("no such CUDA device");
  const c10::impl::VirtualGuardImpl guard(c10::kCUDA);
  guard.getStream(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index))).synchronize();
  return info.Env().Undefined();
}
#endif

}  // namespace

void exposeDevice(Engine& engine, Napi::Object exports) {
  torch_warnings::set_warning_handler(&warnings());  // thread-local, like every mode of libtorch
  expose<TakeWarnings>(engine, exports, "takeWarnings");
  expose<GetNumThreads>(engine, exports, "getNumThreads");
  expose<SetNumThreads>(engine, exports, "setNumThreads");
  expose<Version>(engine, exports, "version");
  expose<Description>(engine, exports, "description");
  expose<SetDeterministic>(engine, exports, "setDeterministic");
  expose<CudaDeviceCount>(engine, exports, "cudaDeviceCount");
#ifdef DUALVLA_CUDA
  expose<CudaSynchronize>(engine, exports, "cudaSynchronize");
#endif
}

}  // namespace dualvla
