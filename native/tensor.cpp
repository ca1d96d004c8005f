// Tensors from and to JavaScript memory, what a tensor is (dtype, shape, device), and handing one to another Worker.
#include <atomic>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

#include "engine.h"

namespace dualvla {
namespace {

at::ScalarType dtypeArgument(const Napi::CallbackInfo& info, std::size_t index) {
  const std::int64_t code = integerArgument(info, index, "dtype");
  if (code < 0 || code >= static_cast<std::int64_t>(c10::ScalarType::Undefined)) {
    fail("dtype " + std::to_string(code) + " does not exist in this libtorch");
  }
  return static_cast<at::ScalarType>(code);
}

struct Bytes {
  std::uint8_t* data;
  std::size_t size;
};

Bytes bytesArgument(const Napi::CallbackInfo& info, std::size_t index) {
  if (info[index].IsTypedArray()) {
    const Napi::TypedArray array = info[index].As<Napi::TypedArray>();
    return {static_cast<std::uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
  }
  throw Napi::TypeError::New(info.Env(), "data must be a typed array");
}

std::int64_t product(const std::vector<std::int64_t>& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) fail("a shape must not hold negative sizes");
    if (size > 0 && elements > INT64_MAX / 16 / size) fail("the shape has too many elements");
    elements *= size;
  }
  return elements;
}

// fromBytes(typedArray, shape, dtype): a new tensor on the CPU with a copy of the bytes.
Napi::Value FromBytes(Engine& engine, const Napi::CallbackInfo& info) {
  const Bytes bytes = bytesArgument(info, 0);
  const std::vector<std::int64_t> shape = integersArgument(info, 1, "shape");
  const at::ScalarType dtype = dtypeArgument(info, 2);
  const std::size_t size = static_cast<std::size_t>(product(shape)) * c10::elementSize(dtype);
  if (size != bytes.size) {
    fail("the shape asks for " + std::to_string(size) + " bytes and the data has " + std::to_string(bytes.size));
  }
  const at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
  if (size > 0) std::memcpy(tensor.data_ptr(), bytes.data, size);
  return Napi::Number::New(info.Env(), engine.put(tensor));
}

at::Tensor onCpu(const at::Tensor& tensor) {
  at::Tensor plain = tensor.detach();
  if (plain.is_conj() || plain.is_neg()) plain = plain.resolve_conj().resolve_neg();
  if (!plain.device().is_cpu()) plain = plain.to(at::kCPU);
  return plain.contiguous();
}

// toBytes(handle): an ArrayBuffer with a copy of the elements in row-major order.
Napi::Value ToBytes(Engine& engine, const Napi::CallbackInfo& info) {
  const at::Tensor tensor = onCpu(engine.get(info[0]));
  const std::size_t size = static_cast<std::size_t>(tensor.numel()) * tensor.element_size();
  const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), size);
  if (size > 0) std::memcpy(const_cast<Napi::ArrayBuffer&>(buffer).Data(), tensor.data_ptr(), size);
  return buffer;
}

// copyBytes(handle, typedArray): copies the elements into existing memory of exactly their size.
Napi::Value CopyBytes(Engine& engine, const Napi::CallbackInfo& info) {
  const at::Tensor tensor = onCpu(engine.get(info[0]));
  const Bytes bytes = bytesArgument(info, 1);
  const std::size_t size = static_cast<std::size_t>(tensor.numel()) * tensor.element_size();
  if (size != bytes.size) {
    fail("the tensor has " + std::to_string(size) + " bytes and the target " + std::to_string(bytes.size));
  }
  if (size > 0) std::memcpy(bytes.data, tensor.data_ptr(), size);
  return info.Env().Undefined();
}

// meta(): buffer[0] is a handle; writes dtype, device type and index, flags, number of dimensions, sizes, strides.
napi_value Meta(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  Engine& engine = *static_cast<Engine*>(data);
  try {
    if (engine.buffer == nullptr) fail("no call buffer was set");
    const double handle = engine.buffer[0];
    const at::Tensor& tensor = engine.get(handle > 0 && handle <= 2147483647.0 ? static_cast<Handle>(handle) : 0);
    double* out = engine.buffer;
    const bool strided = tensor.layout() == at::kStrided;
    *out++ = static_cast<double>(tensor.scalar_type());
    *out++ = static_cast<double>(tensor.device().type());
    *out++ = static_cast<double>(tensor.device().index());
    *out++ = (tensor.requires_grad() ? 1 : 0) + (tensor.is_leaf() ? 2 : 0) + (strided && tensor.is_contiguous() ? 4 : 0);
    *out++ = static_cast<double>(tensor.dim());
    for (const std::int64_t size : tensor.sizes()) *out++ = static_cast<double>(size);
    if (strided) {
      for (const std::int64_t stride : tensor.strides()) *out++ = static_cast<double>(stride);
    }
  } catch (const std::exception& error) {
    napi_throw(env, engine.makeError(messageOf(error), nullptr));
  }
  return nullptr;
}

// item(handle): the one element, as number or boolean.
Napi::Value Item(Engine& engine, const Napi::CallbackInfo& info) {
  const at::Scalar scalar = engine.get(info[0]).item();
  if (scalar.isBoolean()) return Napi::Boolean::New(info.Env(), scalar.toBool());
  if (scalar.isComplex()) fail("a complex number cannot be returned to JavaScript");
  return Napi::Number::New(info.Env(), scalar.toDouble());
}

// alias(handle): another handle of the same tensor.
Napi::Value Alias(Engine& engine, const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), engine.put(engine.get(info[0])));
}

// setData(handle, other): the tensor takes over the memory, dtype and device of the other one, keeping its identity.
Napi::Value SetData(Engine& engine, const Napi::CallbackInfo& info) {
  engine.get(info[0]).set_data(engine.get(info[1]));
  return info.Env().Undefined();
}

// nbytes(handle): bytes of the memory below the tensor, which views share.
Napi::Value StorageBytes(Engine& engine, const Napi::CallbackInfo& info) {
  const at::Tensor& tensor = engine.get(info[0]);
  const double bytes = tensor.has_storage() ? static_cast<double>(tensor.storage().nbytes()) : 0;
  return Napi::Number::New(info.Env(), bytes);
}

// storageId(handle): equal for tensors that share memory.
Napi::Value StorageId(Engine& engine, const Napi::CallbackInfo& info) {
  const at::Tensor& tensor = engine.get(info[0]);
  const auto* storage = tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
  return Napi::Number::New(info.Env(), static_cast<double>(reinterpret_cast<std::uintptr_t>(storage)));
}

// Tensors on their way to another Worker. They hold no JavaScript value, so any environment can take them.
std::mutex sharedMutex;
std::unordered_map<std::int64_t, at::Tensor>& sharedTensors() {
  static auto* tensors = new std::unordered_map<std::int64_t, at::Tensor>();
  return *tensors;
}
std::atomic<std::int64_t> nextToken{1};

// share(handle): a token with which any environment of this process can adopt the tensor once, without a copy.
Napi::Value Share(Engine& engine, const Napi::CallbackInfo& info) {
  at::Tensor tensor = engine.get(info[0]).detach();
  const std::int64_t token = nextToken++;
  const std::lock_guard<std::mutex> lock(sharedMutex);
  sharedTensors()[token] = std::move(tensor);
  return Napi::Number::New(info.Env(), static_cast<double>(token));
}

// adopt(token): the handle of the shared tensor. The token is used up.
Napi::Value Adopt(Engine& engine, const Napi::CallbackInfo& info) {
  const std::int64_t token = integerArgument(info, 0, "token");
  at::Tensor tensor;
  {
    const std::lock_guard<std::mutex> lock(sharedMutex);
    const auto found = sharedTensors().find(token);
    if (found == sharedTensors().end()) fail("no tensor is shared under this token, or it was adopted already");
    tensor = std::move(found->second);
    sharedTensors().erase(found);
  }
  return Napi::Number::New(info.Env(), engine.put(std::move(tensor)));
}

}  // namespace

void exposeTensor(Engine& engine, Napi::Object exports) {
  expose<FromBytes>(engine, exports, "fromBytes");
  expose<ToBytes>(engine, exports, "toBytes");
  expose<CopyBytes>(engine, exports, "copyBytes");
  exposeRaw(engine, exports, "meta", Meta);
  expose<Item>(engine, exports, "item");
  expose<Alias>(engine, exports, "alias");
  expose<SetData>(engine, exports, "setData");
  expose<StorageBytes>(engine, exports, "storageBytes");
  expose<StorageId>(engine, exports, "storageId");
  expose<Share>(engine, exports, "share");
  expose<Adopt>(engine, exports, "adopt");
}

}  // namespace dualvla
