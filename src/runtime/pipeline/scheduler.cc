#include "runtime/pipeline/scheduler.h"

#include <algorithm>
#include <utility>

namespace segue::pipeline {

// --- layout

void Scheduler::install(Routing routing, std::size_t devices, Clock::time_point now) {
  std::vector<ItemPointer> items;
  for (Stage& stage : stages_) {
    std::ranges::move(stage.queue, std::back_inserter(items));
    std::ranges::move(stage.done, std::back_inserter(items));
  }
  const std::uint64_t next_out = stages_.empty() ? 0 : stages_.back().next_out;
  routing_ = std::move(routing);
  free_values_.assign(routing_.slots, {});
  devices_.clear();
  devices_.resize(devices);
  stages_.clear();
  stages_.resize(routing_.stages.size());
  for (Stage& stage : stages_) {
    stage.next_out = next_out;
    stage.queue_changed = now;
  }
  for (ItemPointer& item : items) {
    item->values.assign(routing_.slots, nullptr);
    for (std::size_t i = 0; i < item->inputs.size(); ++i)
      item->values[routing_.inputs[i]] = item->inputs[i];
    put_back(std::move(item), 0, now);
  }
}

void Scheduler::add_device(std::size_t device, std::size_t stage, bool is_local) {
  devices_[device].stage = stage;
  devices_[device].is_local = is_local;
  stages_[stage].devices.push_back(device);
}

std::optional<Scheduler::Interrupted> Scheduler::remove_device(std::size_t device,
                                                               Clock::time_point now) {
  DeviceWork& work = devices_[device];
  if (work.stage == kNone) return std::nullopt;
  std::erase(stages_[work.stage].devices, device);
  if (!work.is_running()) return std::nullopt;
  ItemPointer item = std::move(work.item);
  end_run(work);
  const Interrupted interrupted{item->number, ++item->attempts};
  if (is_dropped(work.stage)) {
    release_all(*item);
  } else {
    put_back(std::move(item), work.stage, now);
  }
  return interrupted;
}

void Scheduler::set_capacities(Capacities capacities, Clock::time_point now) {
  capacities_ = capacities;
  for (std::size_t stage = stages_.size(); stage-- > 0;) hand_over(stage, now);
}

// --- inputs

void Scheduler::push(std::vector<TensorBytes>& inputs, Clock::time_point now) {
  add_input(inputs, now);
}
void Scheduler::push(std::vector<BorrowedTensor>& inputs, Clock::time_point now) {
  add_input(inputs, now);
}

template <typename Input>
void Scheduler::add_input(std::vector<Input>& inputs, Clock::time_point now) {
  auto item = std::make_unique<Item>();
  item->values.resize(routing_.slots);
  item->number = pushed_++;
  item->pushed = now;
  if (item->number == 0) totals_.first_push = now;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Value value = value_for(routing_.inputs[i]);
    if constexpr (std::is_same_v<Input, BorrowedTensor>) {
      value->borrowed = std::move(inputs[i]);
    } else {
      value->bytes = std::move(inputs[i]);
    }
    if (keeps_inputs_) item->inputs.push_back(value);
    item->values[routing_.inputs[i]] = std::move(value);
  }
  ++in_flight_;
  enqueue(std::move(item), stages_[0], now);
}

// --- runs

bool Scheduler::may_run(std::size_t device) const {
  const DeviceWork& work = devices_[device];
  return !work.is_running() && (!work.is_local || local_running_ < cores_);
}

std::size_t Scheduler::choose_device(const Stage& stage, std::size_t home) const {
  if (stage.queue.empty() || stage.running >= stage.devices.size()) return kNone;
  // The item for which all others wait may always start. It may have returned from a lost device.
  if (stage.queue.front()->number != stage.next_out &&
      stage.running + stage.done.size() >= stage.window())
    return kNone;
  std::size_t chosen = kNone;
  for (const std::size_t device : stage.devices) {
    if (!may_run(device)) continue;
    if (device == home) return device;
    if (chosen == kNone) chosen = device;
  }
  return chosen;
}

std::size_t Scheduler::choose(std::size_t home) const {
  std::size_t chosen = kNone;
  if (running_ == devices_.size()) return kNone;
  for (std::size_t i = stages_.size(); i-- > 0;) {
    const std::size_t device = choose_device(stages_[i], home);
    if (device == kNone) continue;
    if (device == home) return device;
    if (chosen == kNone) chosen = device;
  }
  return chosen;
}

bool Scheduler::begin(Run& run, std::size_t home, Clock::time_point now) {
  run.device = choose(home);
  if (run.device == kNone) return false;
  DeviceWork& device = devices_[run.device];
  run.stage = device.stage;
  Stage& stage = stages_[run.stage];
  count_queue(stage, now);
  device.item = std::move(stage.queue.front());
  device.started = now;
  stage.queue.pop_front();
  ++stage.running;
  ++running_;
  if (device.is_local) ++local_running_;
  const StageRoute& route = routing_.stages[run.stage];
  run.inputs.clear();
  for (const std::size_t slot : route.reads) run.inputs.push_back(device.item->values[slot]);
  run.results.clear();
  run.sizes.clear();
  for (std::size_t i = 0; i < route.writes.size(); ++i) {
    run.results.push_back(value_for(route.writes[i]));
    run.sizes.push_back(route.output_ports[i].bytes);
  }
  run.leaves = route.leaves;
  if (run.stage > 0) hand_over(run.stage - 1, now);
  return true;
}

void Scheduler::end_run(DeviceWork& device) {
  --stages_[device.stage].running;
  --running_;
  if (device.is_local) --local_running_;
}

void Scheduler::finish(Run& run, Clock::time_point end) {
  DeviceWork& device = devices_[run.device];
  Stage& stage = stages_[run.stage];
  const StageRoute& route = routing_.stages[run.stage];
  ItemPointer item = std::move(device.item);
  end_run(device);
  const Nanoseconds time = end - device.started;
  device.busy += time;
  ++device.inputs;
  stage.time += time;
  ++stage.inputs;
  run.inputs.clear();
  if (is_dropped(run.stage)) {
    release_all(*item);
    return;
  }
  for (std::size_t i = 0; i < route.writes.size(); ++i)
    item->values[route.writes[i]] = std::move(run.results[i]);
  for (const std::size_t slot : route.frees) release(item->values[slot], slot);
  item->attempts = 0;
  stage.done.push_back(std::move(item));
  hand_over(run.stage, end);
}

// --- order and room

// Passes on all finished items whose turn it is, as long as there is room.
void Scheduler::hand_over(std::size_t stage, Clock::time_point now) {
  Stage& from = stages_[stage];
  const bool is_last = stage + 1 == stages_.size();
  while (true) {
    const auto next = std::ranges::find(from.done, from.next_out,
                                        [](const ItemPointer& item) { return item->number; });
    if (next == from.done.end()) return;
    const bool has_room = is_last ? ignores_room_ || results_.size() < capacities_.results
                                  : stages_[stage + 1].queue.size() < capacities_.queue;
    if (!has_room) return;
    ItemPointer item = std::move(*next);
    from.done.erase(next);
    ++from.next_out;
    if (is_last) {
      deliver(std::move(item), now);
    } else {
      enqueue(std::move(item), stages_[stage + 1], now);
    }
  }
}

void Scheduler::deliver(ItemPointer item, Clock::time_point now) {
  PipelineResult& result = results_.emplace_back();
  result.number = item->number;
  result.latency = now - item->pushed;
  for (const std::size_t slot : routing_.outputs) {
    Value& value = item->values[slot];
    // A value is copied if it has other users: its tensor may be named twice, kept for a new start,
    // read by a session that hangs, or owned by the caller.
    if (value->is_own() && value.use_count() == 1 &&
        std::ranges::count(routing_.outputs, slot) == 1) {
      result.outputs.push_back(std::move(value->bytes));
    } else {
      result.outputs.emplace_back(value->view().begin(), value->view().end());
    }
  }
  totals_.latencies.record(result.latency);
  ++totals_.results;
  totals_.last_result = now;
  --in_flight_;
  release_all(*item);
}

void Scheduler::pop(PipelineResult& result, Clock::time_point now) {
  result = std::move(results_.front());
  results_.pop_front();
  if (!stages_.back().done.empty()) hand_over(stages_.size() - 1, now);
}

void Scheduler::finish_all_results(Clock::time_point now) {
  ignores_room_ = true;
  hand_over(stages_.size() - 1, now);
}

void Scheduler::drop_up_to(std::size_t stage, bool keeps_finished) {
  dropped_ = std::max(dropped_, stage + 1);
  for (std::size_t i = 0; i < dropped_; ++i) {
    Stage& dropped = stages_[i];
    for (const ItemPointer& item : dropped.queue) release_all(*item);
    dropped.queue.clear();
    std::ranges::sort(dropped.done, {}, [](const ItemPointer& item) { return item->number; });
    std::size_t kept = 0;
    if (i == stage && keeps_finished) {
      while (kept < dropped.done.size() && dropped.done[kept]->number == dropped.next_out + kept)
        ++kept;
    }
    for (std::size_t left = kept; left < dropped.done.size(); ++left)
      release_all(*dropped.done[left]);
    dropped.done.resize(kept);
  }
  count_in_flight();
}

void Scheduler::count_in_flight() {
  in_flight_ = 0;
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    in_flight_ += stages_[i].queue.size() + stages_[i].done.size();
    if (!is_dropped(i)) in_flight_ += stages_[i].running;
  }
}

void Scheduler::count_queue(Stage& stage, Clock::time_point now) {
  stage.queue_ns += static_cast<double>(stage.queue.size()) *
                    static_cast<double>((now - stage.queue_changed).count());
  stage.queue_changed = now;
}

void Scheduler::enqueue(ItemPointer item, Stage& stage, Clock::time_point now) {
  count_queue(stage, now);
  stage.queue.push_back(std::move(item));
  stage.largest_queue = std::max<std::uint64_t>(stage.largest_queue, stage.queue.size());
}

void Scheduler::put_back(ItemPointer item, std::size_t stage, Clock::time_point now) {
  std::deque<ItemPointer>& queue = stages_[stage].queue;
  count_queue(stages_[stage], now);
  const auto place = std::ranges::lower_bound(
      queue, item->number, {}, [](const ItemPointer& other) { return other->number; });
  queue.insert(place, std::move(item));
}

// --- values

// References are released only under the pipeline's lock, so a use count of 1 means that no session
// reads the value.
void Scheduler::release(Value& value, std::size_t slot) {
  if (value == nullptr) return;
  if (value.use_count() == 1 && slot < free_values_.size()) {
    value->borrowed = {};
    free_values_[slot].push_back(std::move(value));
  }
  value.reset();
}

void Scheduler::release_all(Item& item) {
  item.inputs.clear();
  for (std::size_t slot = 0; slot < item.values.size(); ++slot) release(item.values[slot], slot);
}

Value Scheduler::value_for(std::size_t slot) {
  std::vector<Value>& free = free_values_[slot];
  if (free.empty()) return std::make_shared<Tensor>();
  Value value = std::move(free.back());
  free.pop_back();
  return value;
}

}  // namespace segue::pipeline
