#include "verify/execution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "backend/isolated.h"
#include "segue/error.h"
#include "verify/mismatch.h"

namespace segue {
namespace {

using Bytes = std::vector<std::byte>;
using Values = std::unordered_map<std::string, Bytes>;  // by tensor name

class Execution {
 public:
  Execution(const Model& whole, std::span<const Model> segments, const Backend& backend,
            const Progress& progress, VerifyReport& report)
      : whole_(whole),
        segments_(segments),
        backend_(backend),
        progress_(progress),
        report_(report) {
    progress_("loading the whole model");
    reference_ = backend.open(whole.bytes(), whole.name());
    for (std::size_t s = 0; s < segments.size(); ++s) {
      progress_(fmt::format("loading segment {}", s));
      try {
        sessions_.push_back(backend.open(segments[s].bytes(), segments[s].name()));
      } catch (const Error& error) {
        differ("segment {} does not load: {}", s, error.what());
      }
    }
  }

  void check(std::uint64_t seed) {
    const std::vector<Bytes> inputs = random_inputs(reference_->inputs(), seed);
    progress_("running the whole model");
    const std::vector<Bytes> expected = reference_->run(spans(inputs));
    const Values values = run_chain(inputs);
    for (std::size_t i = 0; i < whole_.outputs().size(); ++i) {
      const std::string& name = whole_.unique_name(whole_.outputs()[i]);
      if (values.at(name) != expected[i]) differ("{}", locate(inputs, values, name));
      report_.output_bytes_compared += expected[i].size();
    }
    ++report_.inputs_run;
  }

 private:
  static std::vector<std::span<const std::byte>> spans(const std::vector<Bytes>& values) {
    return {values.begin(), values.end()};
  }

  Values run_chain(const std::vector<Bytes>& inputs) {
    Values values;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      values[whole_.unique_name(whole_.inputs()[i])] = inputs[i];
    for (std::size_t s = 0; s < sessions_.size(); ++s) {
      std::vector<std::span<const std::byte>> segment_inputs;
      for (const TensorId id : segments_[s].inputs())
        segment_inputs.emplace_back(values.at(segments_[s].unique_name(id)));
      std::vector<Bytes> results;
      progress_(fmt::format("running segment {}", s));
      try {
        results = sessions_[s]->run(segment_inputs);
      } catch (const Error& error) {
        differ("segment {} does not run: {}", s, error.what());
      }
      for (std::size_t i = 0; i < results.size(); ++i) {
        values[segments_[s].unique_name(segments_[s].outputs()[i])] = std::move(results[i]);
      }
    }
    return values;
  }

  // Runs the whole model with every tensor exposed, to name the first border tensor that differs.
  std::string locate(const std::vector<Bytes>& inputs, const Values& values,
                     const std::string& output) {
    progress_("running the whole model with every tensor exposed");
    const Model exposed = parse_model(expose_all_tensors(whole_).to_bytes(), whole_.name());
    const auto session = backend_.open(exposed.bytes(), exposed.name());
    const auto truth = session->run(spans(inputs));
    std::unordered_map<std::string, const Bytes*> expected;
    for (std::size_t i = 0; i < truth.size(); ++i)
      expected[exposed.unique_name(exposed.outputs()[i])] = &truth[i];
    for (std::size_t s = 0; s < segments_.size(); ++s) {
      for (const TensorId id : segments_[s].outputs()) {
        const std::string& name = segments_[s].unique_name(id);
        const auto found = expected.find(name);
        if (found != expected.end() && *found->second != values.at(name)) {
          return fmt::format("segment {}: tensor '{}' differs from the whole model at byte {}", s,
                             name, first_difference(*found->second, values.at(name)));
        }
      }
    }
    return fmt::format("model output '{}' differs, though every tensor between segments agrees",
                       output);
  }

  static std::size_t first_difference(const Bytes& a, const Bytes& b) {
    return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  }

  const Model& whole_;
  std::span<const Model> segments_;
  const Backend& backend_;
  const Progress& progress_;
  VerifyReport& report_;
  std::unique_ptr<Session> reference_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

// What the child found, as it crosses the pipe: the counters, then the mismatch.
struct Counters {
  std::uint32_t inputs_run = 0;
  std::uint64_t output_bytes_compared = 0;
};

std::string pack(const VerifyReport& report) {
  const Counters counters{report.inputs_run, report.output_bytes_compared};
  std::string packed(sizeof(counters), '\0');
  std::memcpy(packed.data(), &counters, sizeof(counters));
  return packed + report.mismatch;
}

void unpack(const std::string& packed, VerifyReport& report) {
  Counters counters;
  std::memcpy(&counters, packed.data(), sizeof(counters));
  report.inputs_run = counters.inputs_run;
  report.output_bytes_compared = counters.output_bytes_compared;
  report.mismatch = packed.substr(sizeof(counters));
}

}  // namespace

void check_execution(const Model& whole, std::span<const Model> segments, const Backend& backend,
                     const VerifyOptions& options, VerifyReport& report) {
  try {
    unpack(run_isolated([&](const Progress& progress) {
             VerifyReport found;
             try {
               Execution execution(whole, segments, backend, progress, found);
               for (std::uint32_t i = 0; i < options.inputs; ++i) execution.check(options.seed + i);
             } catch (const Mismatch& mismatch) {
               found.mismatch = mismatch.text;
             }
             return pack(found);
           }),
           report);
  } catch (const Crash& crash) {
    throw Error(ErrorCode::kInvalidModel,
                fmt::format("{}: {} crashed ({}) while {}; the file is damaged, or the runtime "
                            "does not support it: convert it again or use another runtime",
                            whole.name(), backend.description(), crash.reason, crash.step));
  }
}

}  // namespace segue
