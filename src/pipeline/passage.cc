// A passage: where stages last less than it costs to hand over, one thread takes inputs through all
// of them, and enters the monitor twice for all of those instead of twice for each stage.
#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/outputs.h"
#include "pipeline/failure.h"
#include "pipeline/state.h"

namespace segue {
namespace {

// Inputs of one passage at most: while it lasts, nobody else can begin.
constexpr std::size_t kMostItems = 16;

}  // namespace

bool PipelineState::can_pass() const {
  if (passing_ || running_ > 0 || stages_[0].queue.empty()) return false;
  if (results_.size() >= options_.result_capacity) return false;
  return std::ranges::all_of(stages_, [this](const Stage& stage) {
    const bool is_first = &stage == &stages_.front();
    return stage.done.empty() && (is_first || stage.queue.empty());
  });
}

// The items of a passage: as many as fit into the time that is short, and into the results.
void PipelineState::begin_passage(Passage& passage) {
  passing_ = true;
  Stage& first = stages_[0];
  std::int64_t mean_ns = 1;
  for (const Stage& stage : stages_) mean_ns += stage.mean_ns;
  const auto most =
      std::min<std::int64_t>(kMostItems, std::max<std::int64_t>(kShortNs / mean_ns, 1));
  const std::size_t count = std::min({static_cast<std::size_t>(most), first.queue.size(),
                                      options_.result_capacity - results_.size()});
  passage.begin = Clock::now();
  change_queue(first, passage.begin);
  for (std::size_t i = 0; i < count; ++i) {
    passage.results.push_back({first.queue.front()->number, new_outputs(), {}});
    passage.items.push_back(std::move(first.queue.front()));
    first.queue.pop_front();
  }
  if (producers_waiting_ > 0) room_.notify_all();
  passage.devices.clear();
  for (const Stage& stage : stages_) passage.devices.push_back(stage.devices.front());
  passage.stage_ends.resize(stages_.size());
  passage.outputs.resize(stages_.size());
  passage.values.assign(routing_.slots, {});
  passage.finished = 0;
}

// Without the lock: until it is finished nobody else touches stages, sessions and routing. Between
// stages tensors stay where the session put them.
void PipelineState::pass(Passage& passage) {
  for (const ItemPointer& item : passage.items) {
    for (const std::size_t slot : routing_.inputs)
      passage.values[slot] = {item->values[slot]->view(), item->values[slot]->own()};
    for (std::size_t at = 0; at < stages_.size(); ++at) {
      if (!pass_stage(passage, at)) {
        keep_values(passage, *item, at);
        passage.end = Clock::now();
        return;
      }
      // The first shows how the time of all divides.
      if (passage.finished == 0) passage.stage_ends[at] = Clock::now();
    }
    take_result(passage, *item);
    ++passage.finished;
  }
  passage.end = passage.items.size() == 1 ? passage.stage_ends.back() : Clock::now();
}

bool PipelineState::pass_stage(Passage& passage, std::size_t at) {
  const StageRoute& route = routing_.stages[at];
  passage.spans.clear();
  for (const std::size_t slot : route.reads) passage.spans.push_back(passage.values[slot].view);
  std::vector<TensorBytes>& outputs = passage.outputs[at];
  outputs.resize(route.writes.size());
  Session& session = *devices_[passage.devices[at]].session;
  if (!succeeds([&] { session.run_into(passage.spans, outputs); }, passage.error)) return false;
  passage.error = wrong_outputs(route.output_ports, outputs);
  if (!passage.error.empty()) return false;
  for (std::size_t i = 0; i < route.writes.size(); ++i)
    passage.values[route.writes[i]] = {outputs[i], &outputs[i]};
  return true;
}

void PipelineState::take_result(Passage& passage, const Item& item) {
  std::vector<TensorBytes>& outputs = passage.results[passage.finished].outputs;
  for (const std::size_t slot : routing_.outputs)
    give_output(outputs, slot, passage.values[slot], item.values[slot].use_count() > 1);
}

// Where a stage fails, its item goes on with what the stages before gave.
void PipelineState::keep_values(Passage& passage, Item& item, std::size_t failed_stage) {
  passage.failed_stage = failed_stage;
  for (std::size_t at = 0; at < failed_stage; ++at) {
    for (const std::size_t slot : routing_.stages[at].writes) {
      item.values[slot] = std::make_shared<Tensor>();
      item.values[slot]->bytes = std::move(*passage.values[slot].own);
    }
  }
}

void PipelineState::finish_passage(Passage& passage) {
  passing_ = false;
  record_passage(passage);
  std::vector<ItemPointer>& items = passage.items;
  if (cancelled_) {
    for (ItemPointer& item : items) recycle(std::move(item));
    items.clear();
    passage.results.clear();
    return;
  }
  const std::size_t finished = passage.finished;
  for (Stage& stage : stages_) stage.next_out += finished;
  for (std::size_t i = 0; i < finished; ++i) {
    deliver({std::move(passage.results[i]), {}}, items[i]->pushed, passage.end);
    recycle(std::move(items[i]));
  }
  passage.results.clear();
  if (finished < items.size()) {
    // As if it had come there from stage to stage; what follows it has not begun.
    const std::size_t at = passage.failed_stage;
    for (std::size_t before = 0; before < at; ++before) ++stages_[before].next_out;
    for (std::size_t i = finished + 1; i < items.size(); ++i) put_back(std::move(items[i]), 0);
    Device& device = devices_[passage.devices[at]];
    device.state = Device::State::kRunning;
    device.item = std::move(items[finished]);
    ++stages_[at].running;
    ++running_;
    lose(passage.devices[at], passage.error);
  }
  items.clear();
}

void PipelineState::record_passage(const Passage& passage) {
  if (passage.finished == 0) return;
  const Nanoseconds all = passage.end - passage.begin;
  const Nanoseconds one =
      std::max(Nanoseconds(passage.stage_ends.back() - passage.begin), Nanoseconds(1));
  auto begin = passage.begin;
  for (std::size_t at = 0; at < stages_.size(); ++at) {
    const Nanoseconds of_one = passage.stage_ends[at] - begin;
    begin = passage.stage_ends[at];
    const double share = static_cast<double>(of_one.count()) / static_cast<double>(one.count());
    const Nanoseconds time(std::llround(static_cast<double>(all.count()) * share));
    record_run(devices_[passage.devices[at]], time, passage.finished);
  }
}

void PipelineState::pass_through(Lock& lock) {
  begin_passage(passage_);
  lock.unlock();
  pass(passage_);
  lock.lock();
  finish_passage(passage_);
}

}  // namespace segue
