// Tests random pipelines in which processes of Edge TPUs end or stop at random points.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "compiled_chain.h"
#include "resident.h"
#include "segue/error.h"
#include "stand_in.h"

namespace segue {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::bytes_with;
using testing::chain;
using testing::compiled_chain;
using testing::StandIn;

constexpr auto kWatchdog = milliseconds(400);
constexpr int kInputs = 60;
constexpr std::int32_t kBytes = 4096;

struct Run {
  std::vector<std::uint32_t> replicas;
  std::uint32_t spares = 0;
  int victim = 0;  // device
  int signal = 0;  // 0: the library ends the process in order
  microseconds after{0};
  [[nodiscard]] std::uint32_t stage_devices() const {
    std::uint32_t sum = 0;
    for (const std::uint32_t count : replicas) sum += count;
    return sum;
  }
};

Run random_run(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto up_to = [&](std::uint64_t most) {
    return static_cast<std::uint32_t>(random() % most);
  };
  Run run;
  run.replicas.resize(1 + up_to(4));
  for (std::uint32_t& count : run.replicas) count = 1 + up_to(2);
  run.spares = up_to(3);
  run.victim = static_cast<int>(up_to(run.stage_devices() + run.spares));
  run.signal = std::array{SIGKILL, SIGABRT, SIGSTOP, 0}.at(up_to(4));
  run.after = microseconds(up_to(run.stage_devices() * 15'000 + 20'000));
  return run;
}

// Returns a layout for fewer devices. Only replicas are removed, because a shorter chain would
// compute something else.
std::optional<PipelineLayout> on_fewer(const std::vector<std::vector<std::byte>>& files,
                                       std::uint32_t devices) {
  if (devices < files.size()) return std::nullopt;
  return chain(files, std::vector<std::uint32_t>(files.size(), 1));
}

void strike(const StandIn& library, const Run& run) {
  if (run.signal == 0) return;
  std::this_thread::sleep_for(run.after);
  const int process = library.process(run.victim);
  if (process > 0 && process != ::getpid()) ::kill(process, run.signal);
}

void push_all(Pipeline& pipeline) {
  try {
    for (int i = 0; i < kInputs; ++i) {
      std::vector<TensorBytes> inputs;
      inputs.push_back(bytes_with(i, kBytes));
      if (pipeline.push(std::move(inputs)) != Flow::kOk) return;
    }
    pipeline.close();
  } catch (const Error&) {
    // The consumer gets this error, too.
  }
}

struct Outcome {
  int results = 0;
  std::string ended_with;
};

Outcome pop_all(Pipeline& pipeline, int stages) {
  Outcome outcome;
  try {
    PipelineResult result;
    for (; pipeline.pop(result) == Flow::kOk; ++outcome.results) {
      EXPECT_EQ(result.number, static_cast<std::uint64_t>(outcome.results));
      EXPECT_EQ(result.outputs.at(0), bytes_with(outcome.results + stages, kBytes));
    }
  } catch (const Error& error) {
    outcome.ended_with = error.what();
  }
  return outcome;
}

// The process may be struck while devices open, compute or end. Sticks open slowly, and one opening
// in five fails.
void run_with_faults(StandIn& library, std::uint64_t seed) {
  library.reset();
  library.attach(12);
  library.slow_open(static_cast<int>(seed % 3) * 5);
  library.fail_opens(5);
  const Run run = random_run(seed);
  if (run.signal == 0) library.fail(run.victim, kStandInExit, static_cast<int>(seed % kInputs));
  const auto files = compiled_chain(run.replicas.size(), kBytes);
  auto devices = testing::stand_in_devices();
  devices.resize(run.stage_devices() + run.spares);
  std::thread saboteur([&] { strike(library, run); });
  std::optional<Outcome> outcome;
  auto ending = std::chrono::steady_clock::now();
  try {
    Pipeline pipeline(chain(files, run.replicas), std::move(devices),
                      {.watchdog = kWatchdog,
                       .replan = [&](std::uint32_t left) { return on_fewer(files, left); }});
    std::thread producer([&] { push_all(pipeline); });
    outcome = pop_all(pipeline, static_cast<int>(files.size()));
    producer.join();
    ending = std::chrono::steady_clock::now();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice) << "while it opened: " << error.what();
  }
  saboteur.join();
  EXPECT_LT(std::chrono::steady_clock::now() - ending, kWatchdog + std::chrono::seconds(2));
  if (!outcome) return;
  // The pipeline survives one loss if another device can take over.
  if (run.stage_devices() + run.spares > run.replicas.size()) {
    EXPECT_EQ(outcome->ended_with, "");
  }
  if (outcome->ended_with.empty()) {
    EXPECT_EQ(outcome->results, kInputs);
  }
}

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::stoull(text);
}

struct Footprint {
  std::uint64_t resident_kib = 0;
  std::ptrdiff_t files = 0;
  std::ptrdiff_t children = 0;
};

Footprint footprint() {
  Footprint now;
  now.resident_kib = testing::resident_kib();
  now.files = std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream children(thread.path() / "children");
    now.children += std::distance(std::istream_iterator<int>(children), {});
  }
  return now;
}

// SEGUE_SOAK_INPUTS sets the number of inputs; releases use 10,000,000. Nine devices are killed
// during the run.
TEST(DeviceProcessFaults, LongRunUsesConstantMemory) {
  constexpr std::uint64_t kLosses = 9;
  StandIn library;
  library.attach(12);
  const std::uint64_t count = number_of("SEGUE_SOAK_INPUTS", 20'000);
  const auto files = compiled_chain(2);
  Pipeline pipeline(chain(files, {1, 1}), testing::stand_in_devices(), {});
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < count; ++i) {
      std::vector<TensorBytes> inputs;
      inputs.push_back(bytes_with(static_cast<int>(i % 256)));
      if (pipeline.push(std::move(inputs)) != Flow::kOk) return;
    }
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  Footprint early;
  for (; pipeline.pop(result) == Flow::kOk; ++next) {
    if (result.number != next) break;
    if (result.outputs[0] != bytes_with(static_cast<int>((next + 2) % 256))) break;
    if (next % (count / (kLosses + 1)) == 1 && next > 1) {
      if (early.files == 0) early = footprint();
      // Device 0 runs first. After each loss the next spare takes over.
      const auto losses = static_cast<int>(pipeline.statistics().losses.size());
      ::kill(library.process(losses == 0 ? 0 : losses + 1), SIGKILL);
    }
  }
  EXPECT_EQ(next, count);
  producer.join();
  EXPECT_EQ(pipeline.statistics().losses.size(), kLosses);
  const Footprint late = footprint();
  EXPECT_LE(late.resident_kib, early.resident_kib + 1024);
  EXPECT_LE(late.files, early.files);
  EXPECT_LE(late.children, early.children);
  std::printf("resident %llu to %llu KiB, %td to %td files, %td to %td processes\n",
              static_cast<unsigned long long>(early.resident_kib),
              static_cast<unsigned long long>(late.resident_kib), early.files, late.files,
              early.children, late.children);
}

// SEGUE_FAULT_RUNS sets the number of runs; releases use 1000.
TEST(DeviceProcessFaults, RandomProcessEndsLoseNoResult) {
  StandIn library;
  const std::uint64_t runs = number_of("SEGUE_FAULT_RUNS", 100);
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    run_with_faults(library, seed);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace segue
