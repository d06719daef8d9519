#include <fmt/format.h>

#include <future>
#include <map>
#include <mutex>

#include "segue/error.h"
#include "segue/toolchain.h"

namespace segue {
namespace {

class EdgeTpuCompiler : public Compiler {
 public:
  EdgeTpuCompiler(std::filesystem::path folder, EdgeTpuCompilerOptions options)
      : folder_(std::move(folder)), options_(std::move(options)) {}

  [[nodiscard]] MemoryReport compile(const Graph& graph,
                                     std::span<const OperatorId> operators) const override {
    std::vector<OperatorId> key(operators.begin(), operators.end());
    std::promise<MemoryReport> promise;
    std::shared_future<MemoryReport> report;
    bool is_mine = false;
    {
      const std::lock_guard lock(mutex_);
      auto [entry, is_new] = reports_.try_emplace(key);
      if (is_new) entry->second = promise.get_future().share();
      report = entry->second;
      is_mine = is_new;
    }
    if (is_mine) {
      try {
        promise.set_value(ask(graph.model(), key));
      } catch (...) {
        promise.set_exception(std::current_exception());
      }
    }
    return report.get();
  }

 private:
  [[nodiscard]] MemoryReport ask(const Model& model,
                                 const std::vector<OperatorId>& operators) const {
    const ModelImage image = extract_segment(model, operators);
    const Compilation compilation =
        compile_for_edgetpu(image.pieces(), model.name(), folder_, options_);
    if (!compilation.succeeded()) {
      throw Error(ErrorCode::kCompiler,
                  fmt::format("{}, {} to {}: {}", model.name(), model.describe(operators.front()),
                              model.describe(operators.back()), compilation.failure->sentence()));
    }
    const CompilerLog& log = *compilation.log;
    MemoryReport report{log.on_chip_bytes,
                        log.host_bytes,
                        log.on_chip_bytes + log.remaining_bytes,
                        {},
                        log.version};
    if (!compilation.host_operators) return report;
    report.host_operators.emplace();
    for (const OperatorId id : *compilation.host_operators)
      report.host_operators->push_back(operators[index(id)]);
    return report;
  }

  std::filesystem::path folder_;
  EdgeTpuCompilerOptions options_;
  mutable std::mutex mutex_;
  mutable std::map<std::vector<OperatorId>, std::shared_future<MemoryReport>> reports_;
};

}  // namespace

std::unique_ptr<Compiler> make_edgetpu_compiler(const std::filesystem::path& folder,
                                                const EdgeTpuCompilerOptions& options) {
  return std::make_unique<EdgeTpuCompiler>(folder, options);
}

}  // namespace segue
