// What one JavaScript environment (the main thread or a Worker) holds: the table of tensors that JavaScript refers to by
// number, the buffer through which calls pass, and how a C++ error becomes a JavaScript one. Knows no operator.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <napi.h>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace dualvla {

// A handle is generation * 2^23 + index: a small integer for V8, and a stale one is noticed.
using Handle = std::int32_t;

class OperatorTable;  // operator_table.cpp

class Engine {
 public:
  explicit Engine(Napi::Env env);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Takes a tensor into the table; an undefined tensor is handle 0.
  Handle put(at::Tensor tensor);
  // The tensor of a handle. Throws c10::Error for a handle that is not alive.
  const at::Tensor& get(Handle handle) const;
  const at::Tensor& get(const Napi::Value& value) const;
  // Frees a handle; false when it was not alive.
  bool release(Handle handle);
  std::size_t liveCount() const { return live_; }

  // Remembers that `object` stands for `handle`, so that poll() can free it once the object is gone. Tells V8 how much
  // memory hangs on such objects, and polls by itself when their number or size has doubled.
  void track(Handle handle, napi_value object);
  void untrack(Handle handle);
  // Frees the handles of tracked objects that were collected; returns how many.
  std::size_t poll();

  Handle putGenerator(at::Generator generator);
  at::Generator generator(double handle) const;
  bool releaseGenerator(Handle handle);

  // Builds a JavaScript TorchError. `op` may be null.
  napi_value makeError(const std::string& message, const char* op) const;

  Napi::Env env;
  // The call buffer, a Float64Array that JavaScript writes and reads.
  double* buffer = nullptr;
  std::size_t capacity = 0;
  Napi::Reference<Napi::Value> bufferReference;
  Napi::FunctionReference errorClass;
  std::unique_ptr<OperatorTable> operators;

 private:
  struct Slot {
    at::Tensor tensor;
    napi_ref weak = nullptr;
    std::uint32_t tracked = 0;  // position in tracked_ + 1
    std::int32_t generation = 1;
    std::int32_t next = -1;
    std::int64_t bytes = 0;  // told to V8 while tracked
  };
  const Slot* find(Handle handle) const;
  void tellCollector(std::int64_t change);

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> tracked_;
  std::size_t pollAtCount_ = 16384;
  std::int64_t pollAtBytes_ = std::int64_t{256} << 20;
  std::int64_t trackedBytes_ = 0;
  std::int64_t untoldBytes_ = 0;
  std::vector<at::Generator> generators_;
  std::int32_t free_ = -1;
  std::size_t live_ = 0;
};

// Message of a C++ error without libtorch's own stack.
std::string messageOf(const std::exception& error);

// Throws c10::Error with a plain message, for wrong arguments found by the addon itself.
[[noreturn]] void fail(const std::string& message);

using Function = Napi::Value (*)(Engine&, const Napi::CallbackInfo&);

// Runs a function of the addon and turns every C++ error into a TorchError.
template <Function function>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  Engine& engine = *static_cast<Engine*>(info.Data());
  std::string message;
  try {
    return function(engine, info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    message = messageOf(error);
  } catch (...) {
    message = "unknown C++ error";
  }
  throw Napi::Error(info.Env(), engine.makeError(message, nullptr));
}

// exports[name] = guarded function.
template <Function function>
void expose(Engine& engine, Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New(engine.env, guarded<function>, name, &engine));
}

// exports[name] = a raw Node-API function, for the calls that have to be fast.
void exposeRaw(Engine& engine, Napi::Object exports, const char* name, napi_callback callback);

// Reads of arguments; each throws a TypeError that names the argument.
double numberArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name);
std::int64_t integerArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name);
bool booleanArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name);
std::string stringArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name);
std::vector<std::int64_t> integersArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name);
// An array of handles; 0 is an undefined tensor.
std::vector<at::Tensor> tensorsArgument(Engine& engine, const Napi::CallbackInfo& info, std::size_t index,
                                        const char* name);

// The parts of the addon add their functions.
void exposeDispatch(Engine& engine, Napi::Object exports);
void exposeTensor(Engine& engine, Napi::Object exports);
void exposeAutograd(Engine& engine, Napi::Object exports);
void exposeRandom(Engine& engine, Napi::Object exports);
void exposeDevice(Engine& engine, Napi::Object exports);
void exposeMappedFile(Engine& engine, Napi::Object exports);
void exposeCuda(Engine& engine, Napi::Object exports);
void exposeDistributed(Engine& engine, Napi::Object exports);

}  // namespace dualvla
