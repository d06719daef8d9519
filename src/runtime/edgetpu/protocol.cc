#include "runtime/edgetpu/protocol.h"

#include <utility>

namespace segue::edgetpu {
namespace {

void put_paths(MessageWriter& to, std::span<const std::filesystem::path> paths) {
  to.number(paths.size());
  for (const std::filesystem::path& path : paths) to.text(path.native());
}

std::vector<std::filesystem::path> take_paths(MessageReader& from) {
  std::vector<std::filesystem::path> paths;
  for (std::uint64_t left = from.number(); left > 0; --left) paths.emplace_back(from.text());
  return paths;
}

}  // namespace

void put(MessageWriter& to, const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device,
         const EdgeTpuSettings& settings) {
  put_paths(to, libraries.runtimes);
  put_paths(to, libraries.delegates);
  to.number(static_cast<std::uint64_t>(device.link));
  to.text(device.path);
  to.number(settings.size());
  for (const auto& [name, value] : settings) {
    to.text(name);
    to.text(value);
  }
}

void take(MessageReader& from, EdgeTpuLibraries& libraries, EdgeTpuDevice& device,
          EdgeTpuSettings& settings) {
  libraries.runtimes = take_paths(from);
  libraries.delegates = take_paths(from);
  device.link = static_cast<EdgeTpuDevice::Link>(from.number());
  device.path = from.text();
  for (std::uint64_t left = from.number(); left > 0; --left) {
    std::string name = from.text();
    settings.emplace_back(std::move(name), from.text());
  }
}

void put(MessageWriter& to, std::span<const Port> ports) {
  to.number(ports.size());
  for (const Port& port : ports) {
    to.text(port.name);
    to.number(static_cast<std::uint64_t>(port.type));
    to.number(port.bytes);
    to.number(port.shape.size());
    for (const std::int32_t extent : port.shape)
      to.number(static_cast<std::uint64_t>(std::int64_t{extent}));
  }
}

std::vector<Port> take_ports(MessageReader& from) {
  std::vector<Port> ports;
  for (std::uint64_t left = from.number(); left > 0; --left) {
    Port& port = ports.emplace_back();
    port.name = from.text();
    port.type = static_cast<ElementType>(from.number());
    port.bytes = from.number();
    for (std::uint64_t extents = from.number(); extents > 0; --extents)
      port.shape.push_back(static_cast<std::int32_t>(from.number()));
  }
  return ports;
}

void put(MessageWriter& to, const TensorPlace& place) {
  to.number(place.chunk);
  to.number(place.offset);
  to.number(place.size);
}

TensorPlace take_place(MessageReader& from) {
  TensorPlace place;
  place.chunk = from.number();
  place.offset = from.number();
  place.size = from.number();
  return place;
}

}  // namespace segue::edgetpu
