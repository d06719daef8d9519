// The devices of a pipeline, their sessions and their states.
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
  std::shared_ptr<const void> owner;  // keeps the bytes that the session reads alive
  std::shared_ptr<Session> session;
  State state = State::kSpare;
  bool is_host = false;  // runs a stage of the host, and nothing else
  std::size_t stage = kNone;
  std::uint64_t attempt = 0;        // results of earlier attempts are ignored
  Clock::time_point opening_since;  // in state kOpening
  bool hangs = false;               // the watchdog gave it up, and its thread has not returned
};

// A session that is no longer needed. Closing it takes the device's time, so it happens without the
// pipeline's lock.
struct RetiredSession {
  std::shared_ptr<const void> owner;  // must outlive the session
  std::shared_ptr<Session> session;
};

// Plain data, protected by the pipeline's lock like the scheduler.
class Devices {
 public:
  // With `own_processes`, devices whose library may end this process run in separate processes.
  Devices(std::vector<PipelineDevice> devices, bool own_processes);

  [[nodiscard]] Device& operator[](std::size_t i) { return all_[i]; }
  [[nodiscard]] const Device& operator[](std::size_t i) const { return all_[i]; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] auto begin() { return all_.begin(); }
  [[nodiscard]] auto end() { return all_.end(); }
  [[nodiscard]] auto begin() const { return all_.begin(); }
  [[nodiscard]] auto end() const { return all_.end(); }

  // Memory for tensors that is shared with device processes; null if there are none.
  [[nodiscard]] const std::shared_ptr<SharedMemory>& memory() const { return memory_; }
  // The devices that are not lost, without the host.
  [[nodiscard]] std::vector<std::size_t> living() const;
  // Returns the first device in this state, or kNone. The host is never a spare.
  [[nodiscard]] std::size_t find(Device::State state) const;
  [[nodiscard]] std::size_t count_opening(std::size_t stage) const;

  // Adds a device that opens the stage next.
  void borrow(PipelineDevice device, std::size_t stage);
  // Adds a device for each thread of the layout's stages of the host.
  void add_host(const PipelineLayout& layout);
  // The device for each replica of the layout, in order: stages of the host get the host's devices,
  // others the first of `living`. The layout has been checked.
  [[nodiscard]] std::vector<std::size_t> choose(const PipelineLayout& layout,
                                                const std::vector<std::size_t>& living) const;
  // Assigns the segments of a layout to the living devices in order, with one session for each
  // replica. The remaining devices become spares.
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

// Throws Error(kInvalidArgument) when a layout cannot run on this number of devices.
void check_layout(const PipelineLayout& layout, std::size_t devices);
// The threads of all stages of the host.
[[nodiscard]] std::size_t host_threads(const PipelineLayout& layout);

// Opens each segment for each of its replicas; positions of devices count from 0. If one fails, the
// sessions opened so far are in `sessions`.
using Open =
    std::function<std::shared_ptr<Session>(std::size_t position, const PipelineSegment& segment)>;
void open_all(const PipelineLayout& layout, std::vector<std::shared_ptr<Session>>& sessions,
              const Open& open);

// Opens a segment on a device. After `timeout`, the opening thread is abandoned and Error(kDevice)
// is thrown. Zero: no limit.
[[nodiscard]] std::shared_ptr<Session> open_within(Nanoseconds timeout, const Device& device,
                                                   const PipelineSegment& segment);

// Returns the routing of a layout; `sessions` has one session for each replica.
[[nodiscard]] Routing route(const PipelineLayout& layout,
                            const std::vector<std::shared_ptr<Session>>& sessions);

}  // namespace segue::pipeline
