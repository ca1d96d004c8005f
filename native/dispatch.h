// Calls any operator of libtorch by its schema: the table of operators (operator_table.cpp) and the calls (dispatch.cpp).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include "engine.h"

namespace dualvla {

// What an argument of an operator may be. The numbers are known to src/torch/schema.ts.
enum class Kind : std::uint8_t {
  Tensor = 0,
  Int = 1,
  Float = 2,
  Scalar = 3,
  Bool = 4,
  String = 5,
  DType = 6,
  Device = 7,
  Layout = 8,
  MemoryFormat = 9,
  Generator = 10,
  Unsupported = 11,
};

// How a value stands in the call buffer. The numbers are known to src/torch/encode.ts.
enum class Tag : std::uint8_t {
  Default = 0,  // the schema's default
  None = 1,
  Tensor = 2,       // handle
  Int = 3,          // value
  Double = 4,       // value
  Bool = 5,         // 0 or 1
  String = 6,       // length, UTF-16 units
  Device = 7,       // type, index
  Generator = 8,    // handle
  Ints = 9,         // length, values
  Doubles = 10,     // length, values
  Bools = 11,       // length, values
  Tensors = 12,     // length, handles (0: none)
  Scalars = 13,     // length, then tag and value each
  Alias = 14,       // results only: the argument at this position
};

struct Parameter {
  std::string name;
  Kind kind = Kind::Unsupported;
  bool optional = false;
  bool list = false;
  bool optionalElements = false;
  bool keywordOnly = false;
  bool written = false;
  std::int32_t size = -1;
  bool hasDefault = false;
  c10::IValue defaultValue;
};

struct Operator {
  c10::OperatorHandle handle;
  std::string name;  // aten::add.Tensor
  std::vector<Parameter> parameters;
  std::vector<std::int32_t> aliases;  // a return: the argument it is, or -1
};

class OperatorTable {
 public:
  // Names without overloads, for example aten::add.
  const std::map<std::string, std::vector<c10::OperatorName>>& names();
  // All overloads of a name, described as JSON; registers them under ids.
  std::string describe(const std::string& name);
  const Operator& at(double id) const;
  bool has(const std::string& name);

  // Reused by every call, so that a call allocates nothing.
  std::vector<c10::IValue> stack;

 private:
  std::int32_t add(const c10::OperatorHandle& handle);

  std::map<std::string, std::vector<c10::OperatorName>> names_;
  std::map<std::string, std::int32_t> ids_;
  std::vector<Operator> operators_;
};

}  // namespace dualvla
