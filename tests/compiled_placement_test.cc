// Tests which operators are on the host according to a compiler's log and compiled file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "model_builder.h"
#include "toolchain/edgetpu_compiler/host_operators.h"

namespace segue {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ModelBuilder;
using ::testing::Optional;
using testing::TensorIndex;

constexpr const char* kMapped = "Mapped to Edge TPU";
constexpr const char* kLeft = "More than one subgraph is not supported";

// Makes a model of CONV_2D 0, ADD 1, RELU 2, CONV_2D 3, ADD 4, RELU 5, …
Model layers(int count) {
  ModelBuilder b;
  TensorIndex x = b.input("x", {1, 4, 4, 8});
  for (int i = 0; i < count; ++i) {
    const std::string layer = std::to_string(i);
    const TensorIndex conv = b.conv(x, "conv" + layer, 8);
    x = b.relu(b.add(x, conv, "add" + layer), "relu" + layer);
  }
  b.output(x);
  return b.build("m");
}

// Makes a compiled file whose uncompiled operators write tensors of these names.
Model compiled_with(const std::vector<std::string>& written) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4, 4, 8});
  b.output(b.relu(x, "other"));
  for (const std::string& name : written) b.output(b.relu(x, name));
  return b.build("m_edgetpu");
}

CompilerLog log_of(std::vector<CompiledOperation> operations) {
  CompilerLog log;
  log.operations = std::move(operations);
  return log;
}

TEST(CompiledPlacement, MissingOperatorTableIsUnknown) {
  EXPECT_EQ(operators_left_to_host({}, layers(2), compiled_with({})), std::nullopt);
}

TEST(CompiledPlacement, LogAloneSelectsLastOperators) {
  const auto log = log_of({{"CONV_2D", 2, kMapped}, {"CONV_2D", 1, kLeft}, {"ADD", 3, kMapped}});
  EXPECT_THAT(operators_left_to_host(log, layers(3), compiled_with({})),
              Optional(ElementsAre(operator_id(6))));
}

TEST(CompiledPlacement, CompiledFileNamesHostOperators) {
  const auto log = log_of({{"CONV_2D", 2, kMapped}, {"CONV_2D", 1, kLeft}, {"ADD", 3, kLeft}});
  EXPECT_THAT(operators_left_to_host(log, layers(3), compiled_with({"conv1", "relu2"})),
              Optional(ElementsAre(operator_id(1), operator_id(3), operator_id(4), operator_id(7))))
      << "RELU is not in the log";
}

TEST(CompiledPlacement, CountBeyondModelIsLimited) {
  const auto log = log_of({{"CONV_2D", 35, kLeft}, {"TRANSPOSE", 70, kLeft}, {"ADD", 4, kMapped}});
  EXPECT_THAT(operators_left_to_host(log, layers(2), compiled_with({})),
              Optional(ElementsAre(operator_id(0), operator_id(3))));
  EXPECT_THAT(operators_left_to_host(log_of({{"ADD", 9, kMapped}, {"ADD", 3, kLeft}}), layers(2),
                                     compiled_with({})),
              Optional(IsEmpty()));
}

// A set of operators is recovered from its counts per kind and its names.
TEST(CompiledPlacement, RandomHostSetsAreRecovered) {
  const Model model = layers(8);
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::vector<OperatorId> chosen;
    std::vector<std::string> written;
    std::map<std::pair<std::string, bool>, std::uint32_t> counts;
    for (std::size_t i = 0; i < model.operators().size(); ++i) {
      const Operator& op = model.operators()[i];
      const bool is_left = random() % 3 == 0;
      ++counts[{std::string(op.name), is_left}];
      if (!is_left) continue;
      chosen.push_back(operator_id(i));
      written.emplace_back(model.tensor(tensor_id(op.outputs[0])).name);
    }
    CompilerLog log;
    for (const auto& [row, count] : counts)
      log.operations.push_back({row.first, count, row.second ? kLeft : kMapped});
    EXPECT_EQ(operators_left_to_host(log, model, compiled_with(written)), chosen) << seed;
  }
}

}  // namespace
}  // namespace segue
