// Topology files: what is read, and what the errors say.
#include <gtest/gtest.h>

#include <string>

#include "expect.h"
#include "segue/topology.h"

namespace segue {
namespace {

using testing::expect_error;

const char* const kThreeHosts = R"({
  "schema": "segue.topology/1",
  "nodes": [ {"name": "pi1", "devices": "1xedgetpu-usb3-pi4", "cores": 4},
             {"name": "pi2", "devices": "2xedgetpu-usb3-pi4", "cores": 4},
             {"name": "switch"} ],
  "links": [ {"between": ["pi1", "switch"], "bytes_per_s": 117000000, "latency_ns": 100000},
             {"between": ["pi2", "switch"], "bytes_per_s": 1e7, "latency_ns": 0,
              "medium": "air"} ],
  "entry": "pi2", "relay": true })";

std::string edited(const std::string& from, const std::string& to) {
  std::string text = kThreeHosts;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(TopologyFile, TextIsReadAsWritten) {
  const Topology topology = parse_topology(kThreeHosts, "hosts");
  EXPECT_EQ(topology.nodes[1].name, "pi2");
  EXPECT_EQ(to_string(topology.nodes[1].devices), "2xedgetpu-usb3-pi4");
  EXPECT_EQ(topology.nodes[2].cores, 0U);
  EXPECT_EQ(topology.links[0].latency, Nanoseconds(100'000));
  EXPECT_EQ(topology.links[1].medium, "air");
  EXPECT_EQ(topology.entry, 1U);
  EXPECT_TRUE(topology.relays);
  EXPECT_EQ(parse_topology(to_json(topology), "again"), topology);
}

struct BadFile {
  const char* from;
  const char* to;
  const char* message;
};

TEST(TopologyFile, InvalidKeysAreNamedByPath) {
  const BadFile files[]{
      {"topology/1", "topology/9", "schema: is \"segue.topology/9\""},
      {R"("cores": 4)", R"("cores": 0)", "nodes[0].cores: must be from 1 to 1024"},
      {R"(, "cores": 4)", "", "nodes[0]: has devices, but no \"cores\""},
      {R"(1xedgetpu-usb3-pi4)", "0xtpu", "nodes[0].devices"},
      {R"({"name": "switch"})", R"({"name": "switch"}, {"name": "pi1"})",
       "two nodes are named 'pi1'"},
      {R"("name": "pi2")", R"("name": "")", "nodes[1].name: must have 1 to 100 bytes"},
      {R"(["pi1", "switch"])", R"(["pi1", "hub"])", "links[0].between[1]: there is no node 'hub'"},
      {R"(["pi1", "switch"])", R"(["pi1"])", "links[0].between: must name two nodes"},
      {R"(["pi1", "switch"])", R"(["pi1", "pi1"])", "must name two different nodes"},
      {"117000000", "10", "links[0].bytes_per_s: is 10; must be from 1000"},
      {"117000000", "\"fast\"", "links[0].bytes_per_s: must be a number"},
      {"100000}", "-1}", "links[0].latency_ns: must be a whole number"},
      {R"(["pi2", "switch"])", R"(["pi1", "switch"])",
       "no link leads from node 'pi1' to node 'pi2'"},
      {R"("links": [)",
       R"("links": [ {"between": ["pi1", "pi2"], "bytes_per_s": 1e6, "latency_ns": 0},)",
       "3 links between 3 nodes leave two ways"},
      {R"("entry": "pi2")", R"("entry": "pi9")", "entry: there is no node 'pi9'"},
      {R"("relay": true)", R"("relay": 1)", "relay: must be true or false"},
      {R"("relay": true)", R"("reley": true)", "reley: unknown key"},
  };
  for (const BadFile& file : files) {
    const std::string text = edited(file.from, file.to);
    expect_error(ErrorCode::kInvalidArgument,
                 [&] { static_cast<void>(parse_topology(text, "hosts.json")); },
                 {"hosts.json: ", file.message});
  }
}

TEST(TopologyFile, NodesWithoutDevicesAreRefused) {
  Topology topology = parse_topology(kThreeHosts, "hosts");
  for (TopologyNode& node : topology.nodes) node.devices.clear();
  expect_error(ErrorCode::kInvalidArgument, [&] { check_topology(topology); },
               {"no node has devices"});
}

}  // namespace
}  // namespace segue
