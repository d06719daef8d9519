// Runs a fuzz target without libFuzzer: on the files themselves, then on random mutations of them,
// which are the same in every run. It finds less than libFuzzer, which follows coverage, but needs
// no other compiler and no instrumentation.
//   fuzz_TARGET MUTATIONS FILE_OR_FOLDER…
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

using Bytes = std::vector<std::uint8_t>;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
extern "C" __attribute__((weak)) std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data,
                                                                     std::size_t size,
                                                                     std::size_t max_size,
                                                                     unsigned int seed);

namespace {

std::mt19937 random_numbers(1);  // NOLINT(cert-msc51-cpp): the same mutations each time

Bytes read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<Bytes> seeds_in(int count, char** paths) {
  std::vector<std::filesystem::path> files;
  for (int i = 0; i < count; ++i) {
    if (!std::filesystem::is_directory(paths[i])) {
      files.emplace_back(paths[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(paths[i])) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  std::vector<Bytes> seeds;
  seeds.reserve(files.size());
  for (const auto& file : files) seeds.push_back(read(file));
  return seeds;
}

Bytes mutated(const Bytes& seed) {
  constexpr std::size_t kRoom = 64;
  Bytes bytes = seed;
  bytes.resize(seed.size() + kRoom);
  const std::size_t size = LLVMFuzzerCustomMutator != nullptr
                               ? LLVMFuzzerCustomMutator(bytes.data(), seed.size(), bytes.size(),
                                                         static_cast<unsigned>(random_numbers()))
                               : LLVMFuzzerMutate(bytes.data(), seed.size(), bytes.size());
  bytes.resize(size);
  return bytes;
}

}  // namespace

// Changes, removes or duplicates some bytes; in texts it changes digits and signs.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size,
                                        std::size_t max_size) {
  constexpr char kSigns[] = "0123456789-+.eE\"{}[]:, \n";
  if (size == 0) return 0;
  const std::size_t at = random_numbers() % size;
  const std::size_t length = std::min<std::size_t>(1 + random_numbers() % 16, size - at);
  switch (random_numbers() % 5) {
    case 0:
      data[at] = static_cast<std::uint8_t>(random_numbers());
      return size;
    case 1:
      data[at] = static_cast<std::uint8_t>(kSigns[random_numbers() % (sizeof kSigns - 1)]);
      return size;
    case 2:
      std::copy(data + at + length, data + size, data + at);
      return size - length;
    case 3:
      if (size + length > max_size) return size;
      std::copy_backward(data + at, data + size, data + size + length);
      return size + length;
    default:
      return at;  // truncates the file
  }
}

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: fuzz_TARGET MUTATIONS FILE_OR_FOLDER...\n", stderr);
    return 2;
  }
  const auto seeds = seeds_in(argc - 2, argv + 2);
  if (seeds.empty()) {
    std::fputs("no seeds\n", stderr);
    return 1;
  }
  for (const Bytes& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  const long long mutations = std::atoll(argv[1]);
  for (long long i = 0; i < mutations; ++i) {
    Bytes bytes = mutated(seeds[static_cast<std::size_t>(i) % seeds.size()]);
    if (random_numbers() % 2 == 0) bytes = mutated(bytes);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu seeds and %lld mutations\n", seeds.size(), mutations);
}
