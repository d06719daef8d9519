#include "model/subgraphs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "segue/error.h"

namespace segue {
namespace {

namespace fb = flatbuffers;
using Code = tflite::BuiltinOperator;

std::string text(const fb::String* string) { return string == nullptr ? "" : string->str(); }

// Returns the code of an operator. If its index is out of range, returns ADD, because the reader
// reports the error later.
Code code_of(const tflite::Model& root, const tflite::Operator& op) {
  if (op.opcode_index() >= root.operator_codes()->size()) return Code::ADD;
  const tflite::OperatorCode& code = *root.operator_codes()->Get(op.opcode_index());
  return std::max(code.builtin_code(), static_cast<Code>(code.deprecated_builtin_code()));
}

template <typename Visit>
void for_each_operator(const tflite::SubGraph& subgraph, const Visit& visit) {
  if (subgraph.operators() == nullptr) return;
  for (fb::uoffset_t i = 0; i < subgraph.operators()->size(); ++i)
    visit(i, *subgraph.operators()->Get(i));
}

// Returns why an operator of this kind cannot be used without other subgraphs, and what to do.
// Empty for other operators.
std::string_view general_reason(Code code) {
  switch (code) {
    case Code::IF:
    case Code::WHILE:
    case Code::STABLEHLO_WHILE:
    case Code::STABLEHLO_CASE:
      return "runs other subgraphs (control flow): convert the model without loops and conditions";
    case Code::CALL:
      return "runs another subgraph: convert the model with its functions inlined";
    case Code::CALL_ONCE:
      return "runs another subgraph that sets resource variables or tables: convert the model with "
             "its variables frozen, for instance with "
             "tf.lite.TFLiteConverter.from_keras_model and without "
             "experimental_enable_resource_variables";
    case Code::STABLEHLO_REDUCE:
    case Code::STABLEHLO_REDUCE_WINDOW:
    case Code::STABLEHLO_SORT:
    case Code::STABLEHLO_SCATTER:
      return "is computed by another subgraph: convert the model to TensorFlow Lite operators "
             "(TFLITE_BUILTINS), not StableHLO operators";
    default:
      return "";
  }
}

std::string composite_reason(const tflite::Operator& op) {
  const auto* options = op.builtin_options_2_as_StableHLOCompositeOptions();
  const std::string name = options == nullptr ? "" : text(options->name());
  return fmt::format(
      "'{}' (a composite) is defined by another subgraph: convert the model without composites, "
      "for instance from ONNX or Keras with tf.lite.TFLiteConverter",
      name);
}

std::string reason_of(Code code, const tflite::Operator& op) {
  if (code == Code::STABLEHLO_COMPOSITE) return composite_reason(op);
  if (code != Code::STABLEHLO_CUSTOM_CALL) return std::string(general_reason(code));
  const auto* options = op.builtin_options_2_as_StablehloCustomCallOptions();
  const bool calls = options != nullptr && options->called_computations() != nullptr &&
                     options->called_computations()->size() > 0;
  return calls ? std::string(general_reason(Code::STABLEHLO_REDUCE)) : "";
}

// Returns the value that the runtime keeps between invocations and shares between subgraphs.
std::optional<std::string> kept_by_runtime(Code code, const tflite::Operator& op) {
  if (code == Code::VAR_HANDLE) {
    const auto* options = op.builtin_options_as_VarHandleOptions();
    if (options == nullptr) return "the variable ''";
    return fmt::format("the variable '{}{}{}'", text(options->container()),
                       text(options->container()).empty() ? "" : "/", text(options->shared_name()));
  }
  if (code != Code::HASHTABLE) return std::nullopt;
  const auto* options = op.builtin_options_as_HashtableOptions();
  return fmt::format("the hash table {}", options == nullptr ? 0 : options->table_id());
}

std::string subgraph_text(const tflite::Model& root, std::size_t position) {
  const std::string name =
      text(root.subgraphs()->Get(static_cast<fb::uoffset_t>(position))->name());
  return name.empty() ? fmt::format("#{}", position) : fmt::format("#{} '{}'", position, name);
}

[[noreturn]] void refuse(const std::string& file, const std::string& reason) {
  throw Error(ErrorCode::kUnsupported, fmt::format("{}: {}", file, reason));
}

// Returns the kept values by name, each with the position of an operator that uses it.
std::map<std::string, fb::uoffset_t> kept_values(const tflite::Model& root,
                                                 const tflite::SubGraph& subgraph) {
  std::map<std::string, fb::uoffset_t> result;
  for_each_operator(subgraph, [&](fb::uoffset_t i, const tflite::Operator& op) {
    if (auto name = kept_by_runtime(code_of(root, op), op)) result.emplace(std::move(*name), i);
  });
  return result;
}

void check_shares_nothing(const tflite::Model& root, std::size_t position,
                          const std::string& file) {
  const auto own = kept_values(root, *root.subgraphs()->Get(static_cast<fb::uoffset_t>(position)));
  if (own.empty()) return;
  for (fb::uoffset_t other = 0; other < root.subgraphs()->size(); ++other) {
    if (other == position) continue;
    for (const auto& [name, user] : kept_values(root, *root.subgraphs()->Get(other))) {
      const auto shared = own.find(name);
      if (shared == own.end()) continue;
      refuse(file,
             fmt::format("{} of operator #{} in subgraph {} is also used in subgraph {}, and would "
                         "be lost: convert the model only for inference, with its variables frozen",
                         name, shared->second, subgraph_text(root, position),
                         subgraph_text(root, other)));
    }
  }
}

// Returns the tensor with the handle of the variable that an operator reads or sets.
std::int32_t handle_of(const tflite::Operator& op) {
  return op.inputs() == nullptr || op.inputs()->size() == 0 ? -1 : op.inputs()->Get(0);
}

// Throws if an operator reads a variable that no operator sets. Runtimes fail on such variables,
// which converters leave in models that were not frozen.
void check_variables_are_set(const tflite::Model& root, const tflite::SubGraph& subgraph,
                             const std::string& file) {
  std::map<std::int32_t, std::string> variables;  // by the tensor of the handle
  std::set<std::string> set;
  for_each_operator(subgraph, [&](fb::uoffset_t, const tflite::Operator& op) {
    const Code code = code_of(root, op);
    if (code == Code::VAR_HANDLE && op.outputs() != nullptr && op.outputs()->size() > 0)
      variables.emplace(op.outputs()->Get(0), *kept_by_runtime(code, op));
  });
  const auto variable_of = [&](const tflite::Operator& op) {
    const auto found = variables.find(handle_of(op));
    return found == variables.end() ? "" : found->second;
  };
  for_each_operator(subgraph, [&](fb::uoffset_t, const tflite::Operator& op) {
    if (code_of(root, op) == Code::ASSIGN_VARIABLE) set.insert(variable_of(op));
  });
  for_each_operator(subgraph, [&](fb::uoffset_t i, const tflite::Operator& op) {
    if (code_of(root, op) != Code::READ_VARIABLE) return;
    const std::string variable = variable_of(op);
    if (variable.empty() || set.contains(variable)) return;
    refuse(file,
           fmt::format("operator #{} READ_VARIABLE reads {}, but no operator sets it, so no "
                       "runtime can run the model: convert the model with its variables frozen",
                       i, variable));
  });
}

}  // namespace

std::size_t choose_subgraph(const tflite::Model& root, const std::string& signature,
                            const std::string& file) {
  std::vector<std::string> keys;
  std::set<std::size_t> named;
  if (root.signature_defs() != nullptr) {
    for (const tflite::SignatureDef* definition : *root.signature_defs()) {
      keys.push_back(text(definition->signature_key()));
      if (!signature.empty() && keys.back() == signature) return definition->subgraph_index();
      named.insert(definition->subgraph_index());
    }
  }
  const std::string known = fmt::format("'{}'", fmt::join(keys, "', '"));
  if (!signature.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: no signature '{}'; {}", file, signature,
                            keys.empty() ? "the file has no signatures: remove --signature"
                                         : "the file has " + known));
  }
  if (named.size() > 1) {
    refuse(file,
           fmt::format("{} signatures with separate subgraphs: {}; choose one with --signature",
                       keys.size(), known));
  }
  return named.empty() ? 0 : *named.begin();
}

void check_stands_alone(const tflite::Model& root, std::size_t position, const std::string& file) {
  const auto& subgraph = *root.subgraphs()->Get(static_cast<fb::uoffset_t>(position));
  for_each_operator(subgraph, [&](fb::uoffset_t i, const tflite::Operator& op) {
    const Code code = code_of(root, op);
    const std::string reason = reason_of(code, op);
    if (reason.empty()) return;
    refuse(file, fmt::format("operator #{} {} of subgraph {} {}", i,
                             tflite::EnumNameBuiltinOperator(code), subgraph_text(root, position),
                             reason));
  });
  check_shares_nothing(root, position, file);
  check_variables_are_set(root, subgraph, file);
}

}  // namespace segue
