// The environment's tables, errors, and the addon's entry.
#include "engine.h"

#include <malloc.h>

#include <cmath>
#include <functional>
#include <mutex>

#include <c10/util/Logging.h>

#include "dispatch.h"

namespace dualvla {
namespace {

constexpr std::int32_t kIndexBits = 23;
constexpr std::int32_t kIndexMask = (1 << kIndexBits) - 1;
constexpr std::int32_t kMaxGeneration = 255;

// glibc gives freed memory above a threshold back to the kernel at once, and a training step then spends most of its
// time in page faults. Environment variables for malloc are read before the addon exists.
void tuneMalloc() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

void prepareProcess() {
  static std::once_flag once;
  std::call_once(once, [] {
    tuneMalloc();
    // Symbolising a C++ stack costs 10 ms an error; the JavaScript stack says more.
    c10::SetStackTraceFetcher(std::function<std::string()>([] { return std::string(); }));
  });
}

}  // namespace

Engine::Engine(Napi::Env environment) : env(environment), operators(std::make_unique<OperatorTable>()) {
  slots_.reserve(4096);
}

Engine::~Engine() = default;

const Engine::Slot* Engine::find(Handle handle) const {
  const std::int32_t index = handle & kIndexMask;
  if (handle <= 0 || static_cast<std::size_t>(index) >= slots_.size()) return nullptr;
  const Slot& slot = slots_[static_cast<std::size_t>(index)];
  return slot.tensor.defined() && slot.generation == handle >> kIndexBits ? &slot : nullptr;
}

Handle Engine::put(at::Tensor tensor) {
  if (!tensor.defined()) return 0;
  std::int32_t index = free_;
  if (index >= 0) {
    free_ = slots_[static_cast<std::size_t>(index)].next;
  } else {
    index = static_cast<std::int32_t>(slots_.size());
    if (index > kIndexMask) fail("more than 8388608 tensors are alive at once: dispose some or use scope()");
    slots_.emplace_back();
  }
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  slot.tensor = std::move(tensor);
  ++live_;
  return (slot.generation << kIndexBits) | index;
}

const at::Tensor& Engine::get(Handle handle) const {
  const Slot* slot = find(handle);
  if (slot == nullptr) fail("no live tensor has handle " + std::to_string(handle));
  return slot->tensor;
}

const at::Tensor& Engine::get(const Napi::Value& value) const {
  if (!value.IsNumber()) throw Napi::TypeError::New(env, "a tensor handle must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number > 0 && number <= 2147483647.0)) fail("no live tensor has handle " + std::to_string(number));
  return get(static_cast<Handle>(number));
}

bool Engine::release(Handle handle) {
  if (find(handle) == nullptr) return false;
  const std::int32_t index = handle & kIndexMask;
  untrack(handle);
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  slot.generation = slot.generation >= kMaxGeneration ? 1 : slot.generation + 1;
  slot.next = free_;
  free_ = index;
  --live_;
  // Last, because freeing a graph may take long and must find the table consistent.
  at::Tensor dropped = std::move(slot.tensor);
  slot.tensor = at::Tensor();
  return true;
}

void Engine::track(Handle handle, napi_value object) {
  if (find(handle) == nullptr) return;
  const auto index = static_cast<std::uint32_t>(handle & kIndexMask);
  Slot& slot = slots_[index];
  if (slot.weak != nullptr) return;
  if (napi_create_reference(env, object, 0, &slot.weak) != napi_ok) {
    slot.weak = nullptr;
    return;
  }
  tracked_.push_back(index);
  slot.tracked = static_cast<std::uint32_t>(tracked_.size());
  // The JavaScript object, its reference and libtorch's own part of a tensor take some hundred bytes too.
  slot.bytes = 512 + (slot.tensor.has_storage() ? static_cast<std::int64_t>(slot.tensor.storage().nbytes()) : 0);
  trackedBytes_ += slot.bytes;
  tellCollector(slot.bytes);
  if (tracked_.size() < pollAtCount_ && trackedBytes_ < pollAtBytes_) return;
  poll();
  pollAtCount_ = 2 * tracked_.size() + 16384;
  pollAtBytes_ = trackedBytes_ + trackedBytes_ / 4 + (std::int64_t{64} << 20);
}

// Telling V8 may run its collector, so it is done for some megabytes at a time.
void Engine::tellCollector(std::int64_t change) {
  constexpr std::int64_t kStep = 16 << 20;
  untoldBytes_ += change;
  if (untoldBytes_ < kStep && untoldBytes_ > -kStep) return;
  std::int64_t told = 0;
  napi_adjust_external_memory(env, untoldBytes_, &told);
  untoldBytes_ = 0;
}

void Engine::untrack(Handle handle) {
  Slot& slot = slots_[static_cast<std::size_t>(handle & kIndexMask)];
  if (slot.weak == nullptr) return;
  napi_delete_reference(env, slot.weak);
  slot.weak = nullptr;
  const std::uint32_t last = tracked_.back();
  tracked_[slot.tracked - 1] = last;
  slots_[last].tracked = slot.tracked;
  tracked_.pop_back();
  slot.tracked = 0;
  trackedBytes_ -= slot.bytes;
  tellCollector(-slot.bytes);
  slot.bytes = 0;
}

std::size_t Engine::poll() {
  std::size_t freed = 0;
  for (std::size_t i = tracked_.size(); i-- > 0;) {
    const std::uint32_t index = tracked_[i];
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env, &scope);
    napi_value object = nullptr;
    const bool gone = napi_get_reference_value(env, slots_[index].weak, &object) == napi_ok && object == nullptr;
    napi_close_handle_scope(env, scope);
    if (!gone) continue;
    release((slots_[index].generation << kIndexBits) | static_cast<std::int32_t>(index));
    ++freed;
    if (i > tracked_.size()) i = tracked_.size();
  }
  return freed;
}

Handle Engine::putGenerator(at::Generator generator) {
  for (std::size_t i = 0; i < generators_.size(); ++i) {
    if (generators_[i].defined()) continue;
    generators_[i] = std::move(generator);
    return static_cast<Handle>(i + 1);
  }
  generators_.push_back(std::move(generator));
  return static_cast<Handle>(generators_.size());
}

at::Generator Engine::generator(double handle) const {
  if (!(handle >= 1 && handle <= static_cast<double>(generators_.size()))) fail("no live generator has this handle");
  const at::Generator& found = generators_[static_cast<std::size_t>(handle) - 1];
  if (!found.defined()) fail("the generator was disposed");
  return found;
}

bool Engine::releaseGenerator(Handle handle) {
  if (handle < 1 || static_cast<std::size_t>(handle) > generators_.size()) return false;
  at::Generator& found = generators_[static_cast<std::size_t>(handle) - 1];
  if (!found.defined()) return false;
  found = at::Generator();
  return true;
}

napi_value Engine::makeError(const std::string& message, const char* op) const {
  napi_value text = nullptr;
  napi_value name = nullptr;
  napi_create_string_utf8(env, message.data(), message.size(), &text);
  if (op != nullptr) {
    napi_create_string_utf8(env, op, NAPI_AUTO_LENGTH, &name);
  } else {
    napi_get_null(env, &name);
  }
  napi_value error = nullptr;
  const napi_value arguments[] = {text, name};
  if (!errorClass.IsEmpty() && napi_new_instance(env, errorClass.Value(), 2, arguments, &error) == napi_ok) return error;
  napi_create_error(env, nullptr, text, &error);
  return error;
}

std::string messageOf(const std::exception& error) {
  const auto* torch = dynamic_cast<const c10::Error*>(&error);
  std::string text = torch != nullptr ? torch->what_without_backtrace() : error.what();
  const std::size_t trace = text.find("\nException raised from");
  if (trace != std::string::npos) text.resize(trace);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

void fail(const std::string& message) {
  throw c10::Error({__func__, __FILE__, static_cast<std::uint32_t>(__LINE__)}, message);
}

void exposeRaw(Engine& engine, Napi::Object exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(engine.env, name, NAPI_AUTO_LENGTH, callback, &engine, &function);
  napi_set_named_property(engine.env, exports, name, function);
}

namespace {

[[noreturn]] void wrongType(const Napi::CallbackInfo& info, const char* name, const char* expected) {
  throw Napi::TypeError::New(info.Env(), std::string(name) + " must be " + expected);
}

bool isInteger(double value) {
  return value >= -9007199254740992.0 && value <= 9007199254740992.0 && std::floor(value) == value;
}

}  // namespace

double numberArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  if (!info[index].IsNumber()) wrongType(info, name, "a number");
  return info[index].As<Napi::Number>().DoubleValue();
}

std::int64_t integerArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  const double value = numberArgument(info, index, name);
  if (!isInteger(value)) wrongType(info, name, "an integer");
  return static_cast<std::int64_t>(value);
}

bool booleanArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  if (!info[index].IsBoolean()) wrongType(info, name, "a boolean");
  return info[index].As<Napi::Boolean>();
}

std::string stringArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  if (!info[index].IsString()) wrongType(info, name, "a string");
  return info[index].As<Napi::String>();
}

std::vector<std::int64_t> integersArgument(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  if (!info[index].IsArray()) wrongType(info, name, "an array of integers");
  const Napi::Array array = info[index].As<Napi::Array>();
  std::vector<std::int64_t> values(array.Length());
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value value = array.Get(i);
    if (!value.IsNumber() || !isInteger(value.As<Napi::Number>())) wrongType(info, name, "an array of integers");
    values[i] = value.As<Napi::Number>().Int64Value();
  }
  return values;
}

std::vector<at::Tensor> tensorsArgument(Engine& engine, const Napi::CallbackInfo& info, std::size_t index,
                                        const char* name) {
  std::vector<at::Tensor> tensors;
  for (const std::int64_t handle : integersArgument(info, index, name)) {
    if (handle < 0 || handle > 2147483647) fail("no live tensor has handle " + std::to_string(handle));
    tensors.push_back(handle == 0 ? at::Tensor() : engine.get(static_cast<Handle>(handle)));
  }
  return tensors;
}

namespace {

Napi::Value SetErrorClass(Engine& engine, const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) wrongType(info, "errorClass", "a class");
  engine.errorClass = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Value SetBuffer(Engine& engine, const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    wrongType(info, "buffer", "a Float64Array");
  }
  const Napi::Float64Array array = info[0].As<Napi::Float64Array>();
  if (array.ElementLength() < 4096) wrongType(info, "buffer", "at least 4096 long");
  engine.bufferReference = Napi::Reference<Napi::Value>::New(array, 1);
  engine.buffer = const_cast<double*>(array.Data());
  engine.capacity = array.ElementLength();
  return info.Env().Undefined();
}

Napi::Value LiveCount(Engine& engine, const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(engine.liveCount()));
}

Napi::Value Poll(Engine& engine, const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(engine.poll()));
}

// track(object, handle)
napi_value Track(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  std::size_t count = 2;
  napi_value arguments[2] = {nullptr, nullptr};
  std::int32_t handle = 0;
  napi_valuetype type = napi_undefined;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, &data) == napi_ok && count == 2 &&
      napi_typeof(env, arguments[0], &type) == napi_ok && type == napi_object &&
      napi_get_value_int32(env, arguments[1], &handle) == napi_ok) {
    static_cast<Engine*>(data)->track(handle, arguments[0]);
  }
  return nullptr;
}

// release(): frees buffer[1 .. buffer[0]].
napi_value Release(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  Engine& engine = *static_cast<Engine*>(data);
  if (engine.buffer == nullptr) return nullptr;
  const double count = engine.buffer[0];
  for (std::size_t i = 1; i < engine.capacity && static_cast<double>(i) <= count; ++i) {
    const double handle = engine.buffer[i];
    if (handle > 0 && handle <= 2147483647.0) engine.release(static_cast<Handle>(handle));
  }
  return nullptr;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  prepareProcess();
  auto* engine = new Engine(env);
  env.SetInstanceData<Engine>(engine);
  expose<SetErrorClass>(*engine, exports, "setErrorClass");
  expose<SetBuffer>(*engine, exports, "setBuffer");
  expose<LiveCount>(*engine, exports, "liveCount");
  expose<Poll>(*engine, exports, "poll");
  exposeRaw(*engine, exports, "track", Track);
  exposeRaw(*engine, exports, "release", Release);
  exposeDispatch(*engine, exports);
  exposeTensor(*engine, exports);
  exposeAutograd(*engine, exports);
  exposeRandom(*engine, exports);
  exposeDevice(*engine, exports);
  exposeMappedFile(*engine, exports);
#ifdef DUALVLA_CUDA_RUNTIME
  exposeCuda(*engine, exports);
#endif
#ifdef DUALVLA_DISTRIBUTED
  exposeDistributed(*engine, exports);
#endif
  return exports;
}

}  // namespace
}  // namespace dualvla

static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) { return dualvla::Init(env, exports); }
NODE_API_MODULE(dualvla, InitAddon)
