#include "segue/timeline.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <queue>
#include <set>
#include <tuple>

#include "plan/timeline_check.h"

namespace segue {
namespace {

// A resource that at most `free` devices hold at a time. Others wait in the order of their
// requests.
struct Resource {
  std::uint32_t free = 1;
  std::deque<std::uint32_t> waiting;
};

struct Device {
  std::uint32_t stage = 0;
  std::uint32_t replica = 0;
  std::optional<std::size_t> link = std::nullopt;  // the resource it shares
  bool is_busy = false;                            // has an input, or a result it cannot hand on
  std::uint64_t input = 0;
  Activity next = Activity::kRequest;
  Nanoseconds asked{0};  // when it began to wait
  Nanoseconds worked{0};
  Nanoseconds blocked{0};
};

struct StageState {
  std::deque<std::uint64_t> queue;  // inputs that wait to be handed over, in order
  std::deque<std::uint64_t> ready;  // inputs that wait for a free replica, in order
  std::vector<std::uint32_t> devices;
  std::vector<std::uint32_t> finished;  // devices that hold a result
  std::set<std::uint64_t> aside;        // inputs whose results wait for older ones
  std::uint64_t room_aside = 0;         // maximum size of `aside`
  std::uint64_t next_to_hand_on = 0;    // results leave in the order of the inputs
  std::uint64_t in_hop = 0;             // 1 while an input is handed over to this stage
  std::uint64_t hop_input = 0;          // the input that is handed over
  std::deque<std::uint64_t> on_way;     // inputs on the network before this stage
  std::uint64_t largest_queue = 0;
  double queue_ns = 0;  // integral of the queue's length over time
  Nanoseconds queue_since{0};
};

class Simulation {
 public:
  Simulation(std::span<const StageLoad> loads, const TimelineOptions& options)
      : loads_(loads), options_(options), stages_(loads.size()) {
    for (std::uint32_t s = 0; s < loads.size(); ++s) {
      for (std::uint32_t r = 0; r < loads[s].replicas; ++r) {
        stages_[s].devices.push_back(static_cast<std::uint32_t>(devices_.size()));
        devices_.push_back({.stage = s, .replica = r});
      }
      stages_[s].room_aside = loads[s].results_meanwhile();
    }
    for (const SharedLink& shared : options.shared) share(shared);
    cores_.free = options.host_cores;
    for (const BoundaryTransfer& transfer : options.network) {
      for (const BoundaryTransfer::Use& use : transfer.uses)
        free_at_.resize(std::max(free_at_.size(), use.resource + 1));
    }
    started_.resize(options.inputs);
    timeline_.results.resize(options.inputs);
  }

  Timeline run() {
    for (std::uint64_t i = 0; i < options_.inputs; ++i) stages_[0].queue.push_back(i);
    stages_[0].largest_queue = options_.inputs;
    offer_hops();
    while (!agenda_.empty()) {
      const Entry entry = agenda_.top();
      agenda_.pop();
      now_ = entry.time;
      switch (entry.what) {
        case Ended::kHop:
          end_hop(entry.who);
          break;
        case Ended::kTransfer:
          end_transfer(entry.who);
          break;
        case Ended::kActivity:
          end_activity(entry.who);
      }
    }
    finish();
    return std::move(timeline_);
  }

 private:
  enum class Ended : std::uint8_t { kHop, kTransfer, kActivity };
  struct Entry {
    Nanoseconds time{0};
    std::uint64_t order = 0;
    Ended what = Ended::kActivity;
    std::uint32_t who = 0;  // device of an activity, else stage
    bool operator>(const Entry& other) const {
      return std::tie(time, order) > std::tie(other.time, other.order);
    }
  };

  void share(const SharedLink& shared) {
    for (const std::uint32_t device : shared.devices) devices_[device].link = links_.size();
    links_.emplace_back();
  }

  void schedule(Nanoseconds duration, Ended what, std::uint32_t who) {
    agenda_.push({now_ + duration, order_++, what, who});
  }

  void count_queue(StageState& stage) {
    stage.queue_ns += static_cast<double>(stage.queue.size()) *
                      static_cast<double>((now_ - stage.queue_since).count());
    stage.queue_since = now_;
  }

  // --- handing over

  // One input per replica is handed over in advance, so that no device waits for a hand-over that
  // could have been done earlier.
  [[nodiscard]] bool takes_another(const StageState& stage) const {
    const auto idle = std::ranges::count_if(
        stage.devices, [&](std::uint32_t device) { return !devices_[device].is_busy; });
    return stage.in_hop + stage.on_way.size() + stage.ready.size() <
           static_cast<std::uint64_t>(idle) + stage.devices.size();
  }

  // Each stage starts its own hand-over. Later stages come first, because that makes room in
  // earlier ones.
  void offer_hops() {
    for (std::size_t s = stages_.size(); s-- > 0;) {
      StageState& stage = stages_[s];
      if (stage.in_hop > 0 || stage.queue.empty() || !takes_another(stage)) continue;
      stage.in_hop = 1;
      stage.hop_input = stage.queue.front();
      count_queue(stage);
      stage.queue.pop_front();
      if (s == 0) started_[stage.hop_input] = now_;
      if (s > 0) hand_on(static_cast<std::uint32_t>(s - 1));
      const Nanoseconds hop = loads_[s].is_on_host ? Nanoseconds(0) : options_.hop;
      if (hop.count() > 0) {
        record(Activity::kHop, static_cast<std::uint32_t>(s), TimelineEvent::kHost, stage.hop_input,
               hop);
      }
      schedule(hop, Ended::kHop, static_cast<std::uint32_t>(s));
    }
  }

  void end_hop(std::uint32_t s) {
    stages_[s].in_hop = 0;
    if (!options_.network.empty()) {
      stages_[s].on_way.push_back(stages_[s].hop_input);
      schedule(arrival(s) - now_, Ended::kTransfer, s);
      return offer_hops();
    }
    stages_[s].ready.push_back(stages_[s].hop_input);
    start_devices(s);
    offer_hops();
  }

  // --- the network

  // When an input that leaves now is over a boundary. Inputs keep their order on each resource.
  [[nodiscard]] Nanoseconds arrival(std::size_t boundary) {
    const BoundaryTransfer& transfer = options_.network[boundary];
    Nanoseconds end = now_ + transfer.latency;
    for (const BoundaryTransfer::Use& use : transfer.uses) {
      Nanoseconds& free_at = free_at_[use.resource];
      free_at = std::max(free_at, now_) + use.busy;
      end = std::max(end, free_at);
    }
    return end;
  }

  void end_transfer(std::uint32_t s) {
    StageState& stage = stages_[s];
    stage.ready.push_back(stage.on_way.front());
    stage.on_way.pop_front();
    start_devices(s);
    offer_hops();
  }

  void start_devices(std::uint32_t s) {
    StageState& stage = stages_[s];
    for (const std::uint32_t id : stage.devices) {
      if (stage.ready.empty()) return;
      if (devices_[id].is_busy) continue;
      devices_[id].is_busy = true;
      devices_[id].input = stage.ready.front();
      stage.ready.pop_front();
      devices_[id].next = Activity::kRequest;
      begin_activity(id);
    }
  }

  // --- a device

  // The host is idle for the first input only.
  [[nodiscard]] Nanoseconds relayout_of(const SegmentTime& time, std::uint64_t input) const {
    const Nanoseconds alone = time.output - time.output_on_link;
    if (input == 0) return alone;
    return Nanoseconds(std::llround(options_.host_stretch * static_cast<double>(alone.count())));
  }

  [[nodiscard]] Nanoseconds duration_of(const Device& device) const {
    const SegmentTime& time = loads_[device.stage].time_of(device.replica);
    switch (device.next) {
      case Activity::kRequest:
        return time.fixed;
      case Activity::kInput:
        return time.input;
      case Activity::kCompute:
        return time.compute - std::min(time.compute, time.hidden_streaming);
      case Activity::kStreaming:
        return time.streaming + std::min(time.compute, time.hidden_streaming);
      case Activity::kOutput:
        return time.output_on_link;
      case Activity::kRelayout:
        return relayout_of(time, device.input);
      case Activity::kHostWork:
        return time.host;
      case Activity::kHop:
        break;
    }
    return Nanoseconds(0);
  }

  [[nodiscard]] bool needs_link(const Device& device) const {
    return device.link && (device.next == Activity::kInput || device.next == Activity::kStreaming ||
                           device.next == Activity::kOutput);
  }

  // Returns the resource that the device holds during its next activity. Null if it needs no shared
  // resource.
  [[nodiscard]] Resource* needed_by(const Device& device) {
    if (duration_of(device).count() == 0) return nullptr;
    if (device.next == Activity::kHostWork && options_.host_cores > 0) return &cores_;
    return needs_link(device) ? &links_[*device.link] : nullptr;
  }

  void begin_activity(std::uint32_t id) {
    Device& device = devices_[id];
    device.asked = now_;
    if (Resource* const resource = needed_by(device)) {
      if (resource->free == 0) {
        resource->waiting.push_back(id);
        return;
      }
      --resource->free;
    }
    work(id);
  }

  void work(std::uint32_t id) {
    Device& device = devices_[id];
    const Nanoseconds duration = duration_of(device);
    device.blocked += now_ - device.asked;
    device.worked += duration;
    if (duration.count() > 0) record(device.next, device.stage, id, device.input, duration);
    schedule(duration, Ended::kActivity, id);
  }

  void release(Resource& resource) {
    if (resource.waiting.empty()) {
      ++resource.free;
      return;
    }
    const std::uint32_t next = resource.waiting.front();
    resource.waiting.pop_front();
    work(next);
  }

  void end_activity(std::uint32_t id) {
    Device& device = devices_[id];
    if (Resource* const resource = needed_by(device)) release(*resource);
    if (device.next != Activity::kHostWork) {
      device.next = static_cast<Activity>(static_cast<std::uint8_t>(device.next) + 1);
      begin_activity(id);
      return;
    }
    device.asked = now_;
    stages_[device.stage].finished.push_back(id);
    hand_on(device.stage);
    offer_hops();
  }

  // --- between stages

  // A result that must wait for an older one is put aside, so that its device can continue.
  void put_aside(StageState& stage) {
    std::erase_if(stage.finished, [&](std::uint32_t id) {
      Device& device = devices_[id];
      if (device.input == stage.next_to_hand_on || stage.aside.size() >= stage.room_aside)
        return false;
      stage.aside.insert(device.input);
      device.blocked += now_ - device.asked;
      device.is_busy = false;
      return true;
    });
  }

  // Passes results on in the order of the inputs, as far as the next queue has room.
  void hand_on(std::uint32_t s) {
    StageState& stage = stages_[s];
    while (true) {
      if (stage.room_aside > 0) {
        put_aside(stage);
        start_devices(s);
      }
      const auto next = std::ranges::find_if(stage.finished, [&](std::uint32_t id) {
        return devices_[id].input == stage.next_to_hand_on;
      });
      const bool is_aside = stage.aside.contains(stage.next_to_hand_on);
      if (next == stage.finished.end() && !is_aside) return;
      if (s + 1 < stages_.size() && !has_room(stages_[s + 1])) return;
      if (is_aside) {
        stage.aside.erase(stage.next_to_hand_on);
        deliver(s, stage.next_to_hand_on++);
        continue;
      }
      Device& device = devices_[*next];
      device.blocked += now_ - device.asked;
      device.is_busy = false;
      stage.finished.erase(next);
      deliver(s, stage.next_to_hand_on++);
      start_devices(s);
    }
  }

  [[nodiscard]] bool has_room(const StageState& stage) const {
    return options_.queue_capacity == 0 || stage.queue.size() < options_.queue_capacity;
  }

  void deliver(std::uint32_t s, std::uint64_t input) {
    if (s + 1 == stages_.size()) {
      timeline_.results[input] = options_.network.empty() ? now_ : arrival(stages_.size());
      return;
    }
    StageState& behind = stages_[s + 1];
    count_queue(behind);
    behind.queue.push_back(input);
    behind.largest_queue = std::max<std::uint64_t>(behind.largest_queue, behind.queue.size());
  }

  // --- the result

  void record(Activity activity, std::uint32_t stage, std::uint32_t device, std::uint64_t input,
              Nanoseconds duration) {
    if (!options_.records_events) return;
    timeline_.events.push_back({activity, stage, device, input, now_, now_ + duration});
  }

  void finish() {
    timeline_.makespan = timeline_.results.back();
    for (std::uint64_t i = 0; i < options_.inputs; ++i)
      timeline_.latencies.push_back(timeline_.results[i] - started_[i]);
    now_ = timeline_.makespan;
    const double makespan_ns = std::max(1.0, static_cast<double>(now_.count()));
    for (StageState& stage : stages_) {
      count_queue(stage);
      StageStatistics statistics;
      statistics.largest_queue = stage.largest_queue;
      statistics.mean_queue = stage.queue_ns / makespan_ns;
      for (const std::uint32_t id : stage.devices) {
        statistics.utilisation.push_back(static_cast<double>(devices_[id].worked.count()) /
                                         makespan_ns);
        statistics.blocked += devices_[id].blocked;
      }
      timeline_.stages.push_back(std::move(statistics));
    }
  }

  std::span<const StageLoad> loads_;
  const TimelineOptions& options_;
  std::vector<StageState> stages_;
  std::vector<Device> devices_;
  std::vector<Resource> links_;
  Resource cores_;                    // of the host
  std::vector<Nanoseconds> free_at_;  // per resource of the network
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> agenda_;
  std::uint64_t order_ = 0;
  Nanoseconds now_{0};
  std::vector<Nanoseconds> started_;  // per input
  Timeline timeline_;
};

}  // namespace

Timeline simulate_timeline(std::span<const StageLoad> stages, const TimelineOptions& options) {
  check_timeline(stages, options);
  return Simulation(stages, options).run();
}

}  // namespace segue
