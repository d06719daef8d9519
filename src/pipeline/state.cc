#include "pipeline/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "pipeline/failure.h"
#include "segue/units.h"

namespace segue {
template <typename IsDone>
bool PipelineState::work_until(Lock& lock, std::condition_variable& condition, std::size_t& waiting,
                               Nanoseconds timeout, const IsDone& is_done) {
  if (is_done()) return true;
  // Who only tries is perhaps the only one who ever calls.
  if (timeout <= Nanoseconds::zero()) return help(lock) && is_done();
  const auto has_work = [this] {
    return is_done_by_callers_ && (can_pass() || choose_stage(kNone) != kNone);
  };
  const auto end = Clock::now() + std::min(timeout, kLongestWait);
  while (!is_done()) {
    if (Clock::now() >= end) {
      // What woke this thread may be for another that waits.
      if (is_done_by_callers_) call_for_help();
      return false;
    }
    if (help(lock)) continue;
    ++waiting;
    condition.wait_until(lock, end, [&] { return is_done() || has_work(); });
    --waiting;
  }
  return true;
}

namespace {

std::size_t size_of(const TensorBytes& input) { return input.size(); }
std::size_t size_of(const BorrowedTensor& input) { return input.bytes.size(); }

}  // namespace

void PipelineState::take(Tensor& tensor, TensorBytes& input) { tensor.bytes = std::move(input); }
void PipelineState::take(Tensor& tensor, BorrowedTensor& input) {
  tensor.borrowed = std::move(input);
}

template <typename Input>
Flow PipelineState::push(std::vector<Input>& inputs, Nanoseconds timeout) {
  if (inputs.size() != input_ports_.size()) {
    refuse(fmt::format("{} given, the pipeline has {}", format_count(inputs.size(), "input"),
                       input_ports_.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (size_of(inputs[i]) == input_ports_[i].bytes) continue;
    refuse(fmt::format("input '{}' has {} bytes, {} given", input_ports_[i].name,
                       input_ports_[i].bytes, size_of(inputs[i])));
  }
  Lock lock(mutex_);
  const auto is_shut = [this] { return closed_ || cancelled_ || error_; };
  const auto has_room = [this] {
    return !must_replan_ && stages_[0].queue.size() < options_.queue_capacity;
  };
  const bool answered =
      work_until(lock, room_, producers_waiting_, timeout, [&] { return is_shut() || has_room(); });
  if (error_) throw Error(*error_);
  if (is_shut()) return Flow::kClosed;
  if (!answered) return Flow::kTimeout;
  ItemPointer item = new_item();
  item->number = pushed_++;
  item->pushed = Clock::now();
  if (item->number == 0) first_push_ = item->pushed;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Value value = value_for(routing_.inputs[i]);
    take(*value, inputs[i]);
    if (options_.replan) item->inputs.push_back(value);
    item->values[routing_.inputs[i]] = std::move(value);
  }
  ++in_flight_;
  const auto now = item->pushed;
  enqueue(std::move(item), stages_[0], now);
  if (!leave_to_workers() && consumers_waiting_ > 0) arrival_.notify_one();
  return Flow::kOk;
}

template Flow PipelineState::push(std::vector<TensorBytes>& inputs, Nanoseconds timeout);
template Flow PipelineState::push(std::vector<BorrowedTensor>& inputs, Nanoseconds timeout);

Flow PipelineState::pop(PipelineResult& result, Nanoseconds timeout) {
  Lock lock(mutex_);
  const auto can_answer = [this] { return !results_.empty() || cancelled_ || is_over(); };
  const bool answered = work_until(lock, arrival_, consumers_waiting_, timeout, can_answer);
  if (!answered) return Flow::kTimeout;
  if (cancelled_) return Flow::kClosed;
  if (results_.empty()) {
    if (error_) throw Error(*error_);
    return Flow::kClosed;
  }
  Finished finished = std::move(results_.front());
  results_.pop_front();
  if (finished.shared.empty()) {
    // The vector that the caller brings is filled again.
    std::swap(result, finished.result);
    if (free_outputs_.size() < options_.result_capacity) {
      free_outputs_.push_back(std::move(finished.result.outputs));
      free_outputs_.back().clear();
    }
  }
  if (!stages_.back().done.empty()) {
    hand_over(stages_.size() - 1, Clock::now());
    leave_to_workers();
  }
  // There is room for one more result: who waits with work may go on.
  if (is_done_by_callers_ && producers_waiting_ > 0) room_.notify_one();
  if (!finished.shared.empty()) copy_out(finished, result, lock);
  return Flow::kOk;
}

void PipelineState::copy_out(Finished& finished, PipelineResult& result, Lock& lock) {
  lock.unlock();
  result.number = finished.result.number;
  result.latency = finished.result.latency;
  result.outputs.resize(finished.shared.size());
  for (std::size_t i = 0; i < finished.shared.size(); ++i) {
    const std::span<const std::byte> value = finished.shared[i]->view();
    result.outputs[i].assign(value.begin(), value.end());
  }
  lock.lock();
  for (std::size_t i = 0; i < finished.shared.size(); ++i)
    release(finished.shared[i], routing_.outputs[i]);
}

void PipelineState::set_capacities(std::uint32_t queue, std::uint32_t results) {
  if (queue == 0 || results == 0) refuse("queues hold at least 1 input");
  const Lock lock(mutex_);
  options_.queue_capacity = queue;
  options_.result_capacity = results;
  // What waited for room goes on.
  const auto now = Clock::now();
  for (std::size_t stage = stages_.size(); stage-- > 0;) hand_over(stage, now);
  room_.notify_all();
  if (!leave_to_workers()) call_for_help();
}

void PipelineState::close() {
  const Lock lock(mutex_);
  closed_ = true;
  room_.notify_all();
  if (is_over()) arrival_.notify_all();
}

void PipelineState::cancel() {
  const Lock lock(mutex_);
  if (!cancelled_ && !error_) given_up_ = Clock::now();
  cancelled_ = true;
  drop_up_to(stages_.size() - 1);
  results_.clear();
  notify_all();
}

PipelineStatistics PipelineState::statistics() const {
  const Lock lock(mutex_);
  PipelineStatistics statistics;
  statistics.results = result_count_;
  if (result_count_ > 0) statistics.elapsed = last_result_ - first_push_;
  const auto elapsed_ns = static_cast<double>(statistics.elapsed.count());
  if (elapsed_ns > 0)
    statistics.throughput_per_s = static_cast<double>(result_count_) / elapsed_ns * 1e9;
  statistics.latency = latencies_.statistics();
  statistics.layouts = layouts_;
  const auto until = error_ || cancelled_ ? given_up_
                     : in_flight_ > 0     ? Clock::now()
                                          : last_result_;
  const Nanoseconds watched = until - std::max(first_push_, layout_begin_);
  const auto share = [&](double ns) {
    return watched > Nanoseconds::zero() ? ns / static_cast<double>(watched.count()) : 0;
  };
  for (const Stage& stage : stages_) {
    PipelineStageStatistics& of = statistics.stages.emplace_back();
    of.segment = stage.segment.name;
    if (stage.inputs > 0) of.mean_time = stage.time / static_cast<std::int64_t>(stage.inputs);
    const Nanoseconds since = std::max<Nanoseconds>(until - stage.queue_changed, Nanoseconds{0});
    of.mean_queue = share(stage.queue_ns + static_cast<double>(stage.queue.size()) *
                                               static_cast<double>(since.count()));
    of.largest_queue = stage.largest_queue;
    for (const std::size_t i : stage.all_devices) {
      const Device& device = devices_[i];
      of.devices.push_back({device.name, device.inputs,
                            share(static_cast<double>(device.busy.count())),
                            device.state == Device::State::kLost});
    }
  }
  statistics.losses = losses_;
  return statistics;
}

PipelineTrace PipelineState::trace() const {
  const Lock lock(mutex_);
  PipelineTrace trace;
  for (const Device& device : devices_) trace.devices.push_back(device.name);
  trace.events.assign(events_.begin(), events_.end());
  return trace;
}

// --- items

PipelineState::ItemPointer PipelineState::new_item() {
  ItemPointer item;
  if (free_items_.empty()) {
    item = std::make_unique<Item>();
  } else {
    item = std::move(free_items_.back());
    free_items_.pop_back();
  }
  item->attempts = 0;
  item->values.resize(routing_.slots);
  return item;
}

void PipelineState::recycle(ItemPointer item) {
  for (std::size_t slot = 0; slot < item->values.size(); ++slot) release(item->values[slot], slot);
  item->inputs.clear();
  free_items_.push_back(std::move(item));
}

// References are only given up under the lock, so that a count of one means that nobody reads.
void PipelineState::release(Value& value, std::size_t slot) {
  if (value == nullptr) return;
  if (value.use_count() == 1 && slot < free_values_.size()) {
    value->borrowed = {};
    free_values_[slot].push_back(std::move(value));
  }
  value.reset();
}

PipelineState::Value PipelineState::value_for(std::size_t slot) {
  std::vector<Value>& free = free_values_[slot];
  if (free.empty()) return std::make_shared<Tensor>();
  Value value = std::move(free.back());
  free.pop_back();
  return value;
}

std::vector<TensorBytes> PipelineState::new_outputs() {
  std::vector<TensorBytes> outputs;
  if (!free_outputs_.empty()) {
    outputs = std::move(free_outputs_.back());
    free_outputs_.pop_back();
  }
  outputs.reserve(routing_.outputs.size());
  return outputs;
}

void PipelineState::change_queue(Stage& stage, Clock::time_point now) {
  stage.queue_ns += static_cast<double>(stage.queue.size()) *
                    static_cast<double>((now - stage.queue_changed).count());
  stage.queue_changed = now;
}

void PipelineState::enqueue(ItemPointer item, Stage& stage, Clock::time_point now) {
  change_queue(stage, now);
  stage.queue.push_back(std::move(item));
  stage.largest_queue = std::max<std::uint64_t>(stage.largest_queue, stage.queue.size());
}

// All finished items whose turn it is, as far as there is room.
void PipelineState::hand_over(std::size_t stage, Clock::time_point now) {
  Stage& from = stages_[stage];
  const bool is_last = stage + 1 == stages_.size();
  const bool ignores_room = is_last && error_.has_value();
  while (true) {
    const auto next = std::ranges::find(from.done, from.next_out,
                                        [](const ItemPointer& item) { return item->number; });
    if (next == from.done.end()) return;
    const bool has_room = is_last ? results_.size() < options_.result_capacity
                                  : stages_[stage + 1].queue.size() < options_.queue_capacity;
    if (!has_room && !ignores_room) return;
    ItemPointer item = std::move(*next);
    from.done.erase(next);
    ++from.next_out;
    if (is_last) {
      deliver(std::move(item), now);
      continue;
    }
    enqueue(std::move(item), stages_[stage + 1], now);
  }
}

// Moved out where nobody else has it: a tensor may be named twice, be kept to begin anew, be read
// by a session that hangs, or be the caller's.
void PipelineState::give_output(std::vector<TensorBytes>& outputs, std::size_t slot,
                                const Passing& value, bool is_shared) const {
  if (value.own == nullptr || is_shared || std::ranges::count(routing_.outputs, slot) > 1) {
    outputs.emplace_back(value.view.begin(), value.view.end());
  } else {
    outputs.push_back(std::move(*value.own));
  }
}

void PipelineState::deliver(ItemPointer item, Clock::time_point now) {
  Finished finished;
  finished.result.number = item->number;
  if (memory_ == nullptr) finished.result.outputs = new_outputs();
  for (const std::size_t slot : routing_.outputs) {
    const Value& value = item->values[slot];
    if (memory_ != nullptr) {
      finished.shared.push_back(value);
    } else {
      give_output(finished.result.outputs, slot, {value->view(), value->own()},
                  value.use_count() > 1);
    }
  }
  deliver(std::move(finished), item->pushed, now);
  recycle(std::move(item));
}

void PipelineState::deliver(Finished finished, Clock::time_point pushed, Clock::time_point now) {
  finished.result.latency = now - pushed;
  latencies_.record(finished.result.latency);
  results_.push_back(std::move(finished));
  ++result_count_;
  last_result_ = now;
  --in_flight_;
  if (is_over()) {
    arrival_.notify_all();
  } else if (consumers_waiting_ > 0) {
    arrival_.notify_one();
  }
}

void PipelineState::put_back(ItemPointer item, std::size_t stage) {
  std::deque<ItemPointer>& queue = stages_[stage].queue;
  change_queue(stages_[stage], Clock::now());
  const auto place = std::ranges::lower_bound(
      queue, item->number, {}, [](const ItemPointer& other) { return other->number; });
  queue.insert(place, std::move(item));
}

void PipelineState::notify_all() {
  work_.notify_all();
  room_.notify_all();
  arrival_.notify_all();
  watchdog_.notify_all();
}

}  // namespace segue
