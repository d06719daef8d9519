#include <fmt/format.h>

#include <cmath>

#include "device/edgetpu/internal/segment_sum.h"
#include "evaluation/accuracy/accuracy.h"
#include "evaluation/accuracy/networks.h"
#include "segue/cost.h"
#include "segue/zoo.h"

namespace segue {
namespace {

struct CompiledFile {
  const char* family;
  Model (*network)();
  std::uint64_t parameter_bytes;  // cached and streamed
  std::uint64_t instruction_bytes;
};

// These numbers are read from the executables in public _edgetpu.tflite files whose networks can be
// built here: github.com/google-coral/edgetpu and test_data (MobileNets),
// Jorgitou98/EdgeTPU-QuantRL-Evaluation (3x3), iwatake2222/EdgeTPU_Analysis (7x7).
constexpr const char* kMobileNets = "MobileNet v1 and v2";
constexpr const char* kFive = "5 x conv 3x3, 120 to 320 filters";
constexpr const char* kTwo = "2 x conv 3x3, 120 to 300 filters";
constexpr const char* kStrips = "2 x conv 3x3, 350 to 625 filters, in strips";
constexpr const char* kStacks = "25 and 75 x conv 7x7";
const std::vector<CompiledFile>& compiled_files() {
  static const std::vector<CompiledFile> kFiles{
      {kMobileNets, [] { return mobilenet_v1(0.25, 128); }, 518'656, 47'616},
      {kMobileNets, [] { return mobilenet_v1(0.5, 160); }, 1'425'024, 77'680},
      {kMobileNets, [] { return mobilenet_v1(0.75, 192); }, 2'729'344, 52'048},
      {kMobileNets, [] { return open_model("zoo:mobilenetv2"); }, 3'900'864, 128'992},
      {kFive, [] { return conv_stack(5, 120); }, 562'688, 13'472},
      {kFive, [] { return conv_stack(5, 180); }, 1'258'752, 13'472},
      {kFive, [] { return conv_stack(5, 240); }, 2'231'296, 13'728},
      {kFive, [] { return conv_stack(5, 280); }, 3'249'920, 13'728},
      {kFive, [] { return conv_stack(5, 320); }, 3'710'720, 41'744},
      {kTwo, [] { return conv_stack(2, 120); }, 144'896, 8'336},
      {kTwo, [] { return conv_stack(2, 220); }, 520'192, 8'400},
      {kTwo, [] { return conv_stack(2, 300); }, 880'640, 8'400},
      {kStrips, [] { return conv_stack(2, 350); }, 1'236'480, 22'512},
      {kStrips, [] { return conv_stack(2, 400); }, 1'636'096, 66'768},
      {kStrips, [] { return conv_stack(2, 500); }, 2'330'624, 67'024},
      {kStrips, [] { return conv_stack(2, 625); }, 3'650'560, 67'792},
      {kStacks, [] { return usb_stack(25); }, 1'213'888, 50'368},
      {kStacks, [] { return usb_stack(75); }, 2'622'400 + 1'106'688, 144'960},
  };
  return kFiles;
}

void add_file(ProgramAccuracy& family, const CompiledFile& file) {
  const Model model = file.network();
  const DeviceSpec& device = find_device("edgetpu-usb3");
  std::uint64_t parameters = 0;
  std::uint64_t instructions = kSegmentInstructionBytes;
  for (std::size_t i = 0; i < model.operators().size(); ++i) {
    parameters += parameter_footprint(model, operator_id(i), device).bytes;
    instructions += operator_work(model, operator_id(i), device).instruction_bytes;
  }
  const auto error = [](std::uint64_t simulated, std::uint64_t reported) {
    return std::abs(static_cast<double>(simulated) / static_cast<double>(reported) - 1);
  };
  ++family.files;
  family.parameter_share += error(parameters, file.parameter_bytes);
  family.instruction_share += error(instructions, file.instruction_bytes);
}

ProgramAccuracy with_means(ProgramAccuracy sums) {
  const auto files = static_cast<double>(sums.files);
  sums.parameter_share /= files;
  sums.instruction_share /= files;
  return sums;
}

}  // namespace

std::vector<ProgramAccuracy> evaluate_programs() {
  std::vector<ProgramAccuracy> families;
  ProgramAccuracy all{.title = "all"};
  for (const CompiledFile& file : compiled_files()) {
    if (families.empty() || families.back().title != file.family)
      families.push_back({.title = file.family});
    add_file(families.back(), file);
    add_file(all, file);
  }
  families.push_back(std::move(all));
  for (ProgramAccuracy& family : families) family = with_means(std::move(family));
  return families;
}

std::string programs_markdown(std::span<const ProgramAccuracy> families) {
  std::string text =
      "| files | | parameters, mean error | instructions, mean error |\n|---|--:|--:|--:|\n";
  for (const ProgramAccuracy& family : families)
    text += fmt::format("| {} | {} | {:.1f} % | {:.1f} % |\n", family.title, family.files,
                        100 * family.parameter_share, 100 * family.instruction_share);
  return text;
}

}  // namespace segue
