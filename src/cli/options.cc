// Options that several commands have, and checks of the values of all options.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "cli/commands.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/topology.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

namespace fs = std::filesystem;

// Options that name output files.
constexpr std::array kWritten{"--output", "--trace", "--draw"};
// Options that name inputs. Positional arguments name inputs too.
constexpr std::array kRead{"--model",   "--models",          "--plan",   "--device",
                           "--devices", "--topology",        "--run",    "--input",
                           "--labels",  "--edgetpu-library", "--runtime"};

bool is_one_of(std::span<const char* const> names, const CLI::Option& option) {
  return std::ranges::find(names, option.get_name()) != names.end();
}

bool are_same_file(const fs::path& a, const fs::path& b) {
  std::error_code absent;
  return fs::equivalent(a, b, absent);
}

// Whether the output file is one of the files that are read from a folder of segments.
bool is_read_in(const fs::path& folder, const fs::path& output) {
  const bool is_of_split = output.filename() == "plan.json" || output.extension() == ".tflite";
  return is_of_split &&
         are_same_file(folder, output.has_parent_path() ? output.parent_path() : ".");
}

// Returns the names that may be files in a list such as "2xlane.json:shared,3xother.json" of
// devices or "a.tflite:30/s,b.tflite" of models.
std::vector<std::string> files_of(const std::string& list) {
  std::vector<std::string> files;
  for (std::string part : CLI::detail::split(list, ',')) {
    if (has_device_count(part)) {
      files.push_back(part.substr(0, part.find(':')));
      part.erase(0, part.find('x') + 1);
    }
    for (std::size_t end = part.find(':'); end < part.size(); end = part.find(':', end + 1))
      files.push_back(part.substr(0, end));
    files.push_back(part);
  }
  return files;
}

// Returns the device files of a topology. A file that is none is refused later.
std::vector<std::string> device_files(const std::string& topology) {
  std::vector<std::string> files;
  try {
    for (const TopologyNode& node : read_topology(topology).nodes) {
      for (const PoolName& pool : node.devices) files.push_back(pool.device);
    }
  } catch (const Error&) {
    return {};
  }
  return files;
}

void check_output(const std::string& output, const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    const bool is_positional = option->get_positional() && command.get_name() != "zoo";
    if (!is_positional && !is_one_of(kRead, *option)) continue;
    for (const std::string& value : option->results()) {
      auto files = files_of(value);
      files.push_back(value);
      if (option->get_name() == "--topology")
        std::ranges::copy(device_files(value), std::back_inserter(files));
      if (std::ranges::none_of(files, [&](const std::string& file) {
            return are_same_file(file, output) || is_read_in(file, output);
          }))
        continue;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: also the input {}; name another output", output,
                              option->get_name(option->get_positional())));
    }
  }
}

}  // namespace

void check_values(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& value : option->results()) {
      if (value.empty()) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("{}: the value is empty; give a value{}",
                                option->get_name(option->get_positional()),
                                option->get_required() ? "" : ", or remove the option"));
      }
      // Ranges of CLI11 contain "nan".
      if (option->get_type_name().starts_with("FLOAT") &&
          CLI::detail::to_lower(value).find("nan") != std::string::npos)
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("{} {}: give a number", option->get_name(), value));
      if (is_one_of(kWritten, *option)) check_output(value, command);
    }
  }
}

void add_format(CLI::App& command, FormatOptions& options) {
  auto* json = command.add_flag("--json", options.json, "Print JSON");
  command.add_flag("--csv", options.csv, "Print the table as CSV")->excludes(json);
}

CLI::Option* add_output(CLI::App& command, std::string& path, const std::string& help) {
  return command.add_option("-o,--output", path, help);
}

void add_signature(CLI::App& command, std::string& signature) {
  command.add_option("--signature", signature,
                     "Signature of MODEL to use, if the file holds several with a subgraph each");
}

Model open_noted(const std::string& model, const std::string& signature) {
  Model opened = open_model(model, {signature});
  for (const std::string& note : model_notes(opened)) print_note(note);
  return opened;
}

void add_seed(CLI::App& command, std::uint64_t& seed, const std::string& help) {
  command.add_option("--seed", seed, help)->check([](const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size()
               ? ""
               : "'" + text + "' is not a whole number from 0 to 18446744073709551615";
  });
}

void refuse_options(const CLI::App& command, std::span<const char* const> names,
                    const std::string& reason) {
  for (const char* name : names) {
    if (command.count(name) > 0)
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", name, reason));
  }
}

void require_other_file(const std::string& model, const std::filesystem::path& output) {
  if (!are_same_file(model, output)) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("{}: this is the model file itself; name another output", output.string()));
}

}  // namespace segue::cli
