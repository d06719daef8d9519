// How a layout comes onto its devices.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "pipeline/failure.h"
#include "pipeline/state.h"
#include "segue/units.h"

namespace segue {
namespace {

bool are_alike(std::span<const Port> a, std::span<const Port> b) {
  return std::ranges::equal(a, b, [](const Port& one, const Port& other) {
    return one.name == other.name && one.type == other.type && one.bytes == other.bytes;
  });
}

// Opens a session; one that hangs is left to its thread.
std::shared_ptr<Session> open_within(Nanoseconds timeout, const PipelineDevice& device,
                                     const PipelineSegment& segment) {
  if (timeout <= Nanoseconds::zero()) return device.backend->open(segment.model, segment.name);
  std::packaged_task<std::shared_ptr<Session>()> open(
      [backend = device.backend, segment]() -> std::shared_ptr<Session> {
        return backend->open(segment.model, segment.name);
      });
  auto opened = open.get_future();
  std::thread thread(std::move(open));
  if (opened.wait_for(timeout) == std::future_status::ready) {
    thread.join();
    return opened.get();
  }
  device.backend->give_up();
  // Where that ended it, the thread is about to end, too.
  constexpr auto kGrace = std::chrono::seconds(1);
  if (opened.wait_for(kGrace) == std::future_status::ready) {
    thread.join();
  } else {
    thread.detach();
  }
  throw Error(ErrorCode::kDevice, fmt::format("{}: {} did not open it within {}; reset the device",
                                              segment.name, device.name, format_time(timeout)));
}

// Devices that have a process of their own, if they are to: then there is memory for both sides.
std::shared_ptr<SharedMemory> use_own_processes(std::vector<PipelineDevice>& devices) {
  auto memory = std::make_shared<SharedMemory>();
  bool is_used = false;
  for (PipelineDevice& device : devices) {
    auto apart = device.backend->in_own_process(memory);
    if (apart == nullptr) continue;
    device.backend = std::move(apart);
    is_used = true;
  }
  return is_used ? memory : nullptr;
}

}  // namespace

void PipelineState::check_layout(const PipelineLayout& layout, std::size_t devices) {
  if (layout.segments.empty()) refuse("a pipeline needs at least one segment");
  std::uint64_t needed = 0;
  for (const PipelineSegment& segment : layout.segments) {
    if (segment.replicas == 0)
      refuse(fmt::format("{}: has no device; at least 1 is needed", segment.name));
    needed += segment.replicas;
  }
  if (needed > devices)
    refuse(fmt::format("the pipeline needs {}, given {}", format_count(needed, "device"), devices));
}

PipelineState::PipelineState(PipelineLayout layout, std::vector<PipelineDevice> devices,
                             PipelineOptions options)
    : options_(std::move(options)) {
  check_layout(layout, devices.size());
  options_.watchdog = std::min(options_.watchdog, kLongestWait);
  if (options_.queue_capacity == 0 || options_.result_capacity == 0)
    refuse("queues hold at least 1 input");
  if (options_.own_processes) memory_ = use_own_processes(devices);
  std::vector<std::shared_ptr<Session>> sessions;
  open_all(layout, sessions, [&](std::size_t position, const PipelineSegment& segment) {
    if (options_.on_opening) {
      options_.on_opening(devices[position].name, static_cast<std::uint32_t>(position + 1),
                          layout.device_count());
    }
    return open_within(options_.watchdog, devices[position], segment);
  });
  for (PipelineDevice& device : devices) {
    devices_.emplace_back();
    devices_.back().name = std::move(device.name);
    devices_.back().is_local = device.backend->computes_in_caller();
    devices_.back().backend = std::move(device.backend);
  }
  Routing routing = route(layout, sessions);
  input_ports_ = routing.input_ports;
  output_ports_ = routing.output_ports;
  install(std::move(layout), std::move(routing), std::move(sessions));
  for (const Device& device : devices_) {
    if (device.state == Device::State::kSpare) device.backend->prepare();
  }
}

Routing PipelineState::route(const PipelineLayout& layout,
                             const std::vector<std::shared_ptr<Session>>& sessions) const {
  std::vector<std::shared_ptr<Session>> first;
  std::size_t next = 0;
  for (const PipelineSegment& segment : layout.segments) {
    first.push_back(sessions[next]);
    next += segment.replicas;
  }
  Routing routing = make_routing(layout, first);
  const bool is_first = stages_.empty();
  if (!is_first && (!are_alike(routing.input_ports, input_ports_) ||
                    !are_alike(routing.output_ports, output_ports_)))
    refuse("it has other inputs or outputs");
  return routing;
}

void PipelineState::open_all(const PipelineLayout& layout,
                             std::vector<std::shared_ptr<Session>>& sessions, const Open& open) {
  for (const PipelineSegment& segment : layout.segments) {
    for (std::uint32_t replica = 0; replica < segment.replicas; ++replica)
      sessions.push_back(open(sessions.size(), segment));
  }
}

// `sessions`: one for each of the first living devices, in order.
void PipelineState::install(PipelineLayout layout, Routing routing,
                            std::vector<std::shared_ptr<Session>> sessions) {
  routing_ = std::move(routing);
  free_values_.assign(routing_.slots, {});
  const std::uint64_t next_out = stages_.empty() ? 0 : stages_.back().next_out;
  const auto now = Clock::now();
  ++layouts_;
  layout_begin_ = now;
  stages_.clear();
  const std::vector<std::size_t> living = living_devices();
  for (const std::size_t i : living) {
    doom(devices_[i].session, std::move(devices_[i].owner));
    devices_[i].busy = Nanoseconds::zero();
    devices_[i].inputs = 0;
  }
  std::size_t next = 0;
  for (PipelineSegment& segment : layout.segments) {
    Stage& stage = stages_.emplace_back();
    stage.segment = std::move(segment);
    stage.next_out = next_out;
    stage.queue_changed = now;
    for (std::uint32_t replica = 0; replica < stage.segment.replicas; ++replica) {
      Device& device = devices_[living[next]];
      device.session = std::move(sessions[next]);
      device.owner = stage.segment.owner;
      device.state = Device::State::kIdle;
      device.stage = stages_.size() - 1;
      stage.devices.push_back(living[next]);
      stage.all_devices.push_back(living[next]);
      ++next;
    }
  }
  for (; next < living.size(); ++next) devices_[living[next]].state = Device::State::kSpare;
}

void PipelineState::doom(std::shared_ptr<Session>& session, std::shared_ptr<const void> owner) {
  if (session != nullptr) doomed_.push_back({std::move(owner), std::move(session)});
  session.reset();
}

std::vector<std::size_t> PipelineState::living_devices() const {
  std::vector<std::size_t> living;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i].state != Device::State::kLost) living.push_back(i);
  }
  return living;
}

}  // namespace segue
