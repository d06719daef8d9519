// One function per command: adds its options to the application and sets what runs when it is
// chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/compiler_options.h"
#include "segue/plan.h"

namespace segue::cli {

void add_zoo(CLI::App& app);
void add_inspect(CLI::App& app);
void add_plan(CLI::App& app);
void add_split(CLI::App& app);
void add_verify(CLI::App& app);
void add_compile(CLI::App& app);
void add_run(CLI::App& app);
void add_devices(CLI::App& app);  // and doctor
void add_calibrate(CLI::App& app);
void add_serve(CLI::App& app);
void add_cluster(CLI::App& app);
void add_simulate(CLI::App& app);
void add_compare(CLI::App& app);
void add_sweep(CLI::App& app);
void add_merge(CLI::App& app);
void add_report(CLI::App& app);
void add_paper(CLI::App& app);
void add_manual(CLI::App& app);
void add_completion(CLI::App& app);

// What each exit status means.
[[nodiscard]] std::string exit_statuses();

// --signature NAME: which model a file of several holds is MODEL.
void add_signature(CLI::App& command, std::string& signature);

// Opens MODEL; what is to be known of it goes to stderr.
[[nodiscard]] Model open_noted(const std::string& model, const std::string& signature);

// Result formats of commands that print a table.
struct FormatOptions {
  bool json = false;
  bool csv = false;
};
void add_format(CLI::App& command, FormatOptions& options);

// -o, --output PATH.
CLI::Option* add_output(CLI::App& command, std::string& path, const std::string& help);

void add_seed(CLI::App& command, std::uint64_t& seed, const std::string& help);

// Throws where an option was given without a value, or what is written would take the place of a
// file that is read.
void check_values(const CLI::App& command);

// How to cut: shared by `plan`, `split`, `simulate` and `compare`. Empty texts: not given.
struct CutOptions {
  std::string tpus;  // a number, or "auto"
  std::string strategy = "optimal";
  std::string search;              // of "profile"
  std::string measure;             // "cpu": operators on the host, and what "profile" asks for
  std::string kernels;             // with `measure`
  std::string objective;           // of "optimal"
  std::uint32_t max_replicas = 0;  // of "optimal"; 0: no limit
  CompilerOptions compiler;        // of "balanced": only its command
  std::string device;
  std::string target;                      // results per second
  std::string max_latency;                 // of one input
  std::optional<double> min_gain_percent;  // of --tpus auto
  std::optional<std::uint32_t> max_tpus;   // of --tpus auto
  [[nodiscard]] std::string device_or_default() const {
    return device.empty() ? "edgetpu-pcie" : device;
  }
  [[nodiscard]] bool names_tpus() const;  // by number, by auto, or with the devices
};
void add_cut(CLI::App& command, CutOptions& options);
// As options take them.
[[nodiscard]] std::vector<std::string> strategy_names();
void add_max_replicas(CLI::App& command, std::uint32_t& most);

// Throws where one of these options was given: `reason` says why it would do nothing.
void refuse_options(const CLI::App& command, std::span<const char* const> names,
                    const std::string& reason);
// The same for all options that choose cuts, but for --device.
void refuse_cut_options(const CLI::App& command, const std::string& reason);

// A plan with its devices, and the text of plan_notes.
struct CutResult {
  Plan plan;
  std::vector<DevicePool> pools;
  std::string notes;
};
[[nodiscard]] CutResult make_cut(const Graph& graph, const CutOptions& options);

// The devices that `option` names, or else those the plan was made for.
[[nodiscard]] std::vector<DevicePool> devices_of_plan(const Plan& plan, const std::string& option);

// Throws when writing to `output` would overwrite the file that the model is read from.
void require_other_file(const std::string& model, const std::filesystem::path& output);

// Results go to stdout as they are.
void print(const std::string& text);

// The width of the terminal that stdout is; of something else, kTextWidth.
[[nodiscard]] std::size_t text_width();

// Text for people: lines that are too wide are broken.
void print_text(const std::string& text);

// Remarks go to stderr, so that results stay what programs expect.
void print_note(const std::string& text);

// From the first call on, the first SIGINT or SIGTERM sets this, and only the next one ends the
// program: what ran until then can be told.
[[nodiscard]] const std::atomic<bool>& first_interrupt();

// Ends the program with this exit status; nothing is printed.
struct ExitStatus {
  int status = 0;
};

}  // namespace segue::cli
