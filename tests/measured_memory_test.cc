// Compares the simulated compiler and the vendor rule with every known report of Google's compiler,
// in ../shared/data.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>

#include "compiler_log.h"
#include "environment.h"
#include "measurements.h"
#include "segue/cost.h"
#include "segue/segmentation.h"
#include "segue/units.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::read_csv;
using testing::Row;

constexpr double kPrintRoundingMib = 0.01;

// Returns the name in the zoo: "conv_F32_L5_W64" is zoo:conv5-f32; "fc_N100_L4" is zoo:dense4-n100.
std::optional<std::string> zoo_name(const std::string& model) {
  const auto width = [&](std::size_t begin) {
    return model.substr(begin, model.find('_', begin) - begin);
  };
  if (model.starts_with("conv_F") && model.ends_with("_L5_W64")) return "zoo:conv5-f" + width(6);
  if (model.starts_with("fc_N") && model.ends_with("_L4")) return "zoo:dense4-n" + width(4);
  return std::nullopt;
}

struct Part {
  std::size_t position = 0;
  std::size_t count = 1;
};

// Parses a segment: "" is the whole model, and "1_of_4 (compiler)" the second of four.
std::optional<Part> part_of(const std::string& segment) {
  if (segment.empty()) return Part{};
  if (segment.find("(compiler)") == std::string::npos) return std::nullopt;
  return Part{std::stoul(segment), std::stoul(segment.substr(segment.find("_of_") + 4))};
}

class Oracle {
 public:
  [[nodiscard]] const Model& model() const { return *model_; }
  MemoryReport report(const std::string& name, const Part& part) {
    if (name != name_) {
      name_ = name;
      model_.emplace(open_model(name));
      graph_.emplace(*model_);
    }
    return compiler_->compile(*graph_,
                              segment_as_vendor(*graph_, part.count).segments.at(part.position));
  }

 private:
  std::unique_ptr<Compiler> compiler_ = make_simulated_compiler(find_device("edgetpu-pcie"));
  std::string name_;
  std::optional<Model> model_;
  std::optional<Graph> graph_;
};

TEST(MeasuredMemory, SweepRowsAreWithinPrintRounding) {
  const auto file = testing::shared("data/compiler_memory.csv");
  SKIP_WITHOUT(file);
  Oracle oracle;
  int rows = 0;
  double worst = 0;
  for (Row row : read_csv(file)) {
    const auto name = zoo_name(row["model"]);
    const auto part = part_of(row["segment"]);
    if (!name || !part || row["onchip_used_MiB"].empty()) continue;
    const MemoryReport report = oracle.report(*name, *part);
    const double on_chip =
        std::stod(row["onchip_used_MiB"]) - testing::on_chip_mib_in_a_log(oracle.model(), report);
    const double host = std::stod(row["offchip_MiB"]) - to_mib(report.host_bytes);
    EXPECT_LE(std::abs(on_chip), kPrintRoundingMib) << row["id"] << " " << row["model"];
    EXPECT_LE(std::abs(host), kPrintRoundingMib) << row["id"] << " " << row["model"];
    worst = std::max({worst, std::abs(on_chip), std::abs(host)});
    ++rows;
  }
  RecordProperty("rows", rows);
  RecordProperty("worst_mib", std::to_string(worst));
  EXPECT_GE(rows, 550);
}

TEST(MeasuredMemory, VendorCutRowsAreWithinPrintRounding) {
  const auto file = testing::shared("data/vendor_cuts.csv");
  SKIP_WITHOUT(file);
  Oracle oracle;
  int rows = 0;
  for (Row row : read_csv(file)) {
    const auto name = zoo_name(row["model"]);
    if (!name || row["method"] != "compiler") continue;
    const MemoryReport report =
        oracle.report(*name, {std::stoul(row["seg_idx"]), std::stoul(row["n_segments"])});
    EXPECT_NEAR(testing::on_chip_mib_in_a_log(oracle.model(), report),
                std::stod(row["onchip_param_bytes"]) / double{kMiB}, kPrintRoundingMib)
        << row["id"];
    ++rows;
  }
  EXPECT_GE(rows, 120);
}

}  // namespace
}  // namespace segue
