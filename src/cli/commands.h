// One function per command: adds its options to the application and sets what runs when it is
// chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "segue/plan.h"

namespace segue::cli {

void add_zoo(CLI::App& app);
void add_inspect(CLI::App& app);
void add_plan(CLI::App& app);
void add_split(CLI::App& app);
void add_verify(CLI::App& app);
void add_simulate(CLI::App& app);
void add_compare(CLI::App& app);
void add_paper(CLI::App& app);

// Result formats of commands that print a table.
struct FormatOptions {
  bool json = false;
  bool csv = false;
};
void add_format(CLI::App& command, FormatOptions& options);

// How to cut: shared by `plan` and `split`.
struct CutOptions {
  std::uint64_t tpus = 0;
  std::string strategy = "balanced";
  std::string objective = "throughput";  // of "optimal"
  std::uint32_t max_replicas = 0;        // of "optimal"; 0: no limit
  std::string device;                    // as given; empty: not given
  [[nodiscard]] std::string device_or_default() const {
    return device.empty() ? "edgetpu-pcie" : device;
  }
};
void add_cut(CLI::App& command, CutOptions& options);

// A plan, its segmentation, and what the refinement of `balanced` did.
struct CutResult {
  Plan plan;
  Segmentation segmentation;
  std::string refinement;  // text, one line per move
};
[[nodiscard]] CutResult make_cut(const Graph& graph, const CutOptions& options);

// The device that `option` names, or else the one the plan was made for.
[[nodiscard]] DeviceSpec device_of(const Plan& plan, const std::string& option);

// Throws when writing to `output` would overwrite the file that the model is read from.
void require_other_file(const std::string& model, const std::filesystem::path& output);

// Results go to stdout as they are.
void print(const std::string& text);

// Remarks go to stderr, so that results stay what programs expect.
void print_note(const std::string& text);

// Ends the program with this exit status; nothing is printed.
struct ExitStatus {
  int status = 0;
};

}  // namespace segue::cli
