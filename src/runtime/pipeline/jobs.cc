// The jobs of threads: runs, opening segments, new plans.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/pipeline/failure.h"
#include "runtime/pipeline/state.h"
#include "runtime/port_checks.h"
#include "segue/units.h"

namespace segue {

using pipeline::Device;
using pipeline::refuse;
using pipeline::succeeds;

namespace {

bool are_alike(std::span<const Port> a, std::span<const Port> b) {
  return std::ranges::equal(a, b, [](const Port& one, const Port& other) {
    return one.name == other.name && one.type == other.type && one.bytes == other.bytes;
  });
}

PipelineOptions checked(PipelineOptions options, const PipelineLayout& layout,
                        std::size_t devices) {
  pipeline::check_layout(layout, devices);
  options.watchdog = std::min(options.watchdog, kLongestWait);
  if (options.queue_capacity == 0 || options.result_capacity == 0)
    refuse("queue capacities must be at least 1");
  return options;
}

}  // namespace

PipelineState::PipelineState(PipelineLayout layout, std::vector<PipelineDevice> devices,
                             PipelineOptions options)
    : options_(checked(std::move(options), layout, devices.size())),
      devices_(std::move(devices), options_.own_processes),
      scheduler_({options_.queue_capacity, options_.result_capacity}, options_.replan != nullptr,
                 std::max(std::thread::hardware_concurrency(), 1U)),
      failures_(scheduler_, devices_, segments_, options_) {
  devices_.add_host(layout);
  const auto chosen = devices_.choose(layout, devices_.living());
  std::uint32_t opened = 0;
  std::vector<std::shared_ptr<Session>> sessions;
  pipeline::open_all(layout, sessions, [&](std::size_t position, const PipelineSegment& segment) {
    const Device& device = devices_[chosen[position]];
    if (options_.on_opening && !device.is_host)
      options_.on_opening(device.name, ++opened, layout.device_count());
    return pipeline::open_within(options_.watchdog, device, segment);
  });
  pipeline::Routing routing = pipeline::route(layout, sessions);
  input_ports_ = routing.input_ports;
  output_ports_ = routing.output_ports;
  install(std::move(layout), std::move(routing), std::move(sessions));
  for (const Device& device : devices_) {
    if (device.state == Device::State::kSpare) device.backend->prepare();
  }
}

// `sessions` has one session for each of the first living devices, in order.
void PipelineState::install(PipelineLayout layout, pipeline::Routing routing,
                            std::vector<std::shared_ptr<Session>> sessions) {
  layout_begin_ = Clock::now();
  ++layouts_;
  devices_.assign(layout, std::move(sessions));
  scheduler_.install(std::move(routing), devices_.size(), layout_begin_);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i].state == Device::State::kReady)
      scheduler_.add_device(i, devices_[i].stage, devices_[i].backend->computes_on_core());
  }
  segments_ = std::move(layout.segments);
}

// --- taking

bool PipelineState::take(Job& job, std::size_t home) {
  if (failures_.is_cancelled()) return false;
  if (const std::size_t device = devices_.find(Device::State::kToOpen); device != kNone) {
    begin_opening(device);
    job.kind = Job::Kind::kOpen;
    job.device = device;
    job.attempt = ++devices_[device].attempt;
    job.segment = segments_[devices_[device].stage];
    job.backend = devices_[device].backend;
    return true;
  }
  if (!failures_.must_replan()) return take_run(job, home);
  if (!failures_.can_begin_plan()) return false;
  failures_.begin_plan(job.plan);
  job.kind = Job::Kind::kReplan;
  return true;
}

bool PipelineState::take_run(Job& job, std::size_t home) {
  if (!scheduler_.begin(job.run, home, Clock::now())) return false;
  wake_watchdog();
  Device& device = devices_[job.run.device];
  job.kind = Job::Kind::kRun;
  job.device = job.run.device;
  job.attempt = ++device.attempt;
  job.owner = device.owner;
  job.session = device.session;
  wake_callers();
  return true;
}

// --- performing

void PipelineState::perform(Job& job) {
  const auto work = [&] {
    switch (job.kind) {
      case Job::Kind::kRun:
        perform_run(job);
        break;
      case Job::Kind::kOpen:
        job.owner = job.segment.owner;
        job.session = job.backend->open(job.segment.model, job.segment.name);
        break;
      case Job::Kind::kReplan:
        perform_new_plan(job);
        break;
    }
  };
  job.error.clear();
  (void)succeeds(work, job.error);
  job.end = Clock::now();
}

// The job owns the values during the run. With shared memory, a stage writes its outputs there;
// outputs that leave the pipeline are written directly to the caller's result.
void PipelineState::perform_run(Job& job) const {
  pipeline::Run& run = job.run;
  job.inputs.clear();
  for (const pipeline::Value& value : run.inputs) job.inputs.push_back(value->view());
  if (devices_.memory() == nullptr) {
    job.outputs.resize(run.results.size());
    for (std::size_t i = 0; i < run.results.size(); ++i)
      job.outputs[i] = std::move(run.results[i]->bytes);
    job.session->run_into(job.inputs, job.outputs);
    return;
  }
  job.places.clear();
  for (std::size_t i = 0; i < run.results.size(); ++i) {
    pipeline::Tensor& result = *run.results[i];
    if (run.leaves[i]) {
      result.bytes.resize(run.sizes[i]);
      job.places.emplace_back(result.bytes);
      continue;
    }
    if (result.shared.is_empty()) result.shared = devices_.memory()->allocate(run.sizes[i]);
    job.places.push_back(result.shared.bytes());
  }
  job.session->run_to(job.inputs, job.places);
}

// The device that is being opened is `job.plan.device`, in state kOpening, so that the watchdog
// observes it.
void PipelineState::perform_new_plan(Job& job) {
  pipeline::NewPlan& plan = job.plan;
  plan.sessions.clear();
  plan.layout = options_.replan(static_cast<std::uint32_t>(plan.living.size()));
  if (!plan.layout) return;
  pipeline::check_layout(*plan.layout, plan.living.size());
  const auto on_host =
      static_cast<std::size_t>(std::ranges::count(devices_, true, &Device::is_host));
  if (pipeline::host_threads(*plan.layout) != on_host)
    refuse(fmt::format("the new plan has {} on the host, but the pipeline has {}",
                       format_count(pipeline::host_threads(*plan.layout), "thread"), on_host));
  const auto chosen = devices_.choose(*plan.layout, plan.living);
  const auto settle = [&] {
    if (plan.device != kNone && failures_.is_current(plan))
      devices_[plan.device].state = Device::State::kSpare;
  };
  pipeline::open_all(
      *plan.layout, plan.sessions,
      [&](std::size_t position, const PipelineSegment& segment) -> std::shared_ptr<Session> {
        const std::size_t device = chosen[position];
        {
          const Lock lock(mutex_);
          settle();
          if (!failures_.is_current(plan) || failures_.is_cancelled())
            throw Error(ErrorCode::kDevice, "superseded by a newer plan");
          plan.device = device;
          begin_opening(device);
        }
        return devices_[device].backend->open(segment.model, segment.name);
      });
  {
    const Lock lock(mutex_);
    settle();
    if (failures_.is_current(plan)) plan.device = kNone;
  }
  plan.routing = pipeline::route(*plan.layout, plan.sessions);
  if (!are_alike(plan.routing.input_ports, input_ports_) ||
      !are_alike(plan.routing.output_ports, output_ports_))
    refuse("the new plan has other inputs or outputs than the pipeline");
}

// --- finishing

void PipelineState::finish(Job& job) {
  if (job.kind == Job::Kind::kReplan) {
    finish_new_plan(job);
  } else if (devices_[job.device].attempt != job.attempt ||
             devices_[job.device].state == Device::State::kLost) {
    // The watchdog gave it up, and another device has its work.
    devices_[job.device].hangs = false;
  } else if (job.kind == Job::Kind::kOpen) {
    finish_open(job);
  } else {
    finish_run(job);
  }
  job.run.inputs.clear();
  job.run.results.clear();
  // The last user of a session passes it on to be closed without the lock.
  if (job.session.use_count() == 1) devices_.retire(job.session, std::move(job.owner));
  job.session.reset();
  job.owner.reset();
  job.segment = {};
  job.backend.reset();
}

void PipelineState::finish_open(Job& job) {
  if (!job.error.empty()) {
    lose(job.device, job.error);
    return;
  }
  Device& device = devices_[job.device];
  device.session = std::move(job.session);
  device.owner = std::move(job.owner);
  device.state = Device::State::kReady;
  scheduler_.add_device(job.device, device.stage, device.backend->computes_on_core());
}

void PipelineState::finish_run(Job& job) {
  pipeline::Run& run = job.run;
  if (devices_.memory() == nullptr && job.error.empty()) {
    // With shared memory, the session has checked the sizes.
    job.error = wrong_outputs(scheduler_.routing().stages[run.stage].output_ports, job.outputs);
  }
  if (!job.error.empty()) {
    lose(job.device, job.error);
    return;
  }
  if (devices_.memory() == nullptr) {
    for (std::size_t i = 0; i < run.results.size(); ++i)
      run.results[i]->bytes = std::move(job.outputs[i]);
  }
  if (options_.trace_capacity > 0) record_event(job);
  scheduler_.finish(run, job.end);
  wake_callers();
}

void PipelineState::record_event(const Job& job) {
  const auto& work = scheduler_.device(job.device);
  const Clock::time_point first_push = scheduler_.totals().first_push;
  if (events_.size() == options_.trace_capacity) events_.pop_front();
  events_.push_back({static_cast<std::uint32_t>(job.device), static_cast<std::uint32_t>(work.stage),
                     work.item->number, work.started - first_push, job.end - first_push});
}

void PipelineState::finish_new_plan(Job& job) {
  pipeline::NewPlan& plan = job.plan;
  if (failures_.finish_new_plan(plan, job.error)) {
    install(std::move(*plan.layout), std::move(plan.routing), std::move(plan.sessions));
  } else if (!plan.sessions.empty()) {  // they read the segments of a layout that is not installed
    const auto owner = std::make_shared<const PipelineLayout>(std::move(*plan.layout));
    for (std::shared_ptr<Session>& session : plan.sessions) devices_.retire(session, owner);
  }
  plan = {};
  wake_all();
}

}  // namespace segue
