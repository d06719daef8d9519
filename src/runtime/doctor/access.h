// Whether the user of this process may use a node in /dev, and what to do where not.
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
  std::string group;        // empty where its number has no name here
  bool group_lists_user{};  // in the group database; a login before that does not know it
};

// What the udev rule of a package sets.
struct AccessRule {
  std::string key;      // of the findings: "apex-access"
  std::string group;    // "apex"
  std::string install;  // how to get the rule
};

[[nodiscard]] User this_user();
[[nodiscard]] DeviceNode look_at(const std::filesystem::path& path, const User& user);

// Finds nothing to say of a device that the user may open, unless that is root alone.
void check_access(Findings& findings, const std::string& path, const DeviceNode& node,
                  const User& user, const AccessRule& rule);

}  // namespace segue
