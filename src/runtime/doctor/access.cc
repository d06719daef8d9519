#include "runtime/doctor/access.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace segue {
namespace {

constexpr std::uint32_t kGroupMayUse = 0060;
constexpr std::uint32_t kAnyoneMayUse = 0006;
constexpr std::size_t kLongestEntry = 65536;  // in the databases of users and groups

std::string group_of(const struct stat& status, const User& user, bool& lists_user) {
  std::vector<char> buffer(kLongestEntry);
  group entry{};
  group* found = nullptr;
  ::getgrgid_r(status.st_gid, &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return "";
  for (char** member = found->gr_mem; *member != nullptr; ++member)
    lists_user = lists_user || user.name == *member;
  return found->gr_name;
}

// Whether the container does not map the number of the host's group. Such a number has no name in
// the container, or one of these names.
bool is_unmapped(const std::string& group) {
  return group.empty() || group == "nogroup" || group == "nobody";
}

bool group_may(const DeviceNode& node) {
  return node.group != "root" && (node.mode & kGroupMayUse) == kGroupMayUse;
}

std::string step_for(const DeviceNode& node, const User& user, const AccessRule& rule) {
  if (is_unmapped(node.group)) {
    return "the container does not map the host's group: assign the device to a group of the "
           "container (Proxmox: dev0: PATH,gid=N), or allow access for all users (MODE=\"0666\" in "
           "the host's udev rule)";
  }
  if (!group_may(node)) {
    return fmt::format("{}; then `sudo usermod -aG {} {}`, then log out and in again", rule.install,
                       rule.group, user.name);
  }
  if (node.group_lists_user) {
    return fmt::format("'{}' was added to group {} after this login began: log out and in again",
                       user.name, node.group);
  }
  return fmt::format("`sudo usermod -aG {} {}`, then log out and in again", node.group, user.name);
}

}  // namespace

User this_user() {
  std::vector<char> buffer(kLongestEntry);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found);
  return {found == nullptr ? std::to_string(::geteuid()) : found->pw_name, ::geteuid() == 0};
}

DeviceNode look_at(const std::filesystem::path& path, const User& user) {
  struct stat status {};
  DeviceNode node;
  if (::stat(path.c_str(), &status) != 0) return node;
  node.kind = S_ISCHR(status.st_mode) ? DeviceNode::Kind::kDevice : DeviceNode::Kind::kNotDevice;
  node.can_open = ::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) == 0;
  node.mode = status.st_mode & 0777;
  node.group = group_of(status, user, node.group_lists_user);
  return node;
}

void check_access(Findings& findings, const std::string& path, const DeviceNode& node,
                  const User& user, const AccessRule& rule) {
  const std::string owner = fmt::format(
      "group {}, mode {:04o}", node.group.empty() ? "without a name" : node.group, node.mode);
  if (!node.can_open) {
    findings.problem(rule.key, fmt::format("user '{}' cannot open {} ({})", user.name, path, owner),
                     step_for(node, user, rule));
    return;
  }
  const bool is_for_others = group_may(node) || (node.mode & kAnyoneMayUse) == kAnyoneMayUse;
  if (!user.is_root || is_for_others) return;
  findings.note(rule.key, fmt::format("root can open {}, other users cannot ({})", path, owner),
                rule.install + ", or run Segue only as root");
}

}  // namespace segue
