// Reads every truncation of a file, byte by byte, which must give an Error or a complete model.
// This takes long and is not a test.
//   fuzz_truncations FILE…
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "segue/error.h"
#include "segue/graph.h"
#include "segue/model.h"

namespace {

// Counts the truncations that are still complete models, because padding or an archive of labels
// may follow a model.
std::size_t count_whole(const std::filesystem::path& copy) {
  std::size_t whole = 0;
  // The loop starts at the end, so that the file only shrinks.
  for (std::size_t size = std::filesystem::file_size(copy); size-- > 0;) {
    std::filesystem::resize_file(copy, size);
    try {
      const segue::Model model = segue::read_model(copy);
      const segue::Graph graph(model);
      (void)segue::compiled_executables(model);
      ++whole;
    } catch (const segue::Error& error) {
      if (error.code() == segue::ErrorCode::kInternal) throw;
    }
  }
  return whole;
}

}  // namespace

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  const fs::path copy =
      fs::path("/dev/shm") / ("segue-truncated-" + std::to_string(::getpid()) + ".tflite");
  for (int i = 1; i < argc; ++i) {
    fs::copy_file(argv[i], copy, fs::copy_options::overwrite_existing);
    fs::permissions(copy, fs::perms::owner_write, fs::perm_options::add);
    const auto size = fs::file_size(copy);
    const std::size_t whole = count_whole(copy);
    std::printf("%s: %ju truncations, %zu still whole\n", fs::path(argv[i]).filename().c_str(),
                size, whole);
    std::fflush(stdout);
  }
  fs::remove(copy);
}
