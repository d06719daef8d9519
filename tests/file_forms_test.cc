// Tests data after the model in a file, and files that are not models.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "command.h"
#include "environment.h"
#include "expect.h"
#include "model/internal/archive.h"
#include "model_builder.h"
#include "segue/file.h"
#include "split_model.h"

namespace segue {
namespace {

using testing::expect_error;
using testing::ModelBuilder;
using testing::operators;
using testing::run_segue;
using testing::ScratchFolder;
using testing::skipping;
using testing::TensorIndex;

std::vector<std::byte> as_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void append(std::string& text, std::uint64_t number, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i, number >>= 8U) text += static_cast<char>(number & 255U);
}

// Makes an archive of stored files, whose positions count from `base` bytes before the archive.
std::string zip(const std::vector<std::pair<std::string, std::string>>& files, std::size_t base) {
  std::string archive;
  std::string directory;
  for (const auto& [name, contents] : files) {
    std::string common;  // fields that an entry and its directory record share, from the version on
    append(common, 20, 2);
    append(common, 0, 12);  // flags, method, time, date, checksum
    append(common, contents.size(), 4);
    append(common, contents.size(), 4);
    append(common, name.size(), 2);
    append(common, 0, 2);
    directory += "PK\x01\x02";
    append(directory, 20, 2);
    directory += common;
    append(directory, 0, 10);  // comment, disk, attributes
    append(directory, base + archive.size(), 4);
    directory += name;
    archive += "PK\x03\x04" + common + name + contents;
  }
  std::string end = "PK\x05\x06";
  append(end, 0, 4);
  append(end, files.size(), 2);
  append(end, files.size(), 2);
  append(end, directory.size(), 4);
  append(end, base + archive.size(), 4);
  append(end, 0, 2);
  return archive + directory + end;
}

const std::vector<std::pair<std::string, std::string>> kLabels{{"labels.txt", "cat\ndog\n"},
                                                               {"about.json", "{\"stride\": 32}"}};

std::vector<std::byte> with_labels(const ModelBuilder& b, bool counts_from_the_model) {
  auto file = b.bytes();
  const auto archive = as_bytes(zip(kLabels, counts_from_the_model ? file.size() : 0));
  file.insert(file.end(), archive.begin(), archive.end());
  return file;
}

std::uint32_t number_at(const std::vector<std::byte>& file, std::size_t position) {
  std::uint32_t number = 0;
  std::memcpy(&number, file.data() + position, sizeof(number));
  return number;
}

std::string text_at(const std::vector<std::byte>& file, std::size_t position, std::size_t size) {
  return {reinterpret_cast<const char*>(file.data()) + position, size};
}

// Returns the first file, like a reader that counts positions from the start of the model.
std::string first_label_file(const std::vector<std::byte>& file) {
  constexpr std::size_t kEndBytes = 22;
  const std::size_t directory = number_at(file, file.size() - kEndBytes + 16);
  EXPECT_EQ(text_at(file, directory, 4), "PK\x01\x02");
  const std::size_t entry = number_at(file, directory + 42);
  EXPECT_EQ(text_at(file, entry, 4), "PK\x03\x04");
  constexpr std::size_t kEntryBytes = 30;
  const std::size_t name = std::string("labels.txt").size();
  EXPECT_EQ(text_at(file, entry + kEntryBytes, name), "labels.txt");
  return text_at(file, entry + kEntryBytes + name, number_at(file, entry + 18));
}

TEST(Labels, LabelFilesStayWithLastSegment) {
  for (const bool counts_from_the_model : {false, true}) {
    const Model model = parse_model(with_labels(skipping(), counts_from_the_model), "model");
    EXPECT_EQ(attached_files(model), (std::vector<std::string>{"labels.txt", "about.json"}));
    const auto first = extract_segment(model, operators(0, 1)).to_bytes();
    EXPECT_TRUE(attached_files(parse_model(first, "first")).empty());
    const auto last = extract_segment(model, operators(2, 3)).to_bytes();
    EXPECT_EQ(attached_files(parse_model(last, "last")), attached_files(model));
    EXPECT_EQ(first_label_file(last), "cat\ndog\n");
    // Extracts a segment from the segment.
    const Model again = parse_model(last, "last");
    EXPECT_EQ(extract_segment(again, operators(0, 1)).to_bytes(), last);
  }
}

TEST(Labels, SplitReportsLabelFiles) {
  const ScratchFolder scratch;
  testing::write_bytes(scratch.path() / "m.tflite", with_labels(skipping(), true));
  const auto result = run_segue({"split", "m.tflite", "--at", "b", "-o", "p"}, scratch.path());
  EXPECT_EQ(result.status, 0);
  for (const char* part : {"labels.txt, about.json", "segment 1"})
    EXPECT_THAT(result.err, ::testing::HasSubstr(part));
  EXPECT_EQ(run_segue({"verify", "m.tflite", "p"}, scratch.path()).status, 0);
}

TEST(Labels, DamagedArchivesAreDropped) {
  const auto whole = with_labels(skipping(), true);
  const std::size_t model_bytes = skipping().bytes().size();
  for (std::size_t at = model_bytes; at < whole.size(); ++at) {
    auto damaged = whole;
    damaged[at] ^= std::byte{0x55};
    const Model model = parse_model(damaged, "damaged");
    const Model copy = parse_model(extract_segment(model, operators(0, 3)).to_bytes(), "copy");
    EXPECT_EQ(attached_files(copy), attached_files(model)) << at - model_bytes;
  }
}

TEST(Labels, TruncatedArchiveIsNoted) {
  EXPECT_EQ(lost_files_note(skipping().build()), "");
  const auto whole = with_labels(skipping(), true);
  EXPECT_EQ(lost_files_note(parse_model(whole, "whole")), "");
  const std::size_t model_bytes = skipping().bytes().size();
  constexpr std::size_t kHeaderBytes = 30;
  for (std::size_t size = model_bytes + kHeaderBytes; size < whole.size(); ++size) {
    auto cut = whole;
    cut.resize(size);
    EXPECT_THAT(lost_files_note(parse_model(cut, "cut")),
                ::testing::HasSubstr("at byte " + std::to_string(model_bytes) + " "))
        << size;
  }
}

TEST(Labels, TruncatedModelNotesLostLabels) {
  const auto path = testing::shared("cases/ultra.tflite");
  SKIP_WITHOUT(path);
  auto bytes = testing::read_bytes(path);
  EXPECT_EQ(lost_files_note(parse_model(bytes, "ultra")), "");
  bytes.pop_back();
  EXPECT_THAT(lost_files_note(parse_model(bytes, "ultra")), ::testing::HasSubstr("at byte 1944 "));
}

struct Foreign {
  const char* name;
  std::string contents;
  const char* message;
};
class ForeignFile : public ::testing::TestWithParam<Foreign> {};

TEST_P(ForeignFile, FormatIsNamedWithRemedy) {
  auto bytes = as_bytes(GetParam().contents);
  bytes.resize(std::max<std::size_t>(bytes.size(), 64));
  expect_error(ErrorCode::kInvalidModel, [&] { (void)parse_model(bytes, "file"); },
               {"not a TensorFlow Lite model", GetParam().message});
}

INSTANTIATE_TEST_SUITE_P(
    All, ForeignFile,
    ::testing::Values(
        Foreign{"GitLfsPointer",
                "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 25613432\n",
                "Git LFS pointer to a file of 25613432 bytes"},
        Foreign{"WebPage", "\n\n<!DOCTYPE html>\n<html lang=\"en\">", "a web page"},
        Foreign{"WebPageInCapitals", "<HTML><HEAD>", "a web page"},
        Foreign{"WebPageWithByteOrderMark", "\xef\xbb\xbf<!doctype HTML>", "a web page"},
        Foreign{"Plan", "{\n  \"schema\": \"segue.plan/2\",\n  \"model\": {}}",
                "a plan.json of segue"},
        Foreign{"JsonObject", "{\"labels\": [1, 2]}", "a JSON file"},
        Foreign{"JsonList", "\xef\xbb\xbf[ 1, 2]", "a JSON file"},
        Foreign{"BracketAlone", "[hello", "no identifier \"TFL3\""},
        Foreign{"Gzip", "\x1f\x8b\x08", "gunzip"}, Foreign{"Zip", "PK\x03\x04\x14", "zip archive"},
        Foreign{"Hdf5", "\x89HDF\r\n\x1a\n", "HDF5"},
        Foreign{"Onnx", "\x08\x07\x12\x07pytorch", "onnx2tf"},
        Foreign{"OnnxWithoutProducer", "\x08\x0a\x3a\x20", "ONNX"},
        Foreign{"SavedModel", "\x08\x01\x12\x90\x01\x0a", "from_saved_model"},
        Foreign{"AnythingElse", "hello", "no identifier \"TFL3\""}),
    [](const auto& row) { return row.param.name; });

TEST(ForeignFile, SavedModelFolderIsNamed) {
  const ScratchFolder scratch;
  write_file(scratch.path() / "saved_model.pb", "x");
  expect_error(ErrorCode::kIo, [&] { (void)read_model(scratch.path()); }, {"from_saved_model"});
}

TEST(CompiledModels, EthosUModelIsNamed) {
  ModelBuilder b;
  const TensorIndex y = b.tensor("y", {1, 4});
  b.op(tflite::BuiltinOperator::CUSTOM, {b.input("x", {1, 4})}, {y});
  b.raw().operator_codes[0]->custom_code = "ethos-u";
  b.output(y);
  const Model model = b.build();
  expect_error(ErrorCode::kUnsupported, [&] { check_not_compiled(model); },
               {"Ethos-U (by Vela)", "quantized .tflite"});
}

}  // namespace
}  // namespace segue
