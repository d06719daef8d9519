// Devices that fail at a chosen computation, and runs with random faults.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <thread>

#include "fake_backend.h"

namespace segue::testing {

enum class Fault { kError, kHang, kVanish, kSlow, kLate, kWrongSize };

// The devices of a run, some of which fail at their n-th computation. A device that vanished
// refuses all later calls. A device that hangs returns long after the watchdog, or when the test
// ends.
class FaultyDevices {
 public:
  FaultyDevices(FakeBackend::Segments segments, std::size_t count, bool is_local = false)
      : segments_(std::move(segments)), is_local_(is_local) {
    for (std::size_t i = 0; i < count; ++i) faults_.push_back(std::make_shared<State>());
  }
  ~FaultyDevices() {
    release_->store(true);
    release_->notify_all();
  }
  FaultyDevices(const FaultyDevices&) = delete;
  FaultyDevices& operator=(const FaultyDevices&) = delete;

  void plan(std::size_t device, Fault fault, int at) { faults_[device]->fault = {fault, at}; }

  [[nodiscard]] std::vector<PipelineDevice> devices() {
    std::vector<PipelineDevice> devices;
    for (std::size_t i = 0; i < faults_.size(); ++i) {
      devices.push_back({"tpu" + std::to_string(i),
                         std::make_shared<FakeBackend>(
                             segments_,
                             [release = release_, state = faults_[i]](auto&, auto& outputs) {
                               fail_when_due(*state, *release, outputs);
                             },
                             is_local_)});
    }
    return devices;
  }

 private:
  struct State {
    std::optional<std::pair<Fault, int>> fault;
    std::atomic<int> runs = 0;
    std::atomic<bool> is_gone = false;
  };

  static void fail_when_due(State& state, const std::atomic<bool>& release,
                            std::vector<TensorBytes>& outputs) {
    if (state.is_gone) throw Error(ErrorCode::kDevice, "no such device");
    if (!state.fault || state.runs++ != state.fault->second) return;
    switch (state.fault->first) {
      case Fault::kError:
        throw Error(ErrorCode::kDevice, "transfer on tag 2 failed");
      case Fault::kHang:
        release.wait(false);
        break;
      case Fault::kVanish:
        state.is_gone = true;
        throw Error(ErrorCode::kDevice, "no such device");
      case Fault::kSlow:
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        break;
      case Fault::kLate:  // long after the watchdog of random runs
        std::this_thread::sleep_for(std::chrono::milliseconds(60));
        break;
      case Fault::kWrongSize:
        outputs[0].pop_back();
        break;
    }
  }

  FakeBackend::Segments segments_;
  bool is_local_;
  std::vector<std::shared_ptr<State>> faults_;
  // This is shared, because threads of hanging devices outlive the run.
  std::shared_ptr<std::atomic<bool>> release_ = std::make_shared<std::atomic<bool>>(false);
};

// Pushes 0, 1, … until all are accepted or the pipeline ends with an error.
inline void push_until_error(Pipeline& pipeline, std::uint64_t count) {
  try {
    for (std::uint64_t i = 0; i < count; ++i) (void)pipeline.push(input_of(i));
  } catch (const Error&) {
  }
}

// Makes the segments of a chain of four and all merged ones: "0-1" contains 0 and 1.
inline FakeBackend::Segments chain_in_pieces() {
  auto segments = chain_of(4);
  for (std::size_t from = 0; from < 4; ++from) {
    for (std::size_t to = from + 1; to < 4; ++to) {
      segments[std::to_string(from) + "-" + std::to_string(to)] = {
          {"t" + std::to_string(from)},
          {"t" + std::to_string(to + 1)},
          [from, to](auto inputs, auto& outputs) {
            std::uint64_t value = number_in(inputs[0]);
            for (std::size_t i = from; i <= to; ++i) value = value * 3 + i;
            outputs[0] = bytes_of(value);
          }};
    }
  }
  return segments;
}

inline std::optional<PipelineLayout> fewer_pieces(std::uint32_t devices) {
  const std::vector<std::vector<std::string>> pieces{
      {"0-3"}, {"0-1", "2-3"}, {"0", "1-2", "3"}, {"0", "1", "2", "3"}};
  PipelineLayout layout;
  for (const auto& name : pieces.at(std::min<std::size_t>(devices, 4) - 1))
    layout.segments.push_back({name, {}, nullptr, 1});
  return layout;
}

// A pipeline of random shape, with at most one fault per device at a random point.
struct FaultyRun {
  bool replans = false;
  std::vector<std::uint32_t> replicas;  // per stage
  PipelineLayout layout;
  std::unique_ptr<FaultyDevices> devices;
  std::size_t device_count = 0;
  PipelineOptions options;
};

inline FaultyRun random_run(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto draw = [&](std::uint64_t below) {
    return static_cast<std::uint32_t>(random() % below);
  };
  FaultyRun run;
  run.replans = draw(2) == 0;
  run.replicas.resize(run.replans ? 4 : 1 + draw(4));
  for (std::uint32_t& of : run.replicas) of = 1 + draw(3);
  const std::size_t stages = run.replicas.size();
  run.layout = layout_of(stages, run.replicas);
  run.device_count = run.layout.device_count() + draw(3);
  const bool is_local = draw(2) == 0;
  run.devices = std::make_unique<FaultyDevices>(run.replans ? chain_in_pieces() : chain_of(stages),
                                                run.device_count, is_local);
  for (std::size_t i = 0; i < run.device_count; ++i) {
    if (draw(2) == 0) continue;
    constexpr std::array kFaults{Fault::kError, Fault::kVanish,    Fault::kSlow,
                                 Fault::kHang,  Fault::kWrongSize, Fault::kLate};
    Fault fault = kFaults[draw(kFaults.size())];
    // A session that hangs on a core of this machine keeps the core, so local devices are slow
    // instead.
    if (is_local && (fault == Fault::kHang || fault == Fault::kLate)) fault = Fault::kSlow;
    run.devices->plan(i, fault, static_cast<int>(draw(30)));
  }
  run.options.queue_capacity = 1 + draw(3);
  run.options.result_capacity = 1 + draw(3);
  run.options.watchdog = std::chrono::milliseconds(25);
  run.options.most_attempts = 100;
  if (run.replans) run.options.replan = fewer_pieces;
  return run;
}

// Opens the pipeline. These devices open immediately, but a busy machine may still exceed the
// watchdog. This is not a fault of the run, which is then repeated.
inline void open_in_time(std::optional<Pipeline>& pipeline, FaultyRun& run, std::uint64_t seed) {
  constexpr int kMostAttempts = 100;
  for (int attempt = 1; !pipeline; ++attempt) {
    try {
      pipeline.emplace(run.layout, run.devices->devices(), run.options);
    } catch (const Error&) {
      if (attempt == kMostAttempts) throw;
      run = random_run(seed);
    }
  }
}

// Expects that every input gives one result, in order, with the right value, or that the first
// results are followed by the error if nothing can take over.
inline void run_with_faults(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  FaultyRun run = random_run(seed);
  std::optional<Pipeline> opened;
  open_in_time(opened, run, seed);
  Pipeline& pipeline = *opened;
  constexpr std::uint64_t kInputs = 60;
  const std::jthread producer([&] {
    push_until_error(pipeline, kInputs);
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  try {
    for (; pipeline.pop(result, std::chrono::seconds(30)) == Flow::kOk; ++next) {
      EXPECT_EQ(result.number, next);
      EXPECT_EQ(number_in(result.outputs.at(0)), through_chain(next, run.replicas.size()));
    }
    EXPECT_EQ(next, kInputs);
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("no device is left"));
    EXPECT_LT(next, kInputs);
    // The pipeline may end only if no remaining device can take over.
    const std::size_t spares = run.device_count - run.layout.device_count();
    EXPECT_GE(pipeline.statistics().losses.size(),
              run.replans ? run.device_count : *std::ranges::min_element(run.replicas) + spares);
  }
  pipeline.cancel();  // ends a run that did not finish in time
}

}  // namespace segue::testing
