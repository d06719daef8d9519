// A backend without models, whose segments compute functions of a test.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "segue/error.h"
#include "segue/pipeline.h"
#include "segue/runtime.h"

namespace segue::testing {

inline TensorBytes bytes_of(std::uint64_t value) {
  TensorBytes bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
inline std::uint64_t number_in(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

using Compute = std::function<void(std::span<const std::span<const std::byte>> inputs,
                                   std::vector<TensorBytes>& outputs)>;

// A segment: its tensors, which have 8 bytes by default, and the function that it computes.
struct FakeSegment {
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  Compute compute;
  std::uint64_t bytes = 8;
};

// A backend that opens segments by name. It calls `before` with the segment's name before each
// computation.
class FakeBackend : public Backend {
 public:
  using Segments = std::map<std::string, FakeSegment>;
  using Before = std::function<void(const std::string& segment, std::vector<TensorBytes>& outputs)>;

  explicit FakeBackend(const Segments& segments, Before before = {}, bool is_local = false)
      : segments_(segments), before_(std::move(before)), is_local_(is_local) {}
  [[nodiscard]] bool computes_on_core() const override { return is_local_; }

  [[nodiscard]] std::string description() const override { return "a stand-in"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte>,
                                              const std::string& name) const override {
    const auto found = segments_.find(name);
    if (found == segments_.end()) throw Error(ErrorCode::kInvalidModel, name + ": not accepted");
    return std::make_unique<FakeSession>(name, found->second, before_);
  }

 private:
  class FakeSession : public Session {
   public:
    FakeSession(std::string name, const FakeSegment& segment, Before before)
        : name_(std::move(name)), compute_(segment.compute), before_(std::move(before)) {
      for (const auto& input : segment.inputs)
        inputs_.push_back({input, ElementType::kInt8, {}, segment.bytes});
      for (const auto& output : segment.outputs)
        outputs_.push_back({output, ElementType::kInt8, {}, segment.bytes});
    }
    [[nodiscard]] std::span<const Port> inputs() const override { return inputs_; }
    [[nodiscard]] std::span<const Port> outputs() const override { return outputs_; }
    void run_into(std::span<const std::span<const std::byte>> inputs,
                  std::vector<TensorBytes>& outputs) override {
      outputs.resize(outputs_.size());
      compute_(inputs, outputs);
      if (before_) before_(name_, outputs);
    }

   private:
    std::string name_;
    Compute compute_;
    Before before_;
    std::vector<Port> inputs_;
    std::vector<Port> outputs_;
  };

  Segments segments_;
  Before before_;
  bool is_local_;
};

// Makes a chain of segments "0", "1", …, which compute 3 x + their position.
inline FakeBackend::Segments chain_of(std::size_t count) {
  FakeBackend::Segments segments;
  for (std::size_t i = 0; i < count; ++i) {
    segments[std::to_string(i)] = {
        {"t" + std::to_string(i)}, {"t" + std::to_string(i + 1)}, [i](auto inputs, auto& outputs) {
          outputs[0] = bytes_of(number_in(inputs[0]) * 3 + i);
        }};
  }
  return segments;
}
inline std::uint64_t through_chain(std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) value = value * 3 + i;
  return value;
}

inline PipelineLayout layout_of(std::size_t segments, std::vector<std::uint32_t> replicas = {}) {
  PipelineLayout layout;
  for (std::size_t i = 0; i < segments; ++i)
    layout.segments.push_back({std::to_string(i), {}, nullptr, replicas.empty() ? 1 : replicas[i]});
  return layout;
}

inline std::vector<PipelineDevice> devices_with(std::size_t count,
                                                const std::shared_ptr<const Backend>& backend) {
  std::vector<PipelineDevice> devices;
  for (std::size_t i = 0; i < count; ++i) devices.push_back({"tpu" + std::to_string(i), backend});
  return devices;
}

inline std::vector<TensorBytes> input_of(std::uint64_t value) { return {bytes_of(value)}; }

// Pushes 0, 1, … from another thread and closes; expects all results, once and in order.
inline void expect_all_in_order(Pipeline& pipeline, std::uint64_t count, std::size_t segments) {
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < count; ++i) EXPECT_EQ(pipeline.push(input_of(i)), Flow::kOk);
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  while (pipeline.pop(result) == Flow::kOk) {
    ASSERT_EQ(result.number, next);
    ASSERT_EQ(number_in(result.outputs.at(0)), through_chain(next, segments));
    ++next;
  }
  EXPECT_EQ(next, count);
  producer.join();
}

}  // namespace segue::testing
