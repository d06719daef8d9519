// Decides which input runs next on which device, and delivers results in order.
//
// Plain data without locks, threads or a clock: the pipeline calls it under its lock and passes the
// time. A call takes a few hundred instructions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/internal/process/shared_memory.h"
#include "runtime/pipeline/latency_histogram.h"
#include "runtime/pipeline/routing.h"
#include "segue/pipeline.h"

namespace segue::pipeline {

using Clock = std::chrono::steady_clock;
inline constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// A tensor in flight. Its bytes are in the pipeline's own memory, in memory shared with device
// processes, or in the caller's memory.
struct Tensor {
  TensorBytes bytes;
  SharedMemory::Block shared;  // used if not empty
  BorrowedTensor borrowed;     // used if it has data

  [[nodiscard]] bool is_own() const {
    return borrowed.bytes.data() == nullptr && shared.is_empty();
  }
  [[nodiscard]] std::span<const std::byte> view() const {
    if (borrowed.bytes.data() != nullptr) return borrowed.bytes;
    return shared.is_empty() ? std::span<const std::byte>(bytes) : shared.bytes();
  }
};
// Shared with the sessions that read the tensor, because a session that hangs may continue to read
// it after the input has moved on.
using Value = std::shared_ptr<Tensor>;

// One input in flight.
struct Item {
  std::uint64_t number = 0;
  Clock::time_point pushed;
  std::vector<Value> values;   // per slot of the routing
  std::vector<Value> inputs;   // to start again after a new plan; empty if there can be none
  std::uint32_t attempts = 0;  // devices that failed on it in its current stage
};
using ItemPointer = std::unique_ptr<Item>;

// One computation of a stage on a device.
struct Run {
  std::size_t stage = kNone;
  std::size_t device = kNone;
  std::vector<Value> inputs;
  std::vector<Value> results;
  std::vector<std::uint64_t> sizes;  // of the results
  std::vector<bool> leaves;          // results that only the caller reads
};

class Scheduler {
 public:
  struct Capacities {
    std::uint32_t queue = 0;    // inputs that wait before each stage
    std::uint32_t results = 0;  // results that wait for pop
  };
  struct Stage {
    std::vector<std::size_t> devices;  // idle or running
    std::deque<ItemPointer> queue;     // ordered by number
    std::vector<ItemPointer>
        done;  // finished; waiting for their turn or for room in the next queue
    std::size_t running = 0;
    std::uint64_t next_out = 0;  // number of the item that leaves next
    Nanoseconds time{0};
    std::uint64_t inputs = 0;
    std::uint64_t largest_queue = 0;
    double queue_ns = 0;  // integral of the queue's length over time
    Clock::time_point queue_changed;

    // Maximum number of items that run or wait in `done`. A single device keeps a result that finds
    // no room; several devices hold results back.
    [[nodiscard]] std::size_t window() const { return devices.size() > 1 ? 2 * devices.size() : 1; }
  };
  // State and statistics of a device in the current layout.
  struct DeviceWork {
    std::size_t stage = kNone;
    bool is_local = false;  // occupies a core of this machine while it computes
    ItemPointer item;       // the item that it computes
    Clock::time_point started;
    std::uint64_t inputs = 0;
    Nanoseconds busy{0};
    [[nodiscard]] bool is_running() const { return item != nullptr; }
  };

  // `keeps_inputs`: items can start again. `cores`: at most this many local devices compute at a
  // time, because another thread would only take a core from them.
  Scheduler(Capacities capacities, bool keeps_inputs, std::size_t cores)
      : capacities_(capacities), keeps_inputs_(keeps_inputs), cores_(cores) {}

  // Installs a new layout. All items in flight start again from its first stage. No device may be
  // running.
  void install(Routing routing, std::size_t devices, Clock::time_point now);
  // Makes room for devices that are added after the layout.
  void set_device_count(std::size_t devices) { devices_.resize(devices); }
  void add_device(std::size_t device, std::size_t stage, bool is_local);
  // Removes a device. Its item, if any, returns to the queue of the stage.
  struct Interrupted {
    std::uint64_t number = 0;
    std::uint32_t attempts = 0;
  };
  std::optional<Interrupted> remove_device(std::size_t device, Clock::time_point now);
  void set_capacities(Capacities capacities, Clock::time_point now);

  [[nodiscard]] bool has_room() const { return stages_[0].queue.size() < capacities_.queue; }
  // Adds an input: one value of the right size per port.
  void push(std::vector<TensorBytes>& inputs, Clock::time_point now);
  void push(std::vector<BorrowedTensor>& inputs, Clock::time_point now);

  // Whether a thread whose last run was on device `home` can start a run.
  [[nodiscard]] bool has_work(std::size_t home) const { return choose(home) != kNone; }
  // Starts the next run: on the same device if possible, otherwise in the last stage that can
  // compute. Returns false if there is no run to start.
  bool begin(Run& run, std::size_t home, Clock::time_point now);
  // Completes a run, whose results are in `run`.
  void finish(Run& run, Clock::time_point end);

  [[nodiscard]] bool has_result() const { return !results_.empty(); }
  void pop(PipelineResult& result, Clock::time_point now);

  // Discards the items in and before `stage`, including those that are being computed. With
  // `keeps_finished`, items that the stage has finished in order are kept.
  void drop_up_to(std::size_t stage, bool keeps_finished);
  // Delivers all finished results regardless of result_capacity.
  void finish_all_results(Clock::time_point now);
  void drop_results() { results_.clear(); }

  [[nodiscard]] const std::deque<Stage>& stages() const { return stages_; }
  [[nodiscard]] const DeviceWork& device(std::size_t i) const { return devices_[i]; }
  [[nodiscard]] const Routing& routing() const { return routing_; }
  [[nodiscard]] std::size_t running() const { return running_; }
  [[nodiscard]] std::uint64_t in_flight() const { return in_flight_; }
  [[nodiscard]] bool is_dropped(std::size_t stage) const { return stage < dropped_; }

  struct Totals {
    std::uint64_t results = 0;
    Clock::time_point first_push;
    Clock::time_point last_result;
    LatencyHistogram latencies;
  };
  [[nodiscard]] const Totals& totals() const { return totals_; }

 private:
  // The device that runs next; kNone: none can.
  [[nodiscard]] std::size_t choose(std::size_t home) const;
  [[nodiscard]] std::size_t choose_device(const Stage& stage, std::size_t home) const;
  [[nodiscard]] bool may_run(std::size_t device) const;
  template <typename Input>
  void add_input(std::vector<Input>& inputs, Clock::time_point now);
  void hand_over(std::size_t stage, Clock::time_point now);
  void deliver(ItemPointer item, Clock::time_point now);
  void enqueue(ItemPointer item, Stage& stage, Clock::time_point now);
  void put_back(ItemPointer item, std::size_t stage, Clock::time_point now);
  static void count_queue(Stage& stage, Clock::time_point now);
  void end_run(DeviceWork& device);
  void count_in_flight();
  void release(Value& value, std::size_t slot);
  void release_all(Item& item);
  [[nodiscard]] Value value_for(std::size_t slot);

  Capacities capacities_;
  bool keeps_inputs_;
  std::size_t cores_;
  Routing routing_;
  std::deque<Stage> stages_;
  std::vector<DeviceWork> devices_;
  std::deque<PipelineResult> results_;
  std::vector<std::vector<Value>> free_values_;  // per slot
  std::uint64_t pushed_ = 0;
  std::uint64_t in_flight_ = 0;  // accepted, and not yet among the results
  std::size_t running_ = 0;
  std::size_t local_running_ = 0;
  std::size_t dropped_ = 0;  // number of stages, from the first, whose items are discarded
  bool ignores_room_ = false;
  Totals totals_;
};

}  // namespace segue::pipeline
