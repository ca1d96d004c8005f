// Calls any operator of libtorch by its schema, boxed: arguments and results pass through the engine's buffer, so that a
// call crosses from JavaScript once and creates no JavaScript value.
#include "dispatch.h"

#include <cmath>
#include <sstream>

#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>
#include <ATen/core/stack.h>

#include <ATen/ScalarOps.h>

namespace dualvla {
namespace {

// Walks over the call buffer; every read is checked, because the buffer is written from outside.
class Reader {
 public:
  Reader(const double* data, std::size_t size) : at_(data), end_(data + size) {}
  double next() {
    if (at_ == end_) fail("the call buffer is cut off");
    return *at_++;
  }
  Tag tag() {
    const double value = next();
    if (!(value >= 0 && value <= 14)) fail("the call buffer holds no value where one is expected");
    return static_cast<Tag>(static_cast<int>(value));
  }
  std::size_t count() {
    const double value = next();
    if (!(value >= 0 && value <= static_cast<double>(end_ - at_))) fail("the call buffer is cut off in a list");
    return static_cast<std::size_t>(value);
  }
  std::int64_t integer() {
    const double value = next();
    if (!(value >= -9223372036854775808.0 && value < 9223372036854775808.0) || std::floor(value) != value) {
      fail("a value is not an integer of 64 bits");
    }
    return static_cast<std::int64_t>(value);
  }

 private:
  const double* at_;
  const double* end_;
};

const at::Tensor& tensorAt(const Engine& engine, double handle) {
  if (!(handle > 0 && handle <= 2147483647.0)) fail("no live tensor has handle " + std::to_string(handle));
  return engine.get(static_cast<Handle>(handle));
}

std::string readString(Reader& reader) {
  const std::size_t length = reader.count();
  std::string text;
  text.reserve(length);
  for (std::size_t i = 0; i < length; ++i) {
    const auto unit = static_cast<std::uint32_t>(reader.integer()) & 0xFFFFU;
    if (unit < 0x80) {
      text += static_cast<char>(unit);
    } else if (unit < 0x800) {
      text += static_cast<char>(0xC0 | (unit >> 6));
      text += static_cast<char>(0x80 | (unit & 0x3F));
    } else {
      text += static_cast<char>(0xE0 | (unit >> 12));
      text += static_cast<char>(0x80 | ((unit >> 6) & 0x3F));
      text += static_cast<char>(0x80 | (unit & 0x3F));
    }
  }
  return text;
}

c10::Device readDevice(Reader& reader) {
  const std::int64_t type = reader.integer();
  const std::int64_t index = reader.integer();
  if (type < 0 || type >= static_cast<std::int64_t>(c10::COMPILE_TIME_MAX_DEVICE_TYPES)) fail("unknown device type");
  if (index < -1 || index > 127) fail("the device index is out of range");
  return c10::Device(static_cast<c10::DeviceType>(type), static_cast<c10::DeviceIndex>(index));
}

at::Scalar readScalar(Reader& reader, Tag tag) {
  switch (tag) {
    case Tag::Int:
      return at::Scalar(reader.integer());
    case Tag::Double:
      return at::Scalar(reader.next());
    case Tag::Bool:
      return at::Scalar(reader.next() != 0);
    default:
      fail("is not a number");
  }
}

[[noreturn]] void mismatch(const char* expected) { fail(std::string("is not ") + expected); }

c10::IValue readList(Engine& engine, Reader& reader, const Parameter& p, Tag tag) {
  switch (p.kind) {
    case Kind::Tensor: {
      if (tag != Tag::Tensors) mismatch("a list of tensors");
      const std::size_t length = reader.count();
      if (p.optionalElements) {
        c10::List<c10::optional<at::Tensor>> list;
        list.reserve(length);
        for (std::size_t i = 0; i < length; ++i) {
          const double handle = reader.next();
          list.push_back(handle == 0 ? c10::optional<at::Tensor>() : c10::optional<at::Tensor>(tensorAt(engine, handle)));
        }
        return list;
      }
      c10::List<at::Tensor> list;
      list.reserve(length);
      for (std::size_t i = 0; i < length; ++i) list.push_back(tensorAt(engine, reader.next()));
      return list;
    }
    case Kind::Int: {
      if (tag != Tag::Ints) mismatch("a list of integers");
      const std::size_t length = reader.count();
      // Kernels that want a pair read its second element unchecked.
      const bool fits = length == 1 || length == static_cast<std::size_t>(p.size) || (length == 0 && p.hasDefault);
      if (p.size > 1 && !fits) fail("must have " + std::to_string(p.size) + " elements, not " + std::to_string(length));
      c10::List<std::int64_t> list;
      list.reserve(length);
      for (std::size_t i = 0; i < length; ++i) list.push_back(reader.integer());
      return list;
    }
    case Kind::Float: {
      if (tag != Tag::Doubles) mismatch("a list of numbers");
      const std::size_t length = reader.count();
      c10::List<double> list;
      list.reserve(length);
      for (std::size_t i = 0; i < length; ++i) list.push_back(reader.next());
      return list;
    }
    case Kind::Bool: {
      if (tag != Tag::Bools) mismatch("a list of booleans");
      const std::size_t length = reader.count();
      c10::List<bool> list;
      list.reserve(length);
      for (std::size_t i = 0; i < length; ++i) list.push_back(reader.next() != 0);
      return list;
    }
    case Kind::Scalar: {
      if (tag != Tag::Scalars) mismatch("a list of numbers");
      const std::size_t length = reader.count();
      c10::impl::GenericList list(c10::NumberType::get());
      list.reserve(length);
      for (std::size_t i = 0; i < length; ++i) {
        const Tag element = reader.tag();
        list.push_back(c10::IValue(readScalar(reader, element)));
      }
      return list;
    }
    default:
      fail("has a type that cannot be passed from JavaScript");
  }
}

c10::IValue readSingle(Engine& engine, Reader& reader, const Parameter& p, Tag tag) {
  switch (p.kind) {
    case Kind::Tensor:
      if (tag == Tag::Tensor) return tensorAt(engine, reader.next());
      if (tag == Tag::Int || tag == Tag::Double || tag == Tag::Bool) {
        at::Tensor wrapped = c10::scalar_to_tensor(readScalar(reader, tag));
        wrapped.unsafeGetTensorImpl()->set_wrapped_number(true);
        return wrapped;
      }
      mismatch("a tensor");
    case Kind::Int:
      if (tag != Tag::Int) mismatch("an integer");
      return reader.integer();
    case Kind::Float:
      if (tag != Tag::Int && tag != Tag::Double) mismatch("a number");
      return reader.next();
    case Kind::Scalar:
      return readScalar(reader, tag);
    case Kind::Bool:
      if (tag != Tag::Bool) mismatch("a boolean");
      return reader.next() != 0;
    case Kind::String:
      if (tag != Tag::String) mismatch("a string");
      return readString(reader);
    case Kind::DType: {
      if (tag != Tag::Int) mismatch("a dtype");
      const std::int64_t code = reader.integer();
      if (code < 0 || code >= static_cast<std::int64_t>(c10::ScalarType::Undefined)) {
        fail("is a dtype that this libtorch does not have");
      }
      return code;
    }
    case Kind::Layout:
    case Kind::MemoryFormat: {
      if (tag != Tag::Int) mismatch("a layout or memory format");
      const std::int64_t code = reader.integer();
      if (code < 0 || code > 3) mismatch("a layout or memory format");
      return code;
    }
    case Kind::Device:
      if (tag != Tag::Device) mismatch("a device");
      return readDevice(reader);
    case Kind::Generator:
      if (tag != Tag::Generator) mismatch("a generator");
      return engine.generator(reader.next());
    case Kind::Unsupported:
      break;
  }
  fail("has a type that cannot be passed from JavaScript");
}

c10::IValue readArgument(Engine& engine, Reader& reader, const Parameter& p) {
  const Tag tag = reader.tag();
  if (tag == Tag::Default) {
    if (!p.hasDefault) fail("is missing");
    return p.defaultValue;
  }
  if (tag == Tag::None) {
    if (!p.optional) fail("must not be null");
    return {};
  }
  return p.list ? readList(engine, reader, p, tag) : readSingle(engine, reader, p, tag);
}

// Writes results; `overflow` takes what does not fit, which only a list of tens of thousands can reach.
class Writer {
 public:
  Writer(double* data, std::size_t size) : at_(data), end_(data + size) {}
  void put(double value) {
    if (at_ == end_) fail("the results do not fit into the call buffer");
    *at_++ = value;
  }
  void put(Tag tag) { put(static_cast<double>(static_cast<int>(tag))); }

 private:
  double* at_;
  double* end_;
};

void writeResult(Engine& engine, Writer& writer, const c10::IValue& value) {
  if (value.isTensor()) {
    writer.put(Tag::Tensor);
    writer.put(engine.put(value.toTensor()));
  } else if (value.isTensorList()) {
    const c10::List<at::Tensor> list = value.toTensorList();
    writer.put(Tag::Tensors);
    writer.put(static_cast<double>(list.size()));
    for (std::size_t i = 0; i < list.size(); ++i) writer.put(engine.put(list.get(i)));
  } else if (value.isInt()) {
    writer.put(Tag::Int);
    writer.put(static_cast<double>(value.toInt()));
  } else if (value.isDouble()) {
    writer.put(Tag::Double);
    writer.put(value.toDouble());
  } else if (value.isBool()) {
    writer.put(Tag::Bool);
    writer.put(value.toBool() ? 1 : 0);
  } else if (value.isIntList()) {
    const auto list = value.toIntVector();
    writer.put(Tag::Ints);
    writer.put(static_cast<double>(list.size()));
    for (const std::int64_t element : list) writer.put(static_cast<double>(element));
  } else if (value.isDoubleList()) {
    const auto list = value.toDoubleVector();
    writer.put(Tag::Doubles);
    writer.put(static_cast<double>(list.size()));
    for (const double element : list) writer.put(element);
  } else if (value.isScalar()) {
    const at::Scalar scalar = value.toScalar();
    if (scalar.isComplex()) fail("a complex number cannot be returned to JavaScript");
    writer.put(Tag::Double);
    writer.put(scalar.toDouble());
  } else if (value.isNone()) {
    writer.put(Tag::None);
  } else {
    fail("a result of type " + value.tagKind() + " cannot be returned to JavaScript");
  }
}

// Shape and dtype of a tensor as in "float32[2, 3]".
void describeTensor(std::ostream& out, const at::Tensor& tensor) {
  static const char* const names[] = {"uint8",   "int8",    "int16",     "int32",     "int64",
                                      "float16", "float32", "float64",   "complex32", "complex64",
                                      "complex128", "bool"};
  const auto code = static_cast<std::size_t>(tensor.scalar_type());
  if (code < 12) {
    out << names[code];
  } else if (tensor.scalar_type() == at::kBFloat16) {
    out << "bfloat16";
  } else {
    out << c10::toString(tensor.scalar_type());
  }
  if (tensor.layout() != at::kStrided) {
    out << "(" << tensor.layout() << ")";
    return;
  }
  out << "[";
  for (std::int64_t i = 0; i < tensor.dim(); ++i) out << (i > 0 ? ", " : "") << tensor.size(i);
  out << "]";
  if (!tensor.device().is_cpu()) out << " on " << tensor.device().str();
}

void describeValue(std::ostream& out, const c10::IValue& value) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) {
      describeTensor(out, value.toTensor());
    } else {
      out << "none";
    }
  } else if (value.isTensorList()) {
    const c10::List<at::Tensor> list = value.toTensorList();
    out << "[";
    for (std::size_t i = 0; i < list.size() && i < 4; ++i) {
      if (i > 0) out << ", ";
      describeTensor(out, list.get(i));
    }
    if (list.size() > 4) out << ", ... " << list.size() << " in all";
    out << "]";
  } else if (value.isGenerator()) {
    out << "Generator";
  } else if (value.isList() && !value.isIntList() && !value.isDoubleList() && !value.isBoolList()) {
    out << "list of " << value.toListRef().size();
  } else {
    out << value;
  }
}

// The arguments of a failed call. They are read again from the buffer, because the operator consumed the stack.
std::string describeArguments(Engine& engine, const Operator& op, std::size_t given) {
  std::ostringstream out;
  Reader reader(engine.buffer + 2, engine.capacity - 2);
  for (std::size_t i = 0; i < given && i < op.parameters.size(); ++i) {
    out << (i == 0 ? "" : ", ") << op.parameters[i].name << ": ";
    try {
      describeValue(out, readArgument(engine, reader, op.parameters[i]));
    } catch (const std::exception& error) {
      out << messageOf(error);
      return out.str();
    }
  }
  return out.str();
}

// Reads a call from the buffer (operator id, number of arguments, arguments), runs it, and writes what it returns:
// for a single tensor its handle; nothing for an argument alone; else the number of results and each with its tag.
void run(Engine& engine, const Operator& op, std::size_t given) {
  torch::jit::Stack& stack = engine.operators->stack;
  stack.clear();
  if (given > op.parameters.size()) fail("too many arguments");
  Reader reader(engine.buffer + 2, engine.capacity - 2);
  for (std::size_t i = 0; i < op.parameters.size(); ++i) {
    const Parameter& p = op.parameters[i];
    if (i >= given) {
      if (!p.hasDefault) fail("argument '" + p.name + "' is missing");
      stack.push_back(p.defaultValue);
      continue;
    }
    try {
      stack.push_back(readArgument(engine, reader, p));
    } catch (const c10::Error& error) {
      fail("argument '" + p.name + "' " + messageOf(error));
    }
  }
  op.handle.callBoxed(&stack);
  if (stack.size() == 1 && op.aliases.size() == 1 && op.aliases[0] < 0 && stack[0].isTensor()) {
    engine.buffer[0] = engine.put(std::move(stack[0]).toTensor());
    stack.clear();
    return;
  }
  if (op.aliases.size() == 1 && op.aliases[0] >= 0) {
    stack.clear();  // the caller knows which argument it is
    return;
  }
  Writer writer(engine.buffer, engine.capacity);
  writer.put(static_cast<double>(stack.size()));
  for (std::size_t i = 0; i < stack.size(); ++i) {
    const std::int32_t alias = i < op.aliases.size() ? op.aliases[i] : -1;
    if (alias >= 0) {
      writer.put(Tag::Alias);
      writer.put(alias);
    } else {
      writeResult(engine, writer, stack[i]);
    }
  }
  stack.clear();
}

napi_value Call(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  Engine& engine = *static_cast<Engine*>(data);
  const Operator* op = nullptr;
  std::size_t given = 0;
  std::string message;
  try {
    if (engine.buffer == nullptr) fail("no call buffer was set");
    op = &engine.operators->at(engine.buffer[0]);
    const double count = engine.buffer[1];
    if (!(count >= 0 && count <= 64)) fail("too many arguments");
    given = static_cast<std::size_t>(count);
    run(engine, *op, given);
    return nullptr;
  } catch (const std::exception& error) {
    message = messageOf(error);
  } catch (...) {
    message = "unknown C++ error";
  }
  if (op == nullptr) {
    napi_throw(env, engine.makeError(message, nullptr));
    return nullptr;
  }
  try {
    const std::string arguments = describeArguments(engine, *op, given);
    message = op->name + "(" + arguments + "): " + message;
  } catch (...) {
    message = op->name + ": " + message;
  }
  napi_throw(env, engine.makeError(message, op->name.c_str()));
  return nullptr;
}

// operatorNames(): every name without overloads, one a line.
Napi::Value OperatorNames(Engine& engine, const Napi::CallbackInfo& info) {
  std::string joined;
  for (const auto& entry : engine.operators->names()) {
    if (!joined.empty()) joined += '\n';
    joined += entry.first;
  }
  return Napi::String::New(info.Env(), joined);
}

Napi::Value DescribeOperator(Engine& engine, const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), engine.operators->describe(stringArgument(info, 0, "name")));
}

Napi::Value HasOperator(Engine& engine, const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), engine.operators->has(stringArgument(info, 0, "name")));
}

}  // namespace

void exposeDispatch(Engine& engine, Napi::Object exports) {
  exposeRaw(engine, exports, "call", Call);
  expose<OperatorNames>(engine, exports, "operatorNames");
  expose<DescribeOperator>(engine, exports, "describeOperator");
  expose<HasOperator>(engine, exports, "hasOperator");
}

}  // namespace dualvla
