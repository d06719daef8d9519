#include "split/execution.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/internal/json/node.h"
#include "base/internal/process/isolated.h"
#include "segue/error.h"
#include "split/evidence.h"
#include "split/mismatch.h"

namespace segue {
namespace {

using Bytes = std::vector<std::byte>;
using Values = std::unordered_map<std::string, Bytes>;  // by tensor name

// Returns the file in one piece. Pages of `source` that have been read are dropped meanwhile, so
// that memory holds only one copy of the weights.
Bytes bytes_of(const ModelImage& image, const Model& source) {
  constexpr std::size_t kPart = std::size_t{4} << 20U;
  Bytes bytes;
  bytes.reserve(image.size_bytes());
  std::size_t read = 0;  // since pages were dropped
  for (std::span<const std::byte> piece : image.pieces()) {
    while (!piece.empty()) {
      const auto part = piece.first(std::min(kPart, piece.size()));
      bytes.insert(bytes.end(), part.begin(), part.end());
      piece = piece.subspan(part.size());
      read += part.size();
      if (read < kPart) continue;
      source.drop_pages();
      read = 0;
    }
  }
  source.drop_pages();
  return bytes;
}

// Whether the model has floats. Kernels may add them in another order if there are several threads,
// or if a tensor is a constant in the whole model and an input of a segment.
bool has_floats(const Model& model) {
  return std::ranges::any_of(model.tensors(), [](const Tensor& tensor) {
    return tensor.type == ElementType::kFloat32 || tensor.type == ElementType::kFloat16;
  });
}

// Returns the operators that do not depend on a custom operator.
std::vector<OperatorId> without_custom(const Model& model) {
  std::vector<OperatorId> result;
  std::vector<bool> is_left_out(model.operators().size());
  for (std::size_t i = 0; i < is_left_out.size(); ++i) {
    const Operator& op = model.op(operator_id(i));
    is_left_out[i] =
        op.code == OpCode::kCustom || std::ranges::any_of(op.inputs, [&](std::int32_t tensor) {
          if (tensor < 0) return false;
          const auto writer = model.producer(tensor_id(tensor));
          return writer && is_left_out[index(*writer)];
        });
    if (!is_left_out[i]) result.push_back(operator_id(i));
  }
  return result;
}

// Returns for each tensor whether it depends on an input or on a state that the model keeps, and
// not only on constants.
std::vector<bool> following_inputs(const Model& model) {
  std::vector<bool> follows(model.tensors().size());
  for (std::size_t i = 0; i < follows.size(); ++i) {
    const Tensor& tensor = model.tensors()[i];
    follows[i] = tensor.is_variable || tensor.type == ElementType::kResource;
  }
  for (const TensorId id : model.inputs()) follows[index(id)] = true;
  for (const Operator& op : model.operators()) {
    const bool reads_one = std::ranges::any_of(op.inputs, [&](std::int32_t tensor) {
      return tensor >= 0 && follows[static_cast<std::size_t>(tensor)];
    });
    if (!reads_one) continue;
    for (const std::int32_t tensor : op.outputs) follows[static_cast<std::size_t>(tensor)] = true;
  }
  return follows;
}

// Says why operators were not run. `words` is the runtime's message on the whole model.
std::string refusal(const Model& model, const std::string& words) {
  constexpr std::string_view kUnresolved = "Encountered unresolved custom op";
  std::set<std::string_view> all;
  std::set<std::string_view> named;  // by the runtime
  for (const Operator& op : model.operators()) {
    if (op.code != OpCode::kCustom) continue;
    all.insert(op.name);
    if (words.find(op.name) != std::string::npos) named.insert(op.name);
  }
  const bool is_lacking = words.find(kUnresolved) != std::string::npos;
  return fmt::format("the runtime {} {} {}: {}", is_lacking ? "lacks" : "does not run",
                     named.empty() ? "the model with the custom operator" : "the custom operator",
                     fmt::join(named.empty() ? all : named, ", "), words);
}

class Execution {
 public:
  Execution(const Model& whole, std::span<const Model> segments, const Backend& backend,
            const StepReport& progress, VerifyReport& report)
      : whole_(whole),
        segments_(segments),
        backend_(backend),
        progress_(progress),
        report_(report),
        is_reproducible_(has_floats(whole)),
        follows_inputs_(following_inputs(whole)) {
    for (const Model& segment : segments) {
      for (const TensorId id : segment.outputs()) {
        const auto tensor = whole.find_tensor(segment.unique_name(id));
        if (tensor && whole.producer(*tensor)) borders_.push_back(*tensor);
      }
    }
  }

  void check(const VerifyOptions& options) {
    choose_operators();
    const std::uint32_t most = inputs_at_a_time();
    for (std::uint32_t first = 0; first < options.inputs; first += most)
      check_inputs(options.seed + first, std::min(most, options.inputs - first));
    for (const auto& [name, evidence] : evidence_) {
      report_.values_compared += evidence.values();
      report_.distinct_values += evidence.distinct();
      const auto weakness = evidence.weakness();
      if (!weakness) continue;
      auto& warnings =
          evidence.follows() == Follows::kInputs ? report_.warnings : report_.warnings_of_constants;
      warnings.push_back(fmt::format("'{}': {}", name, *weakness));
    }
    report_.tensors_compared = evidence_.size();
  }

 private:
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> bytes,
                                              const std::string& name) const {
    return is_reproducible_ ? backend_.open_reproducible(bytes, name) : backend_.open(bytes, name);
  }

  // Chooses all operators, or those that do not depend on custom operators if the runtime does not
  // load the model.
  void choose_operators() {
    report_.operators_run = whole_.operators().size();
    const auto runs = without_custom(whole_);
    if (runs.size() == whole_.operators().size()) return;
    progress_("loading the whole model");
    try {
      (void)open(whole_.runnable_bytes(), whole_.name());
      whole_.drop_pages();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidModel || runs.empty()) throw;
      report_.operators_run = runs.size();
      report_.not_run = refusal(whole_, error.what());
      runs_ = runs;
    }
  }

  // The border tensors of a group of inputs are in memory at the same time, which limits the size
  // of a group.
  [[nodiscard]] std::uint32_t inputs_at_a_time() const {
    constexpr std::uint64_t kMostBytes = std::uint64_t{32} << 20U;
    constexpr std::uint64_t kMostInputs = 64;
    std::uint64_t bytes = 1;
    for (const TensorId id : borders_) bytes += whole_.tensor(id).bytes;
    return static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(kMostBytes / bytes, 1, kMostInputs));
  }

  // Opens each model again for each group, so that one session at a time is in memory. Keeping the
  // sessions open over three groups of ResNet101 in 4 segments took 96 MB instead of 81 and did not
  // save time (2.7 s of CPU time, compared with 2.4 s).
  void check_inputs(std::uint64_t seed, std::uint32_t count) {
    std::vector<Values> values = run_whole(seed, count);
    for (std::size_t s = 0; s < segments_.size(); ++s) check_segment(s, values);
    report_.inputs_run += count;
  }

  // Returns the model's inputs, and the whole model's values of all border tensors.
  std::vector<Values> run_whole(std::uint64_t seed, std::uint32_t count) {
    progress_("loading the whole model with its border tensors as outputs");
    const Model exposed = expose();
    const auto session = open(exposed.bytes(), whole_.name());
    std::vector<Values> values(count);
    progress_("running the whole model");
    for (std::uint32_t i = 0; i < count; ++i) {
      std::vector<Bytes> inputs = random_inputs(session->inputs(), seed + i);
      std::vector<Bytes> outputs = session->run({spans(inputs)});
      for (std::size_t k = 0; k < outputs.size(); ++k)
        values[i][exposed.unique_name(exposed.outputs()[k])] = std::move(outputs[k]);
      for (std::size_t k = 0; k < inputs.size(); ++k)
        values[i][exposed.unique_name(exposed.inputs()[k])] = std::move(inputs[k]);
    }
    return values;
  }

  [[nodiscard]] Model expose() const {
    if (runs_.empty()) {
      return parse_model(bytes_of(expose_tensors(whole_, borders_), whole_), whole_.name());
    }
    const Model part = parse_model(bytes_of(extract_segment(whole_, runs_), whole_), whole_.name());
    std::vector<TensorId> borders;
    for (const TensorId id : borders_) {
      const auto tensor = part.find_tensor(whole_.unique_name(id));
      if (tensor && part.producer(*tensor)) borders.push_back(*tensor);
    }
    return parse_model(expose_tensors(part, borders).to_bytes(), whole_.name());
  }

  void check_segment(std::size_t s, const std::vector<Values>& values) {
    if (report_.operators_run == whole_.operators().size()) {
      run_segment(s, segments_[s], values);
    } else if (const auto runs = without_custom(segments_[s]); !runs.empty()) {
      const auto known = of_known_inputs(segments_[s], runs, values.front());
      if (known.empty()) return;
      run_segment(s,
                  parse_model(extract_segment(segments_[s], known).to_bytes(), segments_[s].name()),
                  values);
    }
    segments_[s].drop_pages();
  }

  // Returns those of `operators` that depend only on tensors in `known`.
  static std::vector<OperatorId> of_known_inputs(const Model& segment,
                                                 std::span<const OperatorId> operators,
                                                 const Values& known) {
    std::vector<OperatorId> result;
    for (const OperatorId id : operators) {
      const auto is_known = [&](std::int32_t position) {
        if (position < 0) return true;
        const Tensor& tensor = segment.tensor(tensor_id(position));
        if (tensor.is_constant() || tensor.is_variable) return true;
        const auto writer = segment.producer(tensor_id(position));
        return writer ? std::ranges::binary_search(result, *writer)
                      : known.contains(segment.unique_name(tensor_id(position)));
      };
      if (std::ranges::all_of(segment.op(id).inputs, is_known)) result.push_back(id);
    }
    return result;
  }

  void run_segment(std::size_t s, const Model& segment, const std::vector<Values>& values) {
    progress_(fmt::format("loading segment {}", s));
    std::unique_ptr<Session> session;
    try {
      session = open(segment.bytes(), segment.name());
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kDevice) throw;
      differ("segment {} does not load: {}", s, error.what());
    }
    progress_(fmt::format("running segment {}", s));
    for (const Values& expected : values) {
      std::vector<std::span<const std::byte>> inputs;
      for (const TensorId id : segment.inputs())
        inputs.emplace_back(expected.at(segment.unique_name(id)));
      std::vector<Bytes> outputs;
      try {
        outputs = session->run(inputs);
      } catch (const Error& error) {
        differ("segment {} does not run: {}", s, error.what());
      }
      for (std::size_t i = 0; i < outputs.size(); ++i)
        compare(s, segment, segment.outputs()[i], outputs[i], expected);
    }
  }

  void compare(std::size_t s, const Model& segment, TensorId id, const Bytes& found,
               const Values& expected) {
    const std::string& name = segment.unique_name(id);
    const auto value = expected.find(name);
    if (value == expected.end()) return;  // its operator has no counterpart that runs
    if (found != value->second) {
      const auto at = std::ranges::mismatch(found, value->second).in1 - found.begin();
      differ("segment {}: tensor '{}' differs from the whole model at byte {}", s, name, at);
    }
    report_.bytes_compared += found.size();
    const Tensor& tensor = segment.tensor(id);
    std::uint64_t elements = 1;
    for (const std::int32_t extent : tensor.shape)
      elements *= static_cast<std::uint64_t>(std::max(extent, 1));
    const auto bytes_per_value =
        static_cast<std::uint32_t>(std::max<std::uint64_t>(found.size() / elements, 1));
    const auto counterpart = whole_.find_tensor(name);
    const bool follows = !counterpart || follows_inputs_[index(*counterpart)];
    evidence_
        .try_emplace(name, tensor.type, bytes_per_value,
                     follows ? Follows::kInputs : Follows::kConstants)
        .first->second.add(found);
  }

  static std::vector<std::span<const std::byte>> spans(const std::vector<Bytes>& values) {
    return {values.begin(), values.end()};
  }

  const Model& whole_;
  std::span<const Model> segments_;
  const Backend& backend_;
  const StepReport& progress_;
  VerifyReport& report_;
  bool is_reproducible_;
  std::vector<bool> follows_inputs_;  // per tensor of the whole model
  std::vector<TensorId> borders_;     // outputs of segments, in the whole model
  std::vector<OperatorId> runs_;      // set only if the runtime does not run all operators
  std::map<std::string, TensorEvidence> evidence_;  // by tensor name
};

// Serializes the report for the pipe to the parent.
std::string pack(const VerifyReport& report) {
  return json::Json{report.inputs_run,      report.operators_run,   report.tensors_compared,
                    report.values_compared, report.distinct_values, report.bytes_compared,
                    report.not_run,         report.warnings,        report.warnings_of_constants,
                    report.mismatch}
      .dump(-1, ' ', true, json::Json::error_handler_t::replace);
}

void unpack(const std::string& packed, VerifyReport& report) {
  const json::Json found = json::Json::parse(packed);
  std::size_t next = 0;
  const auto take = [&](auto& field) { found.at(next++).get_to(field); };
  take(report.inputs_run);
  take(report.operators_run);
  take(report.tensors_compared);
  take(report.values_compared);
  take(report.distinct_values);
  take(report.bytes_compared);
  take(report.not_run);
  take(report.warnings);
  take(report.warnings_of_constants);
  take(report.mismatch);
}

}  // namespace

void check_execution(const Model& whole, std::span<const Model> segments, const Backend& backend,
                     const VerifyOptions& options, VerifyReport& report) {
  try {
    unpack(run_isolated([&](const StepReport& progress) {
             VerifyReport found;
             try {
               Execution(whole, segments, backend, progress, found).check(options);
             } catch (const Mismatch& mismatch) {
               found.mismatch = mismatch.text;
             }
             return pack(found);
           }),
           report);
  } catch (const Crash& crash) {
    throw Error(ErrorCode::kInvalidModel,
                fmt::format("{}: {} crashed ({}) while {}; the file is damaged, or the runtime "
                            "does not support it: convert the model again, or use another runtime",
                            whole.name(), backend.description(), crash.reason, crash.step));
  }
}

}  // namespace segue
