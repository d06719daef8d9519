// Tests the tensors that `segue run` reads from and writes to files, and names that contain commas.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/npy.h"
#include "command.h"
#include "environment.h"
#include "model_builder.h"
#include "segue/file.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

using ::testing::ContainsRegex;
using testing::expect_failure;
using testing::HasWords;
using testing::kFile;
using testing::kUsage;
using ::testing::Not;
using testing::run_segue;
using testing::ScratchFolder;

// y = relu(first) + second, and y as floats. The tensor behind relu has a comma in its name.
class TwoInputs {
 public:
  TwoInputs() {
    testing::ModelBuilder b;
    const auto first = b.input("first", {1, 4});
    const auto second = b.input("second", {1, 4});
    const auto y = b.add(b.relu(first, "cut,here"), second, "y");
    const auto real = b.tensor("../real:0", {1, 4});
    b.at(real).type = tflite::TensorType::FLOAT32;
    b.at(real).quantization.reset();
    b.op(tflite::BuiltinOperator::DEQUANTIZE, {y}, {real});
    b.output(y);
    b.output(real);
    const auto bytes = b.bytes();
    write("m.tflite", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    EXPECT_EQ(segue({"split", "m.tflite", "--at", "cut\\,here", "-o", "parts"}).status, 0);
  }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
  [[nodiscard]] fs::path path(const std::string& name) const { return scratch_.path() / name; }
  [[nodiscard]] std::string text(const std::string& name) const {
    return read_text_file(path(name), 1 << 20U);
  }
  [[nodiscard]] testing::CommandResult segue(const std::vector<std::string>& arguments) const {
    return run_segue(arguments, scratch_.path());
  }

 private:
  ScratchFolder scratch_;
};

std::string npy(const std::string& header, const std::string& values) {
  constexpr std::size_t kHeader = 128 - 10;
  std::string text = header;
  text.resize(kHeader - 1, ' ');
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text + "\n" + values;
}

TEST(CliTensors, EscapedCommaIsPartOfTensorName) {
  const TwoInputs model;
  EXPECT_TRUE(fs::exists(model.path("parts/m_segment_1_of_2.tflite")));
  expect_failure(model.segue({"split", "m.tflite", "--at", "cut,here", "-o", "p"}), kUsage,
                 "'cut'");
  expect_failure(model.segue({"split", "m.tflite", "--at", "cut\\\\,here", "-o", "p"}), kUsage,
                 "'cut\\'");
}

TEST(CliTensors, TwoInputsReadAndWriteFilesByName) {
  const TwoInputs model;
  model.write("a0", {1, 2, 3, '\xfc'});
  model.write("b0", {10, 20, 30, 40});
  model.write("a1", std::string(4, '\0'));
  model.write("b1", {'\xff', '\xfe', '\xfd', '\xfc'});
  // The order of names does not matter; the order of the files of one name does.
  const auto run = model.segue({"run", "parts", "--input", "second=b0", "first=a0", "first=a1",
                                "second=b1", "-o", "results/new"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasWords("2 results"));
  EXPECT_THAT(run.out, HasWords("Outputs written to results/new"));
  EXPECT_EQ(std::distance(fs::directory_iterator(model.path("results/new")), {}), 4);
  EXPECT_EQ(model.text("results/new/000000_0_y.npy"),
            npy("{'descr': '|i1', 'fortran_order': False, 'shape': (1, 4), }", {11, 22, 33, 40}));
  EXPECT_EQ(model.text("results/new/000001_0_y.npy"),
            npy("{'descr': '|i1', 'fortran_order': False, 'shape': (1, 4), }",
                {'\xff', '\xfe', '\xfd', '\xfc'}));
  const float sixteenths[] = {11.0F / 16, 22.0F / 16, 33.0F / 16, 40.0F / 16};
  EXPECT_EQ(model.text("results/new/000000_1_.._real_0.npy"),
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }",
                {reinterpret_cast<const char*>(sixteenths), sizeof sixteenths}));
}

TEST(CliTensors, MismatchedInputFilesAreRefused) {
  const TwoInputs model;
  model.write("a", "1234");
  const auto refuses = [&](const std::vector<std::string>& files, const std::string& message) {
    std::vector<std::string> arguments{"run", "parts", "--input"};
    arguments.insert(arguments.end(), files.begin(), files.end());
    expect_failure(model.segue(arguments), kUsage, message);
  };
  refuses({"a"}, "--input 'a': the model has 2 inputs: 'first', 'second'; give NAME=FILE");
  refuses({"first=a", "third=a"}, "--input 'third=a'");
  refuses({"first=a"}, "1 file for 'first', but 0 for 'second'");
  refuses({"first=a", "second=m.tflite"}, "'second'");
}

TEST(CliTensors, OnlyInputNeedsNoName) {
  const TwoInputs model;
  EXPECT_EQ(
      model.segue({"split", "zoo:conv5-f8", "--tpus", "2", "--strategy", "compiler", "-o", "one"})
          .status,
      0);
  model.write("x=1", std::string(64 * 64 * 3, '\1'));
  for (const std::string file : {"x=1", "input_1=x=1"}) {
    const auto run = model.segue({"run", "one", "--input", file, "-o", "results"});
    EXPECT_EQ(run.status, 0) << run.err;
  }
}

TEST(CliTensors, UnwritableOutputIsAFileError) {
  const TwoInputs model;
  model.write("file", "");
  const auto run = model.segue({"run", "parts", "--inputs", "3", "-o", "file/results"});
  EXPECT_EQ(run.status, kFile);
  EXPECT_THAT(run.err, HasWords("file"));
  expect_failure(model.segue({"run", "parts", "-o", "parts"}), kUsage, "name another output");
}

// The model has one operator, and the name of its output contains a line end.
TEST(CliReports, CountOfOneIsSingular) {
  const ScratchFolder scratch;
  testing::ModelBuilder b;
  b.output(b.dense(b.input("x", {1, 8}), "first\nsecond", 4));
  const auto bytes = b.bytes();
  write_file(scratch.path() / "m.tflite",
             {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const std::vector<std::vector<std::string>> commands{
      {"inspect", "m.tflite"},
      {"plan", "m.tflite", "--tpus", "1", "--strategy", "optimal", "-o", "plan.json"},
      {"plan", "m.tflite", "--tpus", "auto"},
      {"plan", "m.tflite", "--tpus", "1", "--strategy", "profile"},
      {"split", "m.tflite", "--tpus", "1", "-o", "parts"},
      {"verify", "m.tflite", "parts", "--inputs", "1"},
      {"verify", "m.tflite", "plan.json"},
      {"run", "parts", "--inputs", "1"},
      {"simulate", "m.tflite", "--tpus", "1", "--inputs", "1"},
      {"compare", "m.tflite", "--tpus", "1"}};
  std::string all;
  for (const auto& command : commands) {
    const auto result = run_segue(command, scratch.path());
    EXPECT_EQ(result.status, 0) << command[0] << ": " << result.err;
    all += result.out + result.err;
  }
  EXPECT_THAT(all, Not(ContainsRegex("[^0-9.]1 [A-Za-z]+[a-zU]s[^a-z]")));
  EXPECT_THAT(all, ContainsRegex("[^0-9.]1 operator[^s]"));
  EXPECT_THAT(all, HasWords("first\\nsecond INT8"));
}

TEST(NpyHeader, ElementTypesHaveNumpyCodes) {
  const auto header = [](int type, std::uint64_t bytes) {
    return cli::npy_header({"x", static_cast<ElementType>(type), {2, 3}, bytes}, bytes);
  };
  const std::vector<std::pair<const char*, std::uint64_t>> types{
      {"<f4", 4}, {"<f2", 2}, {"<i4", 4}, {"|u1", 1}, {"<i8", 8}, {"", 0},
      {"|b1", 1}, {"<i2", 2}, {"<c8", 8}, {"|i1", 1}, {"<f8", 8}, {"<c16", 16},
      {"<u8", 8}, {"", 0},    {"", 0},    {"<u4", 4}, {"<u2", 2}};
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i].second == 0) continue;
    EXPECT_THAT(header(static_cast<int>(i), 6 * types[i].second),
                HasWords("'descr': '" + std::string(types[i].first) +
                         "', 'fortran_order': False, 'shape': (2, 3), }"));
  }
  constexpr int kInt4 = 17;
  EXPECT_THAT(header(kInt4, 3), HasWords("'descr': '|u1', 'fortran_order': False, 'shape': (3,)"));
}

TEST(NpyHeader, SizeMismatchMakesShapeFlat) {
  EXPECT_THAT(cli::npy_header({"x", ElementType::kFloat32, {1, 1}, 4}, 20),
              HasWords("'shape': (5,)"));
  EXPECT_THAT(cli::npy_header({"x", ElementType::kFloat32, {}, 4}, 4), HasWords("'shape': ()"));
}

TEST(NpyHeader, LengthIsMultipleOf64ForAnyRank) {
  for (std::size_t rank = 0; rank < 40; ++rank) {
    const Port port{"x", ElementType::kInt8, std::vector<std::int32_t>(rank, 1), 1};
    const std::string header = cli::npy_header(port, 1);
    EXPECT_EQ(header.size() % 64, 0U);
    EXPECT_EQ(header.back(), '\n');
    const auto length =
        static_cast<unsigned char>(header[8]) + 256U * static_cast<unsigned char>(header[9]);
    EXPECT_EQ(length + 10U, header.size());
  }
}

}  // namespace
}  // namespace segue
