// What tests need from the machine: the TensorFlow Lite runtime, a scratch folder, and files that
// only developers have.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "segue/runtime.h"

namespace segue::testing {

/// The runtime that scripts/setup installed.
[[nodiscard]] const Backend& cpu_backend();

/// A folder that is removed again.
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

/// Models, pictures and measurements beside the checkout; absent for most people.
[[nodiscard]] std::filesystem::path shared(const std::string& file);

/// Names of Google's models among them, without those already compiled; empty when absent.
[[nodiscard]] std::vector<std::string> shared_models();

/// Those of them that run, for suites over them: "absent" alone where the files are not there, so
/// that the suite then shows one skipped test.
[[nodiscard]] std::vector<std::string> runnable_shared_models();

/// A parameter as a part of a test's name: letters, digits and '_'.
[[nodiscard]] std::string test_name(std::string parameter);

/// Every tensor, constants too.
[[nodiscard]] std::vector<TensorId> all_tensors(const Model& model);

[[nodiscard]] std::vector<std::byte> read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes);

}  // namespace segue::testing

#define SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "absent: " << (path)
