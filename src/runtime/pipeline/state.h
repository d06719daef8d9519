// The pipeline's monitor: one lock around scheduler, devices and failures. Threads compute without
// the lock.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/pipeline/devices.h"
#include "runtime/pipeline/failures.h"
#include "runtime/pipeline/scheduler.h"
#include "segue/pipeline.h"

namespace segue {

class [[gnu::visibility("hidden")]] PipelineState
    : public std::enable_shared_from_this<PipelineState> {
 public:
  PipelineState(PipelineLayout layout, std::vector<PipelineDevice> devices,
                PipelineOptions options);

  void start_threads();
  // Ends all threads, except those of devices that hang, and the processes of devices.
  void stop();

  // Ports of the first layout; later layouts have the same.
  [[nodiscard]] std::span<const Port> input_ports() const { return input_ports_; }
  [[nodiscard]] std::span<const Port> output_ports() const { return output_ports_; }

  // `Input` is TensorBytes or BorrowedTensor. Values are moved from only if the result is kOk.
  template <typename Input>
  Flow push(std::vector<Input> & inputs, Nanoseconds timeout);
  Flow pop(PipelineResult & result, Nanoseconds timeout);
  void set_capacities(std::uint32_t queue, std::uint32_t results);
  void close();
  void cancel();
  [[nodiscard]] PipelineStatistics statistics() const;
  [[nodiscard]] PipelineTrace trace() const;

 private:
  using Clock = pipeline::Clock;
  using Lock = std::unique_lock<std::mutex>;
  static constexpr std::size_t kNone = pipeline::kNone;

  // Work that a thread does without the lock.
  struct Job {
    enum class Kind { kRun, kOpen, kReplan };
    Kind kind = Kind::kRun;
    std::size_t device = kNone;
    std::uint64_t attempt = 0;
    PipelineSegment segment;                 // for kOpen
    std::shared_ptr<const Backend> backend;  // for kOpen
    std::shared_ptr<const void> owner;       // outlives the session, also of a lost device
    std::shared_ptr<Session> session;
    pipeline::Run run;
    std::vector<std::span<const std::byte>> inputs;
    std::vector<TensorBytes> outputs;          // in the pipeline's own memory
    std::vector<std::span<std::byte>> places;  // destinations of the outputs, if memory is shared
    pipeline::NewPlan plan;
    std::string error;
    Clock::time_point end;
  };
  struct Thread {
    std::thread thread;
    bool has_ended = false;
  };

  // --- jobs
  void install(PipelineLayout layout, pipeline::Routing routing,
               std::vector<std::shared_ptr<Session>> sessions);
  [[nodiscard]] bool take(Job & job, std::size_t home);
  [[nodiscard]] bool take_run(Job & job, std::size_t home);
  void perform(Job & job);
  void perform_run(Job & job) const;
  void perform_new_plan(Job & job);
  void finish(Job & job);
  void finish_open(Job & job);
  void finish_run(Job & job);
  void finish_new_plan(Job & job);
  void record_event(const Job& job);

  // --- threads
  // Starts a thread. Throws std::system_error.
  void add_thread(void(PipelineState::*run)());
  // Handles the loss of a device.
  void lose(std::size_t device, const std::string& reason);
  void work();
  void watch();
  // Returns when a device started its current work; nothing if it is idle.
  [[nodiscard]] std::optional<Clock::time_point> busy_since(std::size_t device) const;
  void begin_opening(std::size_t device);
  void wake_watchdog();
  // The waiting threads that a change concerns. They are notified when the lock is released,
  // because a thread that wakes up earlier only waits for the lock.
  struct Wakes {
    bool worker = false;
    bool producer = false;
    bool consumer = false;
    bool all_consumers = false;
    [[nodiscard]] bool any() const { return worker || producer || consumer || all_consumers; }
  };
  void unlock(Lock & lock);
  // Notifies a worker if there is more work.
  void wake_worker();
  // Notifies callers that can continue.
  void wake_callers();
  void wake_all();
  void report_losses(Lock & lock);
  void close_retired(Lock & lock);
  // Waits until `is_done`. Returns false when the timeout expires. `waiting` counts the waiting
  // callers.
  template <typename IsDone>
  static bool wait_until(Lock & lock, std::condition_variable & condition, std::size_t & waiting,
                         Nanoseconds timeout, const IsDone& is_done);
  [[nodiscard]] bool is_shut() const {
    return is_closed_ || failures_.is_cancelled() || failures_.error();
  }
  [[nodiscard]] bool is_over() const { return scheduler_.in_flight() == 0 && is_shut(); }

  PipelineOptions options_;
  std::vector<Port> input_ports_;
  std::vector<Port> output_ports_;

  mutable std::mutex mutex_;
  std::condition_variable work_;     // workers
  std::condition_variable room_;     // producers
  std::condition_variable arrival_;  // consumers
  std::condition_variable watchdog_;
  std::condition_variable exit_;

  std::vector<PipelineSegment> segments_;  // of the current layout
  pipeline::Devices devices_;
  pipeline::Scheduler scheduler_;
  pipeline::Failures failures_;
  std::uint32_t layouts_ = 0;
  Clock::time_point layout_begin_;
  std::deque<PipelineEvent> events_;

  bool is_closed_ = false;
  bool is_stopping_ = false;
  bool is_reporting_ = false;
  std::size_t closing_ = 0;          // threads that close sessions
  bool is_watchdog_asleep_ = false;  // because nothing runs
  std::size_t idle_ = 0;             // waiting workers
  std::size_t waking_ = 0;  // workers among them that were notified and have not continued yet
  Wakes wakes_;
  std::size_t producers_waiting_ = 0;
  std::size_t consumers_waiting_ = 0;
  std::deque<Thread> threads_;
};

}  // namespace segue
