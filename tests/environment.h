// Gives tests what they need from the machine: the TensorFlow Lite runtime, a scratch folder, and
// files that only developers have.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "segue/runtime.h"

namespace segue::testing {

/// Returns a backend with the runtime that scripts/setup installed.
[[nodiscard]] const Backend& cpu_backend();

/// A temporary folder, which is removed at the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Returns the path of a model, picture or measurement beside the checkout, which most people do
/// not have.
[[nodiscard]] std::filesystem::path shared(const std::string& file);

/// Returns the names of Google's models there, without compiled ones; empty if there are none.
[[nodiscard]] std::vector<std::string> shared_models();

/// Returns those of these models that run, for test suites. Without the files it returns "absent",
/// so that the suite shows one skipped test.
[[nodiscard]] std::vector<std::string> runnable_shared_models();

/// Makes a part of a test's name of a parameter: letters, digits and '_'.
[[nodiscard]] std::string test_name(std::string parameter);

/// Returns every tensor, including constants.
[[nodiscard]] std::vector<TensorId> all_tensors(const Model& model);

[[nodiscard]] std::vector<std::byte> read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes);

}  // namespace segue::testing

#define SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "absent: " << (path)
