// The table of runtimes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "segue/error.h"
#include "segue/pipeline.h"

namespace segue {
namespace {

void refuse_names(const RuntimeRequest& request, std::string_view runtime) {
  if (request.names.empty()) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("device '{}': the backend {} has no named devices; use the backend edgetpu",
                  request.names[0], runtime));
}

std::vector<PipelineDevice> equal_devices(const RuntimeRequest& request, std::string_view runtime,
                                          const std::shared_ptr<const Backend>& backend) {
  std::vector<PipelineDevice> devices;
  for (std::uint32_t i = 0; i < request.devices; ++i)
    devices.push_back({fmt::format("{}{}", runtime, i), backend});
  return devices;
}

std::shared_ptr<const Backend> cpu_of(const RuntimeRequest& request) {
  return make_cpu_backend({.libraries = request.libraries.runtimes,
                           .threads = request.threads,
                           .kernels = request.kernels});
}

std::vector<PipelineDevice> open_cpu(const RuntimeRequest& request) {
  refuse_names(request, "cpu");
  return equal_devices(request, "cpu", cpu_of(request));
}

std::vector<PipelineDevice> open_simulated(const RuntimeRequest& request) {
  refuse_names(request, "simulated");
  if (request.pools.empty())
    throw Error(ErrorCode::kInvalidArgument, "simulated times require the devices of a plan.json");
  if (request.pools.size() > 1) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "the backend simulated supports only equal devices on one host; use `segue simulate` "
        "for others");
  }
  return equal_devices(
      request, "simulated",
      make_simulated_backend(cpu_of(request), request.pools[0].device, request.time_scale));
}

// Returns for example "pci:apex_0, usb:2-1". For a device that libedgetpu does not list, the reason
// follows its name.
std::string names_text(std::span<const EdgeTpuDevice> devices) {
  std::vector<std::string> names;
  for (const EdgeTpuDevice& device : devices) {
    names.push_back(device.unlisted.empty()
                        ? device.name()
                        : fmt::format("{} ({})", device.name(), device.unlisted));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

Error too_few_devices(const RuntimeRequest& request, std::size_t chosen,
                      std::span<const EdgeTpuDevice> found) {
  std::string message = fmt::format("{} {} needed, but ", format_count(request.devices, "Edge TPU"),
                                    request.devices == 1 ? "is" : "are");
  if (!request.names.empty())
    message += fmt::format("{} {} named; ", chosen, chosen == 1 ? "is" : "are");
  message += found.empty() ? "none was found"
             : found.size() == 1
                 ? fmt::format("one was found: {}", names_text(found))
                 : fmt::format("{} were found: {}", found.size(), names_text(found));
  if (const auto unlisted = find_unlisted_devices(found); !unlisted.empty())
    message += "; not usable: " + names_text(unlisted);
  if (found.size() < request.devices) message += "; `segue doctor` shows what is missing";
  if (chosen > 0) message += fmt::format("; plan for {}", format_count(chosen, "TPU"));
  return {ErrorCode::kDevice, message + ", or run uncompiled segments with the backend cpu"};
}

std::vector<EdgeTpuDevice> choose_devices(std::span<const EdgeTpuDevice> found,
                                          std::span<const std::string> names) {
  std::vector<EdgeTpuDevice> chosen;
  for (const std::string& name : names) {
    chosen.push_back(find_edgetpu_device(found, name));
    if (std::ranges::count(chosen, chosen.back().path, &EdgeTpuDevice::path) > 1)
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("device '{}' is named more than once", name));
  }
  if (names.empty()) chosen.assign(found.begin(), found.end());
  return chosen;
}

std::vector<PipelineDevice> open_edgetpu(const RuntimeRequest& request) {
  const auto found = list_edgetpu_devices(request.libraries, request.edgetpu.sysfs);
  const auto chosen = choose_devices(found, request.names);
  if (chosen.size() < request.devices) throw too_few_devices(request, chosen.size(), found);
  std::vector<PipelineDevice> devices;
  for (const EdgeTpuDevice& device : chosen) {
    devices.push_back(
        {device.name(), make_edgetpu_backend(request.libraries, device, request.edgetpu)});
  }
  return devices;
}

}  // namespace

std::span<const RuntimeRow> runtime_table() {
  static const std::array rows{
      RuntimeRow{"cpu", "TensorFlow Lite on this machine's cores", false, open_cpu},
      RuntimeRow{"simulated", "CPU results, simulated Edge TPU times", false, open_simulated},
      RuntimeRow{"edgetpu", "Edge TPUs through libedgetpu", true, open_edgetpu}};
  return rows;
}

const RuntimeRow& find_runtime(std::string_view key, std::span<const RuntimeRow> table) {
  const auto found = std::ranges::find(table, key, &RuntimeRow::key);
  if (found != table.end()) return *found;
  std::vector<std::string_view> known;
  for (const RuntimeRow& row : table) known.push_back(row.key);
  throw Error(ErrorCode::kInvalidArgument, fmt::format("unknown backend '{}' (expected one of {})",
                                                       key, fmt::join(known, ", ")));
}

}  // namespace segue
