// The calls of the pipeline's users.
#include "runtime/pipeline/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/pipeline/failure.h"
#include "segue/units.h"

namespace segue {

using pipeline::refuse;

namespace {

std::size_t size_of(const TensorBytes& input) { return input.size(); }
std::size_t size_of(const BorrowedTensor& input) { return input.bytes.size(); }

}  // namespace

template <typename IsDone>
bool PipelineState::wait_until(Lock& lock, std::condition_variable& condition, std::size_t& waiting,
                               Nanoseconds timeout, const IsDone& is_done) {
  if (is_done()) return true;
  if (timeout <= Nanoseconds::zero()) return false;
  ++waiting;
  const bool answered =
      condition.wait_until(lock, Clock::now() + std::min(timeout, kLongestWait), is_done);
  --waiting;
  return answered;
}

template <typename Input>
Flow PipelineState::push(std::vector<Input>& inputs, Nanoseconds timeout) {
  if (inputs.size() != input_ports_.size()) {
    refuse(fmt::format("{} given, but the pipeline has {}", format_count(inputs.size(), "input"),
                       input_ports_.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (size_of(inputs[i]) == input_ports_[i].bytes) continue;
    refuse(fmt::format("input '{}' needs {} bytes, but {} were given", input_ports_[i].name,
                       input_ports_[i].bytes, size_of(inputs[i])));
  }
  Lock lock(mutex_);
  const bool answered = wait_until(lock, room_, producers_waiting_, timeout, [this] {
    return is_shut() || (!failures_.must_replan() && scheduler_.has_room());
  });
  if (failures_.error()) throw Error(*failures_.error());
  if (is_shut()) return Flow::kClosed;
  if (!answered) return Flow::kTimeout;
  scheduler_.push(inputs, Clock::now());
  wake_callers();
  wake_worker();
  unlock(lock);
  return Flow::kOk;
}

template Flow PipelineState::push(std::vector<TensorBytes>& inputs, Nanoseconds timeout);
template Flow PipelineState::push(std::vector<BorrowedTensor>& inputs, Nanoseconds timeout);

Flow PipelineState::pop(PipelineResult& result, Nanoseconds timeout) {
  Lock lock(mutex_);
  const bool answered = wait_until(lock, arrival_, consumers_waiting_, timeout, [this] {
    return scheduler_.has_result() || failures_.is_cancelled() || is_over();
  });
  if (!answered) return Flow::kTimeout;
  if (failures_.is_cancelled()) return Flow::kClosed;
  if (!scheduler_.has_result()) {
    if (failures_.error()) throw Error(*failures_.error());
    return Flow::kClosed;
  }
  scheduler_.pop(result, Clock::now());
  wake_callers();
  wake_worker();
  unlock(lock);
  return Flow::kOk;
}

void PipelineState::set_capacities(std::uint32_t queue, std::uint32_t results) {
  if (queue == 0 || results == 0) refuse("queue capacities must be at least 1");
  const Lock lock(mutex_);
  scheduler_.set_capacities({queue, results}, Clock::now());
  wake_all();
}

void PipelineState::close() {
  const Lock lock(mutex_);
  is_closed_ = true;
  wake_all();
}

void PipelineState::cancel() {
  const Lock lock(mutex_);
  failures_.cancel();
  wake_all();
}

PipelineStatistics PipelineState::statistics() const {
  const Lock lock(mutex_);
  const pipeline::Scheduler::Totals& totals = scheduler_.totals();
  PipelineStatistics statistics;
  statistics.results = totals.results;
  if (totals.results > 0) statistics.elapsed = totals.last_result - totals.first_push;
  const auto elapsed_ns = static_cast<double>(statistics.elapsed.count());
  if (elapsed_ns > 0)
    statistics.throughput_per_s = static_cast<double>(totals.results) / elapsed_ns * 1e9;
  statistics.latency = totals.latencies.statistics();
  statistics.layouts = layouts_;
  const bool has_ended = failures_.error() || failures_.is_cancelled();
  const auto until = has_ended                    ? failures_.ended()
                     : scheduler_.in_flight() > 0 ? Clock::now()
                                                  : totals.last_result;
  const Nanoseconds watched = until - std::max(totals.first_push, layout_begin_);
  const auto share = [&](double ns) {
    return watched > Nanoseconds::zero() ? ns / static_cast<double>(watched.count()) : 0;
  };
  for (std::size_t at = 0; at < segments_.size(); ++at) {
    const pipeline::Scheduler::Stage& stage = scheduler_.stages()[at];
    PipelineStageStatistics& of = statistics.stages.emplace_back();
    of.segment = segments_[at].name;
    of.is_on_host = segments_[at].host != nullptr;
    if (stage.inputs > 0) of.mean_time = stage.time / static_cast<std::int64_t>(stage.inputs);
    const Nanoseconds since = std::max<Nanoseconds>(until - stage.queue_changed, Nanoseconds{0});
    of.mean_queue = share(stage.queue_ns + static_cast<double>(stage.queue.size()) *
                                               static_cast<double>(since.count()));
    of.largest_queue = stage.largest_queue;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (devices_[i].stage != at) continue;
      const pipeline::Scheduler::DeviceWork& work = scheduler_.device(i);
      of.devices.push_back({devices_[i].name, work.inputs,
                            share(static_cast<double>(work.busy.count())),
                            devices_[i].state == pipeline::Device::State::kLost});
    }
  }
  statistics.losses = failures_.losses();
  return statistics;
}

PipelineTrace PipelineState::trace() const {
  const Lock lock(mutex_);
  PipelineTrace trace;
  for (const pipeline::Device& device : devices_) trace.devices.push_back(device.name);
  trace.events.assign(events_.begin(), events_.end());
  return trace;
}

}  // namespace segue
