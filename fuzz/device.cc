// Fuzzes the readers of device files, of topologies and of lists of devices in options.
#include "segue/device.h"

#include <string>

#include "segue/topology.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace segue;
  const std::string text(fuzz::text_of(data, size));
  fuzz::answers([&] {
    DeviceSpec device = parse_device(text, "device.json");
    for (const NamedConstant& constant : device_constants()) {
      fuzz::require(constant.of(device)->value >= 0, "constants are within their range");
    }
  });
  fuzz::answers([&] {
    const Topology topology = parse_topology(text, "topology.json");
    fuzz::require(parse_topology(to_json(topology), "topology.json") == topology,
                  "a topology is read as it was written");
    const auto last = topology.nodes.size() - 1;
    fuzz::require(last == 0 || !route(topology, 0, last).empty(), "links connect all nodes");
  });
  // A name of a file would make the reader open it.
  if (text.find(".json") == std::string::npos) {
    fuzz::answers([&] {
      const auto pools = open_devices(text, 1);
      fuzz::require(device_count(pools) > 0, "there is a device");
      fuzz::require(
          to_string(open_devices(to_string(pools), device_count(pools))) == to_string(pools),
          "devices are read as they are written");
    });
  }
  return 0;
}
