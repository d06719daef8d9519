// One function per command. It adds the command and its options to the application, and sets the
// callback that runs the command.
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

// Describes the meaning of each exit status.
[[nodiscard]] std::string exit_statuses();

// Adds --signature NAME, which selects one model if the file MODEL holds several.
void add_signature(CLI::App& command, std::string& signature);

// Opens MODEL and prints notes on it to stderr.
[[nodiscard]] Model open_noted(const std::string& model, const std::string& signature);

// Result formats of commands that print a table.
struct FormatOptions {
  bool json = false;
  bool csv = false;
};
void add_format(CLI::App& command, FormatOptions& options);

// Adds -o, --output PATH.
CLI::Option* add_output(CLI::App& command, std::string& path, const std::string& help);

void add_seed(CLI::App& command, std::uint64_t& seed, const std::string& help);

// Throws if an option has an empty value, or if an output file would overwrite an input file.
void check_values(const CLI::App& command);

// Options for the decoding of a detector's outputs, which plans then include.
struct DecodingOptions {
  bool detects = false;
  std::string family;  // empty: recognised
};
void add_decoding(CLI::App& command, DecodingOptions& options);
// Adds --family KEY.
void add_family(CLI::App& command, std::string& family);
// Returns nothing without --detect. Throws as Detector does.
[[nodiscard]] std::optional<DecodingWork> decoding_of(const Model& model,
                                                      const DecodingOptions& options);

// How to cut a model: shared by `plan`, `split`, `simulate` and `compare`. An empty text means that
// the option was not given.
struct CutOptions {
  std::string tpus;  // a number, or "auto"
  std::string strategy = "optimal";
  std::string search;   // of "profile"
  std::string measure;  // "cpu": operators on the host, and measurements of "profile"
  std::optional<std::string> kernels;  // with `measure`
  std::string objective;               // of "optimal"
  std::uint32_t max_replicas = 0;      // of "optimal"; 0: no limit
  CompilerOptions compiler;            // of "balanced": only its command
  DecodingOptions decoding;
  std::string device;
  std::string topology;                    // a file, instead of `device` and `tpus`
  std::string target;                      // results per second
  std::string max_latency;                 // of one input
  std::optional<double> min_gain_percent;  // of --tpus auto
  std::optional<std::uint32_t> max_tpus;   // of --tpus auto
  [[nodiscard]] std::string device_or_default() const {
    return device.empty() ? "edgetpu-pcie" : device;
  }
  [[nodiscard]] bool names_tpus() const;  // as a number, as auto, in the devices or the topology
};
void add_cut(CLI::App& command, CutOptions& options);
// The names of the strategies, as --strategy takes them.
[[nodiscard]] std::vector<std::string> strategy_names();
void add_max_replicas(CLI::App& command, std::uint32_t& most);

// Throws if one of these options was given. `reason` says why it would have no effect.
void refuse_options(const CLI::App& command, std::span<const char* const> names,
                    const std::string& reason);
// The same for all options that choose cuts, except --device.
void refuse_cut_options(const CLI::App& command, const std::string& reason);

// A plan with its devices, and the text of plan_notes.
struct CutResult {
  Plan plan;
  std::vector<DevicePool> pools;
  std::string notes;
};
[[nodiscard]] CutResult make_cut(const Graph& graph, const CutOptions& options);

// Returns the devices that `option` names, or the devices of the plan if it is empty.
[[nodiscard]] std::vector<DevicePool> devices_of_plan(const Plan& plan, const std::string& option);
// Throws if the times of the plan are for other devices.
void check_times_of(const Plan& plan, std::span<const DevicePool> pools);

// Throws when writing to `output` would overwrite the file that the model is read from.
void require_other_file(const std::string& model, const std::filesystem::path& output);

// Prints a result to stdout unchanged.
void print(const std::string& text);

// The width of the terminal if stdout is one, else kTextWidth.
[[nodiscard]] std::size_t text_width();

// Prints text for people: lines that are too wide are broken.
void print_text(const std::string& text);

// Prints a remark to stderr, so that programs can still parse the results on stdout.
void print_note(const std::string& text);

// The first call installs a handler. From then on, the first SIGINT or SIGTERM sets the returned
// flag, and only the next one ends the program. The command can thus still print the results so
// far.
[[nodiscard]] const std::atomic<bool>& first_interrupt();

// Throw this to end the program with an exit status and without a message.
struct ExitStatus {
  int status = 0;
};

}  // namespace segue::cli
