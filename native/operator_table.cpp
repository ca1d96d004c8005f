// The table of libtorch's operators: their schemas, described for JavaScript, and the ids that calls name them by.
#include "dispatch.h"

#include <sstream>

#include <ATen/core/function_schema.h>
#include <ATen/core/jit_type.h>

namespace dualvla {
namespace {

Kind kindOf(const c10::TypePtr& type) {
  static const std::map<std::string, Kind> kinds = {
      {"Tensor", Kind::Tensor},       {"int", Kind::Int},           {"SymInt", Kind::Int},
      {"float", Kind::Float},         {"SymFloat", Kind::Float},    {"number", Kind::Scalar},
      {"Scalar", Kind::Scalar},       {"bool", Kind::Bool},         {"SymBool", Kind::Bool},
      {"str", Kind::String},          {"ScalarType", Kind::DType},  {"Layout", Kind::Layout},
      {"MemoryFormat", Kind::MemoryFormat}, {"Device", Kind::Device}, {"Generator", Kind::Generator}};
  const auto found = kinds.find(type->str());
  return found == kinds.end() ? Kind::Unsupported : found->second;
}

Parameter describeParameter(const c10::Argument& argument) {
  Parameter parameter;
  parameter.name = argument.name();
  parameter.keywordOnly = argument.kwarg_only();
  parameter.written = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
  c10::TypePtr type = argument.real_type();
  if (const auto optional = type->cast<c10::OptionalType>()) {
    parameter.optional = true;
    type = optional->getElementType();
  }
  if (const auto list = type->cast<c10::ListType>()) {
    parameter.list = true;
    type = list->getElementType();
    if (const auto element = type->cast<c10::OptionalType>()) {
      parameter.optionalElements = true;
      type = element->getElementType();
    }
  }
  parameter.kind = kindOf(type);
  if (argument.N()) parameter.size = *argument.N();
  if (argument.default_value()) {
    parameter.hasDefault = true;
    parameter.defaultValue = *argument.default_value();
  }
  return parameter;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result + '"';
}

void describeTo(std::ostream& out, const Parameter& p) {
  out << "\"kind\":" << static_cast<int>(p.kind) << ",\"optional\":" << (p.optional ? "true" : "false")
      << ",\"list\":" << (p.list ? "true" : "false");
}

}  // namespace

const std::map<std::string, std::vector<c10::OperatorName>>& OperatorTable::names() {
  if (names_.empty()) {
    for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
      if (c10::Dispatcher::singleton().findSchema(name)) names_[name.name].push_back(name);
    }
  }
  return names_;
}

bool OperatorTable::has(const std::string& name) {
  const std::size_t dot = name.find('.');
  const std::string base = name.substr(0, dot);
  const auto found = names().find(base);
  if (found == names().end()) return false;
  if (dot == std::string::npos) return true;
  for (const c10::OperatorName& each : found->second) {
    if (each.overload_name == name.substr(dot + 1)) return true;
  }
  return false;
}

const Operator& OperatorTable::at(double id) const {
  if (!(id >= 0 && id < static_cast<double>(operators_.size()))) fail("no operator has this id");
  return operators_[static_cast<std::size_t>(id)];
}

std::int32_t OperatorTable::add(const c10::OperatorHandle& handle) {
  const c10::FunctionSchema& schema = handle.schema();
  const std::string name =
      schema.overload_name().empty() ? schema.name() : schema.name() + "." + schema.overload_name();
  const auto known = ids_.find(name);
  if (known != ids_.end()) return known->second;
  Operator op{handle, name, {}, {}};
  for (const c10::Argument& argument : schema.arguments()) op.parameters.push_back(describeParameter(argument));
  for (const c10::Argument& result : schema.returns()) {
    std::int32_t alias = -1;
    if (result.alias_info() != nullptr && result.alias_info()->isWrite()) {
      for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
        const auto* info = schema.arguments()[i].alias_info();
        if (info != nullptr && info->isWrite() && info->beforeSets() == result.alias_info()->beforeSets()) {
          alias = static_cast<std::int32_t>(i);
        }
      }
    }
    op.aliases.push_back(alias);
  }
  operators_.push_back(std::move(op));
  const auto id = static_cast<std::int32_t>(operators_.size()) - 1;
  ids_[name] = id;
  return id;
}

std::string OperatorTable::describe(const std::string& name) {
  std::ostringstream out;
  out << "[";
  const auto found = names().find(name);
  bool first = true;
  if (found != names().end()) {
    for (const c10::OperatorName& each : found->second) {
      const auto handle = c10::Dispatcher::singleton().findSchema(each);
      if (!handle) continue;
      const std::int32_t id = add(*handle);
      const Operator& op = operators_[static_cast<std::size_t>(id)];
      std::ostringstream schema;
      schema << handle->schema();
      out << (first ? "" : ",") << "{\"id\":" << id << ",\"overload\":" << quoted(each.overload_name)
          << ",\"schema\":" << quoted(schema.str()) << ",\"parameters\":[";
      first = false;
      for (std::size_t i = 0; i < op.parameters.size(); ++i) {
        const Parameter& p = op.parameters[i];
        out << (i > 0 ? "," : "") << "{\"name\":" << quoted(p.name) << ",";
        describeTo(out, p);
        out << ",\"optionalElements\":" << (p.optionalElements ? "true" : "false") << ",\"size\":" << p.size
            << ",\"keywordOnly\":" << (p.keywordOnly ? "true" : "false")
            << ",\"written\":" << (p.written ? "true" : "false")
            << ",\"hasDefault\":" << (p.hasDefault ? "true" : "false") << "}";
      }
      out << "],\"returns\":[";
      const auto& returns = handle->schema().returns();
      for (std::size_t i = 0; i < returns.size(); ++i) {
        out << (i > 0 ? "," : "") << "{";
        describeTo(out, describeParameter(returns[i]));
        out << ",\"alias\":" << op.aliases[i] << "}";
      }
      out << "]}";
    }
  }
  out << "]";
  return out.str();
}

}  // namespace dualvla
