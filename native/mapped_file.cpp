// Files mapped into memory, and tensors that lie in them. A mapping lives as long as the last tensor on it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "engine.h"

namespace dualvla {
namespace {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail("cannot open " + path + ": " + std::strerror(errno));
    struct stat status {};
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
      close(file);
      fail(path + " is not a regular file");
    }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ > 0) {
      // Private: writing into such a tensor copies the page and never reaches the file.
      data_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    }
    const int reason = errno;
    close(file);
    if (data_ == MAP_FAILED) {
      data_ = nullptr;
      fail("cannot map " + path + ": " + std::strerror(reason));
    }
  }
  ~MappedFile() {
    if (data_ != nullptr) munmap(data_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::uint8_t* data() const { return static_cast<std::uint8_t*>(data_); }
  std::size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

using Shared = std::shared_ptr<MappedFile>;

const napi_type_tag kMappedFileTag = {0x6475616c766c6100ULL, 0x6d61707065640001ULL};

Shared& mappingArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal() || !info[0].As<Napi::External<Shared>>().CheckTypeTag(&kMappedFileTag)) {
    throw Napi::TypeError::New(info.Env(), "mapping must come from mapFile()");
  }
  Shared& mapping = *info[0].As<Napi::External<Shared>>().Data();
  if (mapping == nullptr) fail("the mapped file was closed");
  return mapping;
}

// mapFile(path): a mapping
Napi::Value MapFile(Engine&, const Napi::CallbackInfo& info) {
  auto* mapping = new Shared(std::make_shared<MappedFile>(stringArgument(info, 0, "path")));
  auto external = Napi::External<Shared>::New(info.Env(), mapping, [](Napi::Env, Shared* held) { delete held; });
  external.TypeTag(&kMappedFileTag);
  return external;
}

Napi::Value MappedSize(Engine&, const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(mappingArgument(info)->size()));
}

struct Range {
  std::size_t offset;
  std::size_t size;
};

Range rangeArgument(const Napi::CallbackInfo& info, const MappedFile& file, std::size_t size) {
  const std::int64_t offset = integerArgument(info, 1, "offset");
  if (offset < 0 || static_cast<std::size_t>(offset) > file.size() ||
      size > file.size() - static_cast<std::size_t>(offset)) {
    fail("bytes " + std::to_string(offset) + " to " + std::to_string(offset + static_cast<std::int64_t>(size)) +
         " lie outside the file of " + std::to_string(file.size()) + " bytes");
  }
  return {static_cast<std::size_t>(offset), size};
}

// mappedBytes(mapping, offset, length): an ArrayBuffer with a copy
Napi::Value MappedBytes(Engine&, const Napi::CallbackInfo& info) {
  const Shared& file = mappingArgument(info);
  const std::int64_t length = integerArgument(info, 2, "length");
  if (length < 0) fail("length must not be negative");
  const Range range = rangeArgument(info, *file, static_cast<std::size_t>(length));
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), range.size);
  if (range.size > 0) std::memcpy(buffer.Data(), file->data() + range.offset, range.size);
  return buffer;
}

// mappedTensor(mapping, offset, shape, dtype): a tensor in the mapped memory; a copy where it is not aligned
Napi::Value MappedTensor(Engine& engine, const Napi::CallbackInfo& info) {
  const Shared file = mappingArgument(info);
  const std::vector<std::int64_t> shape = integersArgument(info, 2, "shape");
  const std::int64_t code = integerArgument(info, 3, "dtype");
  if (code < 0 || code >= static_cast<std::int64_t>(c10::ScalarType::Undefined)) {
    fail("dtype " + std::to_string(code) + " does not exist in this libtorch");
  }
  const auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(code));
  const std::size_t width = c10::elementSize(static_cast<at::ScalarType>(code));
  std::size_t size = width;
  for (const std::int64_t length : shape) {
    if (length < 0) fail("a shape must not hold negative sizes");
    if (__builtin_mul_overflow(size, static_cast<std::size_t>(length), &size)) fail("the shape is too large");
  }
  const Range range = rangeArgument(info, *file, size);
  if (range.size == 0) return Napi::Number::New(info.Env(), engine.put(at::empty(shape, options)));
  std::uint8_t* data = file->data() + range.offset;
  if (range.offset % width != 0) {
    const at::Tensor copy = at::empty(shape, options);
    std::memcpy(copy.data_ptr(), data, range.size);
    return Napi::Number::New(info.Env(), engine.put(copy));
  }
  // The deleter may run on any thread and after this environment ended: it holds nothing of JavaScript.
  return Napi::Number::New(info.Env(), engine.put(at::from_blob(data, shape, [file](void*) {}, options)));
}

// unmapFile(mapping): gives up the mapping; tensors on it keep it alive.
Napi::Value UnmapFile(Engine&, const Napi::CallbackInfo& info) {
  mappingArgument(info).reset();
  return info.Env().Undefined();
}

}  // namespace

void exposeMappedFile(Engine& engine, Napi::Object exports) {
  expose<MapFile>(engine, exports, "mapFile");
  expose<MappedSize>(engine, exports, "mappedSize");
  expose<MappedBytes>(engine, exports, "mappedBytes");
  expose<MappedTensor>(engine, exports, "mappedTensor");
  expose<UnmapFile>(engine, exports, "unmapFile");
}

}  // namespace dualvla
