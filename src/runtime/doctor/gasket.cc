#include "runtime/doctor/gasket.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>

#include "runtime/edgetpu/sysfs.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

struct Version {
  int major{};
  int minor{};
  friend auto operator<=>(const Version&, const Version&) = default;
  [[nodiscard]] std::string text() const { return fmt::format("{}.{}", major, minor); }
};

// Parses for example "6.12.41+deb13-amd64" as 6.12. Returns 0.0 for other texts.
Version version_of(const std::string& release) {
  Version version;
  const char* const end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, version.major);
  if (major.ec == std::errc{} && major.ptr != end && *major.ptr == '.')
    std::from_chars(major.ptr + 1, end, version.minor);
  return version;
}

// A change of the kernel's interface that the source of gasket must follow.
struct Break {
  Version since;
  const char* file;
  const char* use;          // text in sources before the change
  const char* replacement;  // text in sources that follow it; null: they keep the use inside an #if
  const char* what;
};

// The compiler's messages are in google/gasket-driver #12, #23, #36 and #39. Google's package
// 1.0-18 has all four uses. Google's repository follows the first two changes; the fork of feranick
// follows all four since 1.0-18.4 (google/gasket-driver pull request 50). The headers of Debian's
// kernels 6.1 and 6.12 agree.
constexpr std::array kBreaks{
    Break{{6, 4},
          "gasket_core.c",
          "class_create(driver_desc->module",
          "class_create(driver_desc->name)",
          "class_create() takes one argument since kernel 6.4"},
    Break{{6, 8},
          "gasket_interrupt.c",
          "eventfd_signal(ctx, 1)",
          "eventfd_signal(ctx)",
          "eventfd_signal() takes one argument since kernel 6.8"},
    Break{{6, 12}, "gasket_core.c", "= no_llseek", nullptr, "no_llseek was removed in kernel 6.12"},
    Break{{6, 13},
          "gasket_page_table.c",
          "MODULE_IMPORT_NS(DMA_BUF)",
          "MODULE_IMPORT_NS(\"DMA_BUF\")",
          "MODULE_IMPORT_NS() takes a string since kernel 6.13"}};

// Users report in that repository that it builds for kernels 6.12 and 6.14.
constexpr const char* kFork =
    "install gasket-dkms 1.0-18.4 or later of github.com/feranick/gasket-driver (its releases have "
    "a .deb), reported to build for kernels 6.12 and 6.14";

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Whether the text at `position` is inside an #if, so that it may be compiled for some versions
// only.
bool is_behind_if(const std::string& text, std::size_t position) {
  const std::size_t directive = text.rfind("\n#", position);
  return directive != std::string::npos &&
         (text.compare(directive, 4, "\n#if") == 0 || text.compare(directive, 4, "\n#el") == 0);
}

bool has_break(const fs::path& source, const Break& change) {
  // A package installs the files in one folder. Google's repository has them in src.
  std::string text = text_of(source / change.file);
  if (text.empty()) text = text_of(source / "src" / change.file);
  const std::size_t use = text.find(change.use);
  if (use == std::string::npos) return false;
  return change.replacement == nullptr ? !is_behind_if(text, use)
                                       : text.find(change.replacement) == std::string::npos;
}

// Returns the changes up to this kernel version that the source does not follow. Without a source,
// returns all changes up to it.
std::vector<std::string> breaks(Version kernel, const std::optional<fs::path>& source) {
  std::vector<std::string> found;
  for (const Break& change : kBreaks) {
    if (kernel >= change.since && (!source || has_break(*source, change)))
      found.emplace_back(change.what);
  }
  return found;
}

// Returns the folder of gasket's source, for example "gasket-1.0", which a package or dkms creates.
// If there are several, returns the last by name, which is the newest.
std::optional<fs::path> find_source(const Machine& machine) {
  std::optional<fs::path> newest;
  for (const fs::path& source : entries(machine.root / "usr/src")) {
    if (source.filename().string().starts_with("gasket-") && (!newest || *newest < source))
      newest = source;
  }
  return newest;
}

// Whether modprobe would find the module apex.
bool has_module(const fs::path& modules) {
  return text_of(modules / "modules.dep").find("/apex.ko") != std::string::npos;
}

// Returns the first error in dkms's last log, if that log is of this kernel.
std::string build_error(const fs::path& log, const std::string& release) {
  std::ifstream file(log);
  bool is_for_kernel = false;
  for (std::string line; std::getline(file, line);) {
    is_for_kernel = is_for_kernel || line.find("for kernel " + release) != std::string::npos;
    const bool is_error =
        line.find("error:") != std::string::npos || line.find("ERROR:") != std::string::npos;
    if (is_for_kernel && is_error) return line;
  }
  return "";
}

void explain_absence(Findings& findings, const std::string& count, const std::string& release) {
  const auto changes = breaks(version_of(release), std::nullopt);
  if (changes.empty()) {
    findings.problem("gasket-missing",
                     fmt::format("{}, and no driver for kernel {}: gasket and apex are not built",
                                 count, release),
                     "install gasket-dkms (Google's package 1.0-18 builds up to kernel 6.3), then "
                     "`sudo modprobe apex`");
    return;
  }
  findings.problem(
      "gasket-missing",
      fmt::format("{}, and no driver for kernel {}: gasket and apex are not built, and Google's "
                  "gasket-dkms 1.0-18 does not build for it ({})",
                  count, release, fmt::join(changes, "; ")),
      fmt::format("{}, then `sudo modprobe apex`", kFork));
}

void explain_source(Findings& findings, const Machine& machine, const std::string& count,
                    const std::string& release, const fs::path& source) {
  const std::string name = source.filename().string();
  const std::string shown = fmt::format("{}, and {} in /usr/src", count, name);
  if (const auto changes = breaks(version_of(release), source); !changes.empty()) {
    findings.problem("gasket-build",
                     fmt::format("{} does not build for kernel {}: {}", shown, release,
                                 fmt::join(changes, "; ")),
                     fmt::format("remove that gasket-dkms and {}", kFork));
    return;
  }
  const fs::path modules = machine.root / "lib/modules" / release;
  std::error_code reason;
  if (!fs::exists(modules / "build", reason)) {
    findings.problem(
        "gasket-build",
        fmt::format("{} is not built: the headers of kernel {} are missing", shown, release),
        fmt::format("install linux-headers-{}, then `sudo dkms autoinstall`", release));
    return;
  }
  const std::string version = name.substr(name.find('-') + 1);
  const fs::path log = fs::path("var/lib/dkms/gasket") / version / "build/make.log";
  const std::string error = build_error(machine.root / log, release);
  if (!error.empty()) {
    findings.problem("gasket-build",
                     fmt::format("{} did not build for kernel {}: {}", shown, release, error),
                     fmt::format("see /{} for the full log; {}", log.string(), kFork));
    return;
  }
  findings.problem(
      "gasket-build", fmt::format("{} is not built for kernel {}", shown, release),
      fmt::format("`sudo dkms autoinstall -k {}`, then `sudo modprobe apex`", release));
}

}  // namespace

void check_gasket(Findings& findings, const Machine& machine, const std::string& count) {
  const std::string release = first_line(machine.root / "proc/sys/kernel/osrelease");
  if (has_module(machine.root / "lib/modules" / release)) {
    findings.problem(
        "apex-driver",
        fmt::format("{}, and driver 'apex' is built for kernel {} but not loaded", count, release),
        "`sudo modprobe apex`; if that reports \"Key was rejected by service\", Secure Boot does "
        "not trust the module's key: `sudo mokutil --import /var/lib/dkms/mok.pub`, then restart");
    return;
  }
  const auto source = find_source(machine);
  source ? explain_source(findings, machine, count, release, *source)
         : explain_absence(findings, count, release);
}

}  // namespace segue
