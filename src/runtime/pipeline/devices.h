// The devices of a pipeline: what is open on them, and which are spare or lost.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/pipeline/scheduler.h"

namespace segue::pipeline {

struct Device {
  enum class State { kSpare, kToOpen, kOpening, kReady, kLost };
  std::string name;
  std::shared_ptr<const Backend> backend;
  std::shared_ptr<const void> owner;  // of the bytes that the session reads
  std::shared_ptr<Session> session;
  State state = State::kSpare;
  std::size_t stage = kNone;
  std::uint64_t attempt = 0;        // results of an earlier attempt are ignored
  Clock::time_point opening_since;  // where it is opening
  bool hangs = false;               // given up by the watchdog, and its thread has not returned
};

// A session that is no longer needed. Closing it is work for the device and may take long, so it is
// closed without the pipeline's lock.
struct RetiredSession {
  std::shared_ptr<const void> owner;  // outlives the session
  std::shared_ptr<Session> session;
};

// Plain state under the pipeline's lock, as the scheduler.
class Devices {
 public:
  // Devices whose library may end this process are replaced by a process each, where
  // `own_processes` is set.
  Devices(std::vector<PipelineDevice> devices, bool own_processes);

  [[nodiscard]] Device& operator[](std::size_t i) { return all_[i]; }
  [[nodiscard]] const Device& operator[](std::size_t i) const { return all_[i]; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] auto begin() { return all_.begin(); }
  [[nodiscard]] auto end() { return all_.end(); }
  [[nodiscard]] auto begin() const { return all_.begin(); }
  [[nodiscard]] auto end() const { return all_.end(); }

  // Memory for tensors that processes of devices see; null where no device has a process.
  [[nodiscard]] const std::shared_ptr<SharedMemory>& memory() const { return memory_; }
  [[nodiscard]] std::vector<std::size_t> living() const;
  // The first device in this state; kNone: there is none.
  [[nodiscard]] std::size_t find(Device::State state) const;
  [[nodiscard]] std::size_t count_opening(std::size_t stage) const;

  // Gives the living devices, in order, the segments of a layout with a session for each replica;
  // the rest are spares.
  void assign(const PipelineLayout& layout, std::vector<std::shared_ptr<Session>> sessions);
  void lose(std::size_t device);
  void retire(std::shared_ptr<Session>& session, std::shared_ptr<const void> owner);
  [[nodiscard]] std::vector<RetiredSession> take_retired() { return std::exchange(retired_, {}); }
  [[nodiscard]] bool has_retired() const { return !retired_.empty(); }

 private:
  std::shared_ptr<SharedMemory> memory_;
  std::deque<Device> all_;
  std::vector<RetiredSession> retired_;
};

// Throws Error(kInvalidArgument) where a layout cannot run on so many devices.
void check_layout(const PipelineLayout& layout, std::size_t devices);

// Opens each segment for each of its replicas, whose devices are counted from 0. What was opened
// before one fails stays in `sessions`.
using Open =
    std::function<std::shared_ptr<Session>(std::size_t position, const PipelineSegment& segment)>;
void open_all(const PipelineLayout& layout, std::vector<std::shared_ptr<Session>>& sessions,
              const Open& open);

// Opens a segment on a device. Where that takes longer than `timeout`, its thread is left alone and
// Error(kDevice) thrown; zero waits forever.
[[nodiscard]] std::shared_ptr<Session> open_within(Nanoseconds timeout, const Device& device,
                                                   const PipelineSegment& segment);

// The routing of a layout, with one of `sessions` for each replica.
[[nodiscard]] Routing route(const PipelineLayout& layout,
                            const std::vector<std::shared_ptr<Session>>& sessions);

}  // namespace segue::pipeline
