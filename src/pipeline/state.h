// The pipeline's monitor: all decisions are made under one lock, all computation without it. A hop
// from stage to stage is one critical section of some hundred instructions.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/latency_histogram.h"
#include "pipeline/routing.h"
#include "process/shared_memory.h"
#include "segue/error.h"
#include "segue/pipeline.h"

namespace segue {

class [[gnu::visibility("hidden")]] PipelineState
    : public std::enable_shared_from_this<PipelineState> {
 public:
  PipelineState(PipelineLayout layout, std::vector<PipelineDevice> devices,
                PipelineOptions options);

  void start_threads();
  // Ends all threads but those of devices that hang, and what devices run in.
  void stop();

  // Those of the first layout; later ones have the same.
  [[nodiscard]] std::span<const Port> input_ports() const { return input_ports_; }
  [[nodiscard]] std::span<const Port> output_ports() const { return output_ports_; }

  // Of TensorBytes, or of BorrowedTensor; they are moved from only when the answer is kOk.
  template <typename Input>
  Flow push(std::vector<Input> & inputs, Nanoseconds timeout);
  Flow pop(PipelineResult & result, Nanoseconds timeout);
  void set_capacities(std::uint32_t queue, std::uint32_t results);
  void close();
  void cancel();
  [[nodiscard]] PipelineStatistics statistics() const;
  [[nodiscard]] PipelineTrace trace() const;

 private:
  using Clock = std::chrono::steady_clock;
  // A tensor between stages: bytes of its own, memory that processes of devices see, or the
  // caller's.
  struct Tensor {
    TensorBytes bytes;
    SharedMemory::Block shared;  // counts where there is one
    BorrowedTensor borrowed;     // counts where it has data
    [[nodiscard]] std::span<const std::byte> view() const {
      if (borrowed.bytes.data() != nullptr) return borrowed.bytes;
      return shared.is_empty() ? std::span<const std::byte>(bytes) : shared.bytes();
    }
    // What can be moved out of it.
    [[nodiscard]] TensorBytes* own() {
      return borrowed.bytes.data() != nullptr || !shared.is_empty() ? nullptr : &bytes;
    }
  };
  using Value = std::shared_ptr<Tensor>;
  using Lock = std::unique_lock<std::mutex>;
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  // To wake a thread costs some microseconds; what is done sooner is done in passing.
  static constexpr std::int64_t kShortNs = 20'000;

  // One input on its way. Values are shared with sessions that read them: one that hangs may go on
  // reading when the item is elsewhere.
  struct Item {
    std::uint64_t number = 0;
    Clock::time_point pushed;
    std::vector<Value> values;  // per slot
    std::vector<Value> inputs;  // to begin anew after a new plan; empty when there can be none
    std::uint32_t attempts = 0;
  };
  using ItemPointer = std::unique_ptr<Item>;

  struct Device {
    enum class State { kSpare, kToOpen, kOpening, kIdle, kRunning, kLost };
    std::string name;
    std::shared_ptr<const Backend> backend;
    std::shared_ptr<const void> owner;  // of the bytes that the session was opened with
    std::shared_ptr<Session> session;
    State state = State::kSpare;
    std::size_t stage = kNone;
    std::uint64_t attempt = 0;  // what ends with another number is too late
    Clock::time_point started;
    ItemPointer item;
    std::uint64_t inputs = 0;
    Nanoseconds busy{0};
    bool is_local = false;  // computes in the caller, and always returns
    bool hangs = false;     // given up, and its thread is not back
  };

  struct Stage {
    PipelineSegment segment;
    std::vector<std::size_t> devices;  // that are idle or running
    std::vector<std::size_t> all_devices;
    std::size_t opening = 0;
    std::deque<ItemPointer> queue;  // by number
    std::vector<ItemPointer> done;  // wait for their turn, or for room behind
    std::size_t running = 0;
    std::uint64_t next_out = 0;  // the number that goes on next
    std::int64_t mean_ns = -1;   // recent, of one input; negative: unknown
    Nanoseconds time{0};
    std::uint64_t inputs = 0;
    std::uint64_t largest_queue = 0;
    double queue_ns = 0;  // length times time
    Clock::time_point queue_changed;

    // A single device holds a result that cannot go on. Several put results aside meanwhile.
    [[nodiscard]] std::size_t window() const { return devices.size() > 1 ? 2 * devices.size() : 1; }
  };

  // What waits for pop. Outputs in shared memory are copied out there, without the lock.
  struct Finished {
    PipelineResult result;
    std::vector<Value> shared;
  };

  // Sessions that nobody needs: to end one is the device's work, too, and may take as long as any.
  struct Doomed {
    std::shared_ptr<const void> owner;  // outlives the session
    std::shared_ptr<Session> session;
  };

  struct Job {
    enum class Kind { kRun, kOpen, kReplan };
    Kind kind = Kind::kRun;
    std::size_t device = kNone;
    std::uint64_t attempt = 0;
    PipelineSegment segment;            // of kOpen
    std::shared_ptr<const void> owner;  // outlives the session, whatever the device does meanwhile
    std::shared_ptr<Session> session;
    std::vector<Value> inputs;
    std::vector<std::span<const std::byte>> spans;
    std::vector<TensorBytes> outputs;
    std::vector<std::uint64_t> sizes;          // of the outputs
    std::vector<std::span<std::byte>> places;  // of the outputs, where memory is shared
    std::vector<Value> results;                // what the outputs go into
    std::string error;
    Clock::time_point end;
    // Of kReplan, where `device` is the one that failed, if any.
    std::vector<std::size_t> living;
    std::optional<PipelineLayout> layout;
    std::vector<std::shared_ptr<Session>> sessions;
    Routing routing;
  };

  // Where a tensor lies, and what can be moved out of there, if anything.
  struct Passing {
    std::span<const std::byte> view;
    TensorBytes* own = nullptr;
  };

  // Some inputs that one thread takes through all stages at once.
  struct Passage {
    std::vector<ItemPointer> items;
    std::vector<std::size_t> devices;  // one per stage
    std::vector<std::span<const std::byte>> spans;
    std::vector<std::vector<TensorBytes>> outputs;  // per stage, of the item at hand
    std::vector<Passing> values;                    // per slot, of the item at hand
    std::vector<PipelineResult> results;            // per item
    std::size_t finished = 0;                       // items
    std::size_t failed_stage = kNone;               // where the next one failed, if any
    std::string error;
    Clock::time_point begin;
    Clock::time_point end;
    std::vector<Clock::time_point> stage_ends;  // of the first item
  };

  // --- layout
  // Throws Error(kInvalidArgument) where a layout cannot run on so many devices.
  static void check_layout(const PipelineLayout& layout, std::size_t devices);
  // Throws where the segments do not fit together, or have other inputs or outputs than before.
  [[nodiscard]] Routing route(const PipelineLayout& layout,
                              const std::vector<std::shared_ptr<Session>>& sessions) const;
  void install(PipelineLayout layout, Routing routing,
               std::vector<std::shared_ptr<Session>> sessions);
  // Opens each segment on its devices, which are counted from 0. What was opened before one fails
  // stands in `sessions`.
  using Open =
      std::function<std::shared_ptr<Session>(std::size_t position, const PipelineSegment& segment)>;
  static void open_all(const PipelineLayout& layout,
                       std::vector<std::shared_ptr<Session>>& sessions, const Open& open);
  [[nodiscard]] std::vector<std::size_t> living_devices() const;

  // --- threads
  void work();
  void watch();
  // Gives a device something to do, which the watchdog looks after from now on.
  void occupy(Device & device, Device::State state, Clock::time_point now);
  [[nodiscard]] bool take(Job & job, std::size_t home);
  [[nodiscard]] bool is_ready(const Stage& stage) const;
  [[nodiscard]] static bool is_short(const Stage& stage);
  [[nodiscard]] std::size_t choose_stage(std::size_t home) const;
  void begin_run(Job & job, std::size_t at, std::size_t home);
  void wake_for_rest(bool takes_long);
  // Callers, where all stages are short and computed in the caller, until a device is lost: then no
  // other thread is woken, and who waits for room or for a result does the work.
  void choose_who_works();
  // Wakes a worker for what is ready; false where that is left to callers.
  bool leave_to_workers();
  // Wakes a caller that waits, where work is left to callers.
  void call_for_help();
  // Does what is ready in place of waiting: a passage, or one stage of one input. False where
  // nothing is.
  bool help(Lock & lock);
  // Waits until `is_done`, doing what is left to callers meanwhile; false when the time is up.
  // Counts who waits, so that others need not wake nobody.
  template <typename IsDone>
  bool work_until(Lock & lock, std::condition_variable & condition, std::size_t & waiting,
                  Nanoseconds timeout, const IsDone& is_done);
  // Whether the queue of the first stage holds all there is: then its front may pass.
  [[nodiscard]] bool can_pass() const;
  void pass_through(Lock & lock);
  void begin_passage(Passage & passage);
  void pass(Passage & passage);
  [[nodiscard]] bool pass_stage(Passage & passage, std::size_t at);
  void take_result(Passage & passage, const Item& item);
  void keep_values(Passage & passage, Item & item, std::size_t failed_stage);
  void finish_passage(Passage & passage);
  void record_passage(const Passage& passage);
  void perform(Job & job);
  // Whether a new plan is wanted, nobody makes one, and nothing is under way any more.
  [[nodiscard]] bool is_time_to_replan() const;
  void perform_replan(Job & job);
  // Gives up the device that a new plan waits for; another plan is made without it.
  void lose_in_replan(std::size_t lost, const std::string& reason);
  void finish(Job & job);
  void finish_run(Job & job);
  void record_event(const Job& job);
  void record_run(Device & device, Nanoseconds time, std::uint64_t inputs);
  void finish_open(Job & job);
  void finish_replan(Job & job);
  void adopt(Job & job);
  void report_losses(Lock & lock);
  // Leaves a session to be ended without the lock.
  void doom(std::shared_ptr<Session> & session, std::shared_ptr<const void> owner);
  void end_doomed(Lock & lock);

  // --- items
  void hand_over(std::size_t stage, Clock::time_point now);
  void give_output(std::vector<TensorBytes> & outputs, std::size_t slot, const Passing& value,
                   bool is_shared) const;
  void deliver(ItemPointer item, Clock::time_point now);
  void deliver(Finished finished, Clock::time_point pushed, Clock::time_point now);
  void copy_out(Finished & finished, PipelineResult & result, Lock & lock);
  void enqueue(ItemPointer item, Stage & stage, Clock::time_point now);
  void put_back(ItemPointer item, std::size_t stage);
  static void change_queue(Stage & stage, Clock::time_point now);
  static void take(Tensor & tensor, TensorBytes & input);
  static void take(Tensor & tensor, BorrowedTensor & input);
  void release(Value & value, std::size_t slot);
  [[nodiscard]] Value value_for(std::size_t slot);
  // Computes into the memory that other processes see. Without the lock: the results are the job's.
  void run_in_shared_memory(Job & job) const;
  [[nodiscard]] ItemPointer new_item();
  [[nodiscard]] std::vector<TensorBytes> new_outputs();
  void recycle(ItemPointer item);

  // --- losses
  void lose(std::size_t lost, const std::string& reason);
  [[nodiscard]] std::string remedy_or_end(std::size_t lost, std::uint32_t attempts,
                                          std::uint64_t number, const std::string& reason);
  // What takes over for a stage that lost a device; empty where nothing can.
  [[nodiscard]] std::string find_remedy(std::size_t at);
  // Ends the pipeline; only what is past the stage still comes out.
  void fail_at(std::size_t stage, const Error& error);
  void drop_up_to(std::size_t stage);
  void notify_all();
  [[nodiscard]] bool is_over() const {
    return in_flight_ == 0 && (closed_ || error_ || cancelled_);
  }

  // Where a device has a process of its own: every tensor between stages lies there.
  std::shared_ptr<SharedMemory> memory_;
  PipelineOptions options_;
  std::vector<Port> input_ports_;
  std::vector<Port> output_ports_;

  mutable std::mutex mutex_;
  std::condition_variable work_;     // for workers
  std::condition_variable room_;     // for producers
  std::condition_variable arrival_;  // for consumers
  std::condition_variable watchdog_;
  std::condition_variable exit_;

  Routing routing_;
  std::deque<Stage> stages_;
  std::deque<Device> devices_;
  std::vector<Doomed> doomed_;
  std::deque<Finished> results_;
  std::vector<std::vector<Value>> free_values_;  // per slot
  std::vector<ItemPointer> free_items_;
  std::vector<std::vector<TensorBytes>> free_outputs_;

  std::uint64_t pushed_ = 0;
  std::uint64_t in_flight_ = 0;  // pushed, and not among the results
  std::size_t running_ = 0;      // devices that compute
  std::size_t dead_up_to_ = 0;   // stages before this one are given up, with all that is in them
  bool closed_ = false;
  bool cancelled_ = false;
  bool stopping_ = false;
  bool must_replan_ = false;
  bool replanning_ = false;
  std::uint64_t replan_attempt_ = 0;  // what comes of another one is too late
  std::optional<Error> error_;

  std::size_t ending_ = 0;       // threads that end sessions
  bool watcher_sleeps_ = false;  // since nothing runs
  std::size_t idle_ = 0;         // workers that wait
  std::size_t waking_ = 0;       // of those, woken and not yet back
  std::size_t producers_waiting_ = 0;
  std::size_t consumers_waiting_ = 0;
  std::vector<std::unique_ptr<Job>> free_jobs_;  // of callers
  bool is_done_by_callers_ = false;
  bool passing_ = false;  // a caller has all stages for itself
  Passage passage_;
  struct Thread {
    std::thread thread;
    bool has_ended = false;
  };
  std::deque<Thread> threads_;

  std::deque<PipelineEvent> events_;
  LatencyHistogram latencies_;
  std::uint64_t result_count_ = 0;
  Clock::time_point first_push_;
  Clock::time_point last_result_;
  std::uint32_t layouts_ = 0;
  Clock::time_point layout_begin_;
  Clock::time_point given_up_;  // when an error or cancel ended it
  std::vector<DeviceLoss> losses_;
  std::size_t losses_reported_ = 0;
  bool reporting_ = false;
};

}  // namespace segue
