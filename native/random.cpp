// Random number generators. The same seed gives the numbers that Python's torch gives.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include "engine.h"

namespace dualvla {
namespace {

// Seeds are 64 bits wide and arrive as two halves.
std::uint64_t seedArgument(const Napi::CallbackInfo& info, std::size_t index) {
  const std::int64_t high = integerArgument(info, index, "seed");
  const std::int64_t low = integerArgument(info, index + 1, "seed");
  if (high < 0 || high > 0xFFFFFFFFLL || low < 0 || low > 0xFFFFFFFFLL) fail("a seed must fit 64 bits");
  return (static_cast<std::uint64_t>(high) << 32) | static_cast<std::uint64_t>(low);
}

// A generator argument: 0 is the default one of the CPU, -1 - i the default one of CUDA device i.
at::Generator generatorArgument(Engine& engine, const Napi::CallbackInfo& info) {
  const std::int64_t handle = integerArgument(info, 0, "generator");
  if (handle > 0) return engine.generator(static_cast<double>(handle));
  if (handle == 0) return at::detail::getDefaultCPUGenerator();
  if (handle < -128) fail("no such generator");
  return at::globalContext().defaultGenerator(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(-handle - 1)));
}

// manualSeed(high, low): seeds the default generators of the CPU and of every GPU.
Napi::Value ManualSeed(Engine&, const Napi::CallbackInfo& info) {
  const std::uint64_t seed = seedArgument(info, 0);
  {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_current_seed(seed);
  }
#ifdef DUALVLA_CUDA
  if (at::globalContext().hasCUDA()) {
    const auto count = static_cast<int>(at::detail::getCUDAHooks().getNumGPUs());
    for (int i = 0; i < count; ++i) {
      at::Generator generator =
          at::globalContext().defaultGenerator(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(i)));
      const std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_current_seed(seed);
    }
  }
#endif
  return info.Env().Undefined();
}

// newGenerator(high, low): a generator of the CPU.
Napi::Value NewGenerator(Engine& engine, const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), engine.putGenerator(at::detail::createCPUGenerator(seedArgument(info, 0))));
}

Napi::Value FreeGenerator(Engine& engine, const Napi::CallbackInfo& info) {
  const std::int64_t handle = integerArgument(info, 0, "generator");
  return Napi::Boolean::New(info.Env(), engine.releaseGenerator(static_cast<Handle>(handle)));
}

Napi::Value SeedGenerator(Engine& engine, const Napi::CallbackInfo& info) {
  at::Generator generator = generatorArgument(engine, info);
  const std::uint64_t seed = seedArgument(info, 1);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_current_seed(seed);
  return info.Env().Undefined();
}

// generatorState(generator): a uint8 tensor
Napi::Value GeneratorState(Engine& engine, const Napi::CallbackInfo& info) {
  at::Generator generator = generatorArgument(engine, info);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return Napi::Number::New(info.Env(), engine.put(generator.get_state()));
}

Napi::Value SetGeneratorState(Engine& engine, const Napi::CallbackInfo& info) {
  at::Generator generator = generatorArgument(engine, info);
  const at::Tensor& state = engine.get(info[1]);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
  return info.Env().Undefined();
}

}  // namespace

void exposeRandom(Engine& engine, Napi::Object exports) {
  expose<ManualSeed>(engine, exports, "manualSeed");
  expose<NewGenerator>(engine, exports, "newGenerator");
  expose<FreeGenerator>(engine, exports, "freeGenerator");
  expose<SeedGenerator>(engine, exports, "seedGenerator");
  expose<GeneratorState>(engine, exports, "generatorState");
  expose<SetGeneratorState>(engine, exports, "setGeneratorState");
}

}  // namespace dualvla
