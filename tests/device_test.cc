// Tests device files and their limits.
#include "segue/device.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "environment.h"
#include "expect.h"
#include "segue/file.h"

namespace segue {
namespace {

using Json = nlohmann::ordered_json;
using testing::expect_error;

Json example() {
  return Json::parse(R"({
    "schema": "segue.device/1",
    "name": "my-card",
    "base": "edgetpu-pcie",
    "constants": {
      "clock": {"value": 0.5, "unit": "GHz"},
      "link": {"value": 195, "unit": "MB/s", "source": "three cards on one lane"}
    }
  })");
}

TEST(ParseDevice, OverridesReplaceBaseConstants) {
  const DeviceSpec device = parse_device(example().dump(), "d.json");
  EXPECT_EQ(device.name, "my-card");
  EXPECT_DOUBLE_EQ(device.timing.clock_hz.value, 500e6);
  EXPECT_DOUBLE_EQ(device.timing.link_bytes_per_s.value, 195e6);
  EXPECT_EQ(device.timing.link_bytes_per_s.source, "three cards on one lane");
  EXPECT_EQ(device.timing.link_bytes_per_s.evidence, Evidence::kUser);
  EXPECT_DOUBLE_EQ(device.timing.invoke_ns.value,
                   find_device("edgetpu-pcie").timing.invoke_ns.value);
}

struct BadDevice {
  const char* name;
  void (*edit)(Json&);
  std::vector<std::string> message;
};

class DeviceReader : public ::testing::TestWithParam<BadDevice> {};

TEST_P(DeviceReader, InvalidDocumentNamesItsKey) {
  Json document = example();
  GetParam().edit(document);
  try {
    (void)parse_device(document.dump(), "d.json");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    for (const std::string& part : GetParam().message)
      EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, DeviceReader,
    ::testing::Values(
        BadDevice{"UnknownKey", [](Json& j) { j["color"] = 1; }, {"color: unknown key"}},
        BadDevice{"UnknownConstant",
                  [](Json& j) {
                    j["constants"]["clocks"] = {{"value", 1}, {"unit", "MHz"}};
                  },
                  {"constants.clocks: unknown constant", "did you mean 'clock'", "host_slowdown"}},
        BadDevice{"NoUnit",
                  [](Json& j) { j["constants"]["link"].erase("unit"); },
                  {"constants.link: missing key \"unit\""}},
        BadDevice{"WrongUnit",
                  [](Json& j) { j["constants"]["link"]["unit"] = "MHz"; },
                  {"constants.link.unit", "MB/s"}},
        BadDevice{"Negative",
                  [](Json& j) { j["constants"]["link"]["value"] = -5; },
                  {"constants.link.value: is -5 MB/s; must be from 0.1 to 100000 MB/s"}},
        BadDevice{"Absurd",
                  [](Json& j) { j["constants"]["clock"]["value"] = 1e9; },
                  {"constants.clock.value: is 1e+09 GHz; must be from 1 to 10000 MHz"}},
        BadDevice{"ZeroClock",
                  [](Json& j) { j["constants"]["clock"]["value"] = 0; },
                  {"constants.clock.value"}},
        BadDevice{"TextForANumber",
                  [](Json& j) { j["constants"]["clock"]["value"] = "fast"; },
                  {"constants.clock.value: must be a number"}},
        BadDevice{"UnknownBase",
                  [](Json& j) { j["base"] = "gpu"; },
                  {"base: unknown device 'gpu'", "edgetpu-usb3"}},
        BadDevice{"NoName", [](Json& j) { j["name"] = ""; }, {"name: must have 1 to 100 bytes"}},
        BadDevice{"NameOfTheCatalogue",
                  [](Json& j) { j["name"] = "edgetpu-usb2"; },
                  {"name: 'edgetpu-usb2' is already a device of the catalogue"}},
        BadDevice{"ControlCharacter",
                  [](Json& j) { j["name"] = "a\x1b[31m"; },
                  {"name: must not contain control characters"}},
        BadDevice{"OtherSchema",
                  [](Json& j) { j["schema"] = "segue.device/9"; },
                  {"schema: is \"segue.device/9\""}},
        BadDevice{"ListOfConstants",
                  [](Json& j) { j["constants"] = Json::array(); },
                  {"constants: must be an object"}}),
    [](const auto& row) { return row.param.name; });

TEST(ParseDevice, InvalidJsonIsRefused) {
  expect_error(ErrorCode::kInvalidArgument, [] { (void)parse_device("{", "d.json"); },
               {"d.json: not JSON"});
}

TEST(OpenDevice, NamesAndFilesAreAccepted) {
  const testing::ScratchFolder scratch;
  const std::string path = (scratch.path() / "d.json").string();
  write_file(path, example().dump());
  EXPECT_EQ(open_device(path).name, "my-card");
  EXPECT_EQ(open_device("edgetpu-usb2").name, "edgetpu-usb2");
  expect_error(ErrorCode::kIo, [&] { (void)open_device(path + ".json"); });
}

TEST(DeviceConstants, CatalogueValuesAreInRange) {
  for (const DeviceSpec& original : device_catalogue()) {
    DeviceSpec device = original;
    for (const NamedConstant& named : device_constants()) {
      const Constant& constant = *named.of(device);
      EXPECT_GE(constant.value / named.in_unit, named.smallest) << device.name << named.key;
      EXPECT_LE(constant.value / named.in_unit, named.largest) << device.name << named.key;
      EXPECT_FALSE(constant.unit.empty()) << named.key;
      EXPECT_FALSE(constant.source.empty()) << named.key;
    }
  }
}

TEST(DevicePools, TextRoundTripKeepsPools) {
  const std::string text = "2xedgetpu-usb3:shared,1xedgetpu-pcie";
  const auto pools = open_devices(text, 0);
  ASSERT_EQ(pools.size(), 2U);
  EXPECT_EQ(pools[0].device.name, "edgetpu-usb3");
  EXPECT_EQ(pools[0].count, 2U);
  EXPECT_TRUE(pools[0].shares_link);
  EXPECT_FALSE(pools[1].shares_link);
  EXPECT_EQ(to_string(pools), text);
  const auto one = open_devices("edgetpu-usb2:shared", 5);
  EXPECT_EQ(one[0].count, 5U);
  EXPECT_EQ(to_string(one), "edgetpu-usb2:shared");
}

TEST(DevicePools, UsbPoolsShareLinkUnlessSeparate) {
  EXPECT_TRUE(open_devices("edgetpu-usb3", 5)[0].shares_link);
  EXPECT_EQ(to_string(open_devices("edgetpu-usb3", 5)), "edgetpu-usb3:shared");
  EXPECT_EQ(to_string(open_devices("edgetpu-usb3", 1)), "edgetpu-usb3");
  EXPECT_FALSE(open_devices("edgetpu-usb3:separate", 5)[0].shares_link);
  EXPECT_EQ(to_string(open_devices("edgetpu-usb3:separate", 5)), "edgetpu-usb3:separate");
  EXPECT_FALSE(open_devices("edgetpu-pcie", 5)[0].shares_link);
  EXPECT_TRUE(open_device_kind("edgetpu-usb2-max").shares_link);
  expect_error(ErrorCode::kInvalidArgument, [] { (void)open_device_kind("2xedgetpu-usb3"); },
               {"'2xedgetpu-usb3'", "without a number"});
}

TEST(DevicePools, ChoiceCountSaturatesAtLimit) {
  // 1024 to the 7th power is 2 to the 70th.
  const std::vector<DevicePool> pools(7, {find_device("edgetpu-pcie"), 1023, false});
  EXPECT_GT(device_choices(pools), kMostDeviceChoices);
}

TEST(DevicePools, InvalidPoolTextIsNamed) {
  const auto open = [](const char* text) { return [text] { (void)open_devices(text, 0); }; };
  expect_error(ErrorCode::kInvalidArgument, open("edgetpu-usb3,edgetpu-pcie"),
               {"the number of 'edgetpu-usb3' is missing"});
  expect_error(ErrorCode::kInvalidArgument, open("0xedgetpu-usb3"), {"from 1 to 1024"});
  expect_error(ErrorCode::kInvalidArgument, open("99999999999xedgetpu-usb3"), {"from 1 to 1024"});
  expect_error(ErrorCode::kInvalidArgument, open("2xedgetpu-usb9"), {"'edgetpu-usb9'"});
  expect_error(ErrorCode::kInvalidArgument, open("2xedgetpu-usb3,"), {"unknown device ''"});
}

}  // namespace
}  // namespace segue
