#include "environment.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <fstream>

namespace segue::testing {

namespace fs = std::filesystem;

const Backend& cpu_backend() {
  static const auto kBackend = make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}, .threads = 1});
  return *kBackend;
}

ScratchFolder::ScratchFolder() {
  std::string pattern = (fs::temp_directory_path() / "segue-test-XXXXXX").string();
  path_ = ::mkdtemp(pattern.data());
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::vector<TensorId> all_tensors(const Model& model) {
  std::vector<TensorId> tensors;
  for (std::size_t i = 0; i < model.tensors().size(); ++i) tensors.push_back(tensor_id(i));
  return tensors;
}

fs::path shared(const std::string& file) { return fs::path(SEGUE_TEST_SHARED) / file; }

std::vector<std::string> shared_models() {
  std::vector<std::string> names;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(shared("models"), absent)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".tflite" && !name.ends_with("_edgetpu")) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> runnable_shared_models() {
  auto names = shared_models();
  std::erase(names, "invalid_model_invoking_error");  // always fails when it runs
  if (names.empty()) names.emplace_back("absent");
  return names;
}

std::string test_name(std::string parameter) {
  std::ranges::replace_if(
      parameter, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return parameter;
}

std::vector<std::byte> read_bytes(const fs::path& path) {
  std::vector<std::byte> bytes(fs::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

void write_bytes(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

}  // namespace segue::testing
