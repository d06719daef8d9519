// Makes the man page and the reference of commands from the parser's data, so that they agree with
// `--help`.
#include "cli/manual.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "cli/commands.h"
#include "segue/version.h"

namespace segue::cli {
namespace {

constexpr const char* kModel =
    "MODEL is a quantized .tflite file, or zoo:NAME[@SIZE] for a built-in network (`segue zoo` "
    "lists them).";

struct Passage {
  const char* title;
  const char* text;
};
constexpr std::array<Passage, 4> kVariables{{
    {"SEGUE_TFLITE_LIB",
     "Path of the TensorFlow Lite runtime, libtensorflowlite_c.so; same as --runtime."},
    {"SEGUE_EDGETPU_LIB",
     "Path of the Edge TPU library, libedgetpu.so.1; same as --edgetpu-library."},
    {"SEGUE_EDGETPU_COMPILER",
     "Command that runs Google's compiler, edgetpu_compiler; same as --compiler-cmd."},
    {"COLUMNS", "Width of texts that are not written to a terminal, at least 40 (default 80)."},
}};
constexpr std::array<Passage, 3> kExamples{{
    {"segue plan model.tflite --tpus auto",
     "Chooses the number of Edge TPUs, and plans the segments."},
    {"segue split model.tflite --tpus 4 -o parts && segue verify model.tflite parts",
     "Writes four segments, and verifies that they compute the same as the model."},
    {"segue compare zoo:resnet101 --tpus 1..8", "Compares all strategies (simulated)."},
}};

// Returns all commands, each followed by its inner commands, in the order of `--help`.
std::vector<const CLI::App*> described_commands(const CLI::App& app) {
  std::vector<const CLI::App*> commands;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    if (command->get_group().empty()) continue;
    commands.push_back(command);
    for (const CLI::App* inner : described_commands(*command)) commands.push_back(inner);
  }
  return commands;
}

// Returns all options except --help.
std::vector<const CLI::Option*> described_options(const CLI::App& command) {
  std::vector<const CLI::Option*> options;
  for (const CLI::Option* option : command.get_options()) {
    if (option != command.get_help_ptr()) options.push_back(option);
  }
  return options;
}

// For example "-o, --output PATH" or "MODEL".
std::string usage_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  const std::string value = option.get_items_expected_max() > 0 ? " " + value_of(option) : "";
  return fmt::format("{}{}", fmt::join(names, ", "), value);
}

// For example "segue paper figure".
std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

std::string synopsis_of(const CLI::App& command) {
  std::string text = full_name(command);
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    const std::string name =
        option->get_name(true) + (option->get_items_expected_max() > 1 ? "..." : "");
    text += option->get_required() ? " " + name : " [" + name + "]";
  }
  return text + " [OPTIONS]";
}

// Escapes text for roff: a dot or a quote at the start of a line would be a request, a backslash an
// escape, and a plain hyphen may be printed as a dash.
std::string roff(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  return result.starts_with('.') || result.starts_with('\'') ? "\\&" + result : result;
}

std::string roff_commands(const CLI::App& app) {
  std::string text = ".SH COMMANDS\n";
  for (const CLI::App* command : described_commands(app)) {
    text += fmt::format(".SS \"{}\"\n{}.\n", roff(synopsis_of(*command)),
                        roff(command->get_description()));
    for (const CLI::Option* option : described_options(*command)) {
      text +=
          fmt::format(".TP\n.B {}\n{}\n", roff(usage_of(*option)), roff(option->get_description()));
    }
  }
  return text;
}

std::string roff_manual(const CLI::App& app) {
  std::string text = fmt::format(
      ".TH SEGUE 1 \"\" \"segue {}\" \"User Commands\"\n.SH NAME\nsegue \\- balanced CNN segments "
      "for several Edge TPUs\n.SH SYNOPSIS\n.B segue\n.I COMMAND\n[OPTIONS]\n.SH DESCRIPTION\n"
      "{}\n.PP\n{}\n",
      kVersion, roff(app.get_description()), roff(kModel));
  text += roff_commands(app);
  text += ".SH EXAMPLES\n";
  for (const auto& [command, meaning] : kExamples)
    text += fmt::format(".TP\n.B {}\n{}\n", roff(command), roff(meaning));
  text += ".SH ENVIRONMENT\n";
  for (const auto& [name, meaning] : kVariables)
    text += fmt::format(".TP\n.B {}\n{}\n", name, roff(meaning));
  return text + ".SH EXIT STATUS\n" + roff(exit_statuses()) + "\n";
}

// Marks names of commands and options as code. Escapes characters that Markdown would read as
// markup.
std::string markdown(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("<*_|\\").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

std::string markdown_manual(const CLI::App& app) {
  std::string text =
      fmt::format("# Commands\n\n{}\n\n{}\n", markdown(app.get_description()), markdown(kModel));
  for (const CLI::App* command : described_commands(app)) {
    text += fmt::format("\n## {}\n\n{}.\n\n```\n{}\n```\n\n| | |\n|---|---|\n", full_name(*command),
                        markdown(command->get_description()), synopsis_of(*command));
    for (const CLI::Option* option : described_options(*command)) {
      text +=
          fmt::format("| `{}` | {} |\n", usage_of(*option), markdown(option->get_description()));
    }
  }
  text += "\n## Environment\n\n| | |\n|---|---|\n";
  for (const auto& [name, meaning] : kVariables)
    text += fmt::format("| `{}` | {} |\n", name, markdown(meaning));
  return text + "\n## Exit status\n\n" + markdown(exit_statuses()) + "\n";
}

}  // namespace

std::string value_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  // The parser describes choices as TEXT:{a,b}.
  const std::size_t brace = type.find('{');
  return brace == std::string::npos ? type.substr(0, type.find(':')) : type.substr(brace);
}

void add_manual(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("manual", "Print the man page, for example for `segue manual | man -l -`");
  auto as_markdown = std::make_shared<bool>(false);
  command->add_flag("--markdown", *as_markdown, "Print Markdown instead of a man page");
  command->callback(
      [&app, as_markdown] { print(*as_markdown ? markdown_manual(app) : roff_manual(app)); });
}

}  // namespace segue::cli
