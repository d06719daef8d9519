// Checks whether the user of this process may open a node in /dev, and suggests a remedy.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/doctor/findings.h"

namespace segue {

struct User {
  std::string name;
  bool is_root{};
};

struct DeviceNode {
  enum class Kind { kMissing, kNotDevice, kDevice };
  Kind kind{};
  bool can_open{};          // by this process, to read and write
  std::uint32_t mode{};     // permission bits: 0660
  std::string group;        // empty if its number has no name on this system
  bool group_lists_user{};  // in the group database; effective only after the next login
};

// The settings of a package's udev rule.
struct AccessRule {
  std::string key;      // key of the findings: "apex-access"
  std::string group;    // "apex"
  std::string install;  // how to get the rule
};

[[nodiscard]] User this_user();
[[nodiscard]] DeviceNode look_at(const std::filesystem::path& path, const User& user);

// Adds a finding if the user may not open the device, or if root may but other users may not.
void check_access(Findings& findings, const std::string& path, const DeviceNode& node,
                  const User& user, const AccessRule& rule);

}  // namespace segue
