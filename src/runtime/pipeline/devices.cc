#include "runtime/pipeline/devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <thread>
#include <utility>

#include "runtime/pipeline/failure.h"
#include "segue/units.h"

namespace segue::pipeline {

Devices::Devices(std::vector<PipelineDevice> devices, bool own_processes) {
  auto memory = std::make_shared<SharedMemory>();
  for (PipelineDevice& given : devices) {
    Device& device = all_.emplace_back();
    device.name = std::move(given.name);
    device.backend = std::move(given.backend);
    auto isolated = own_processes ? device.backend->in_own_process(memory) : nullptr;
    if (isolated == nullptr) continue;
    device.backend = std::move(isolated);
    memory_ = memory;
  }
}

std::vector<std::size_t> Devices::living() const {
  std::vector<std::size_t> living;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (all_[i].state != Device::State::kLost && !all_[i].is_host) living.push_back(i);
  }
  return living;
}

std::size_t Devices::find(Device::State state) const {
  const auto found = std::ranges::find_if(all_, [state](const Device& device) {
    return device.state == state && !(state == Device::State::kSpare && device.is_host);
  });
  return found == all_.end() ? kNone : static_cast<std::size_t>(found - all_.begin());
}

std::size_t Devices::count_opening(std::size_t stage) const {
  return static_cast<std::size_t>(std::ranges::count_if(all_, [&](const Device& device) {
    return device.stage == stage &&
           (device.state == Device::State::kToOpen || device.state == Device::State::kOpening);
  }));
}

void Devices::borrow(PipelineDevice given, std::size_t stage) {
  Device& device = all_.emplace_back();
  device.name = std::move(given.name);
  device.backend = std::move(given.backend);
  device.state = Device::State::kToOpen;
  device.stage = stage;
}

void Devices::add_host(const PipelineLayout& layout) {
  for (const PipelineSegment& segment : layout.segments) {
    for (std::uint32_t i = 0; segment.host != nullptr && i < segment.replicas; ++i) {
      Device& device = all_.emplace_back();
      device.name = segment.replicas == 1 ? "host" : fmt::format("host{}", i);
      device.backend = segment.host;
      device.is_host = true;
    }
  }
}

std::vector<std::size_t> Devices::choose(const PipelineLayout& layout,
                                         const std::vector<std::size_t>& living) const {
  std::vector<std::size_t> chosen;
  auto next = living.begin();
  auto next_host = std::ranges::find(all_, true, &Device::is_host) - all_.begin();
  for (const PipelineSegment& segment : layout.segments) {
    for (std::uint32_t i = 0; i < segment.replicas; ++i)
      chosen.push_back(segment.host != nullptr ? static_cast<std::size_t>(next_host++) : *next++);
  }
  return chosen;
}

void Devices::assign(const PipelineLayout& layout, std::vector<std::shared_ptr<Session>> sessions) {
  for (Device& device : all_) {
    if (device.state == Device::State::kLost) {
      device.stage = kNone;
      continue;
    }
    retire(device.session, std::move(device.owner));
    device.state = Device::State::kSpare;
    device.stage = kNone;
  }
  const std::vector<std::size_t> chosen = choose(layout, living());
  std::size_t next = 0;
  for (std::size_t stage = 0; stage < layout.segments.size(); ++stage) {
    for (std::uint32_t replica = 0; replica < layout.segments[stage].replicas; ++replica) {
      Device& device = all_[chosen[next]];
      device.session = std::move(sessions[next]);
      device.owner = layout.segments[stage].owner;
      device.state = Device::State::kReady;
      device.stage = stage;
      ++next;
    }
  }
}

void Devices::lose(std::size_t device) {
  Device& lost = all_[device];
  lost.state = Device::State::kLost;
  lost.backend->give_up();
  retire(lost.session, std::move(lost.owner));
}

void Devices::retire(std::shared_ptr<Session>& session, std::shared_ptr<const void> owner) {
  if (session != nullptr) retired_.push_back({std::move(owner), std::move(session)});
  session.reset();
}

void check_layout(const PipelineLayout& layout, std::size_t devices) {
  if (layout.segments.empty()) refuse("a pipeline needs at least one segment");
  std::uint64_t needed = 0;
  for (const PipelineSegment& segment : layout.segments) {
    if (segment.replicas == 0)
      refuse(fmt::format("{}: 0 devices assigned; at least 1 is needed", segment.name));
    if (segment.host == nullptr) needed += segment.replicas;
  }
  if (needed > devices)
    refuse(fmt::format("the pipeline needs {}, but {} given", format_count(needed, "device"),
                       devices));
}

std::size_t host_threads(const PipelineLayout& layout) {
  std::size_t threads = 0;
  for (const PipelineSegment& segment : layout.segments)
    threads += segment.host != nullptr ? segment.replicas : 0;
  return threads;
}

void open_all(const PipelineLayout& layout, std::vector<std::shared_ptr<Session>>& sessions,
              const Open& open) {
  for (const PipelineSegment& segment : layout.segments) {
    for (std::uint32_t replica = 0; replica < segment.replicas; ++replica)
      sessions.push_back(open(sessions.size(), segment));
  }
}

std::shared_ptr<Session> open_within(Nanoseconds timeout, const Device& device,
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
  // If giving up ended the call, the thread ends shortly.
  constexpr auto kGrace = std::chrono::seconds(1);
  if (opened.wait_for(kGrace) == std::future_status::ready) {
    thread.join();
  } else {
    thread.detach();
  }
  throw Error(ErrorCode::kDevice,
              fmt::format("{}: {} did not open the segment within {}; reset the device",
                          segment.name, device.name, format_time(timeout)));
}

Routing route(const PipelineLayout& layout, const std::vector<std::shared_ptr<Session>>& sessions) {
  std::vector<std::shared_ptr<Session>> first;
  std::size_t next = 0;
  for (const PipelineSegment& segment : layout.segments) {
    first.push_back(sessions[next]);
    next += segment.replicas;
  }
  return make_routing(layout, first);
}

}  // namespace segue::pipeline
