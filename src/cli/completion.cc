// What shells need to complete commands, options, choices, and names of devices and networks.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>

#include "cli/commands.h"
#include "cli/manual.h"
#include "segue/device.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

// Whether the values of the option are devices: names from the catalogue, or files.
bool names_devices(const CLI::Option& option) {
  constexpr std::array kOfDevices{"--device", "--devices", "--base"};
  return std::ranges::find(kOfDevices, option.get_name()) != kOfDevices.end();
}

// Returns the choices of an option separated by blanks, or the names of the catalogue if it takes a
// device, or an empty text.
std::string choices_of(const CLI::Option& option) {
  if (names_devices(option)) {
    std::vector<std::string> names;
    for (const DeviceSpec& device : device_catalogue()) names.push_back(device.name);
    return fmt::format("{}", fmt::join(names, " "));
  }
  std::string value = value_of(option);
  if (!value.starts_with('{')) return "";
  value = value.substr(1, value.find('}') - 1);
  for (char& c : value) {
    if (c == ',') c = ' ';
  }
  return value;
}

// Returns all networks of the zoo separated by blanks, each with the prefix.
std::string network_names(const std::string& prefix) {
  std::vector<std::string> names;
  for (const ZooEntry& entry : zoo_catalogue()) names.push_back(prefix + entry.name);
  return fmt::format("{}", fmt::join(names, " "));
}

// Quotes a text for shells with single quotes.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// Returns the words that may follow a command besides options: inner commands, choices of its
// arguments, or networks for `segue zoo`.
std::string words_behind(const CLI::App& command) {
  std::vector<std::string> words;
  for (const CLI::App* inner : command.get_subcommands(nullptr)) words.push_back(inner->get_name());
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    if (std::string choices = choices_of(*option); !choices.empty()) words.push_back(choices);
  }
  if (command.get_name() == "zoo") words.push_back(network_names(""));
  return fmt::format("{}", fmt::join(words, " "));
}

// Adds the cases of a command and of its inner commands: choices for `path:option`, options and
// words for `path`.
void add_bash_cases(const CLI::App& command, const std::string& path, std::string& choices,
                    std::string& options) {
  options += fmt::format("    '{}') options='{}' words='{}' ;;\n", path,
                         fmt::join(option_names(command), " "), words_behind(command));
  for (const CLI::Option* option : command.get_options()) {
    const std::string values = choices_of(*option);
    if (values.empty() || option->get_lnames().empty()) continue;
    choices += fmt::format("    '{}:--{}') words='{}'{} ;;\n", path, option->get_lnames()[0],
                           values, names_devices(*option) ? " files=yes" : "");
  }
  for (const CLI::App* inner : command.get_subcommands(nullptr))
    add_bash_cases(*inner, path + " " + inner->get_name(), choices, options);
}

std::string bash_script(const CLI::App& app) {
  std::string options;
  std::string choices;
  std::vector<std::string> names;
  std::vector<std::string> outer;  // commands with inner ones
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    names.push_back(command->get_name());
    add_bash_cases(*command, command->get_name(), choices, options);
    if (!command->get_subcommands(nullptr).empty()) outer.push_back(command->get_name());
  }
  return fmt::format(
      R"(# bash completion for segue
_segue() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
  local words='' options='' files='' path=${{COMP_WORDS[1]}}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W '{commands} --help --version' -- "$current")
    return
  fi
  # bash splits zoo:NAME at its colon.
  if [ "$before" = zoo ] && [ "$current" = : ]; then current=''; before=:; fi
  if [ "$before" = : ] && [ "${{COMP_WORDS[COMP_CWORD-2]}}" = zoo ] || [ "$current" = : ]; then
    mapfile -t COMPREPLY < <(compgen -W '{networks}' -- "$current")
    return
  fi
  case " {outer} " in
    *" $path "*) if [ "$COMP_CWORD" -gt 2 ]; then path+=" ${{COMP_WORDS[2]}}"; fi ;;
  esac
  case "$path:$before" in
{choices}  esac
  if [ -n "$words" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"
                             if [ -n "$files" ]; then compgen -f -- "$current"; fi)
    return
  fi
  case "$path" in
{options}  esac
  case "$current" in
    -*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current") ;;
    *) if [ -n "$words" ] && [[ "$before" != -* ]]; then
         mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
       else
         mapfile -t COMPREPLY < <(compgen -f -- "$current"; compgen -W 'zoo:' -- "$current")
       fi ;;
  esac
  # The name of a network follows.
  if [ "${{COMPREPLY[*]}}" = zoo: ]; then compopt -o nospace 2>/dev/null; fi
}}
complete -o filenames -F _segue segue
)",
      fmt::arg("commands", fmt::join(names, " ")), fmt::arg("choices", choices),
      fmt::arg("outer", fmt::join(outer, " ")), fmt::arg("options", options),
      fmt::arg("networks", network_names("")));
}

// Escapes a description for zsh's _arguments, where a bracket or a colon would end it.
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string zsh_value(const CLI::Option& option) {
  const std::string values = choices_of(option);
  if (option.get_items_expected_max() == 0) return "";
  if (names_devices(option)) return ":device:_segue_devices";
  return values.empty() ? ":value:_files" : ":value:(" + values + ")";
}

std::string zsh_arguments(const CLI::App& command) {
  std::string text = "_arguments";
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      text += fmt::format(" \\\n        {}", quoted(fmt::format("--{}[{}]{}", name,
                                                                zsh_text(option->get_description()),
                                                                zsh_value(*option))));
    }
  }
  const std::string words = words_behind(command);
  return text + " \\\n        " +
         (words.empty() ? "'*:file:_segue_models'" : quoted("*:word:(" + words + ")"));
}

// Returns the zsh code that completes a command. Each inner command has a case.
std::string zsh_case(const CLI::App& command) {
  std::string inner;
  for (const CLI::App* one : command.get_subcommands(nullptr))
    inner += fmt::format("{}) shift words; (( CURRENT-- )); {} ;;\n      ", one->get_name(),
                         zsh_arguments(*one));
  const std::string own = zsh_arguments(command);
  if (inner.empty()) return own;
  return fmt::format(
      "if (( CURRENT == 2 )); then\n      {}\n      else case $words[2] in\n      {}esac; fi", own,
      inner);
}

std::string zsh_script(const CLI::App& app) {
  std::string commands;
  std::string cases;
  std::vector<std::string> devices;
  for (const DeviceSpec& device : device_catalogue()) devices.push_back(device.name);
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    commands += "    " + quoted(command->get_name() + ":" + command->get_description()) + "\n";
    cases += fmt::format("    {})\n      {} ;;\n", command->get_name(), zsh_case(*command));
  }
  return fmt::format(
      "#compdef segue\n"
      "_segue_models() {{\n  compadd -- {}\n  _files\n}}\n"
      "_segue_devices() {{\n  compadd -- {}\n  _files\n}}\n"
      "_segue() {{\n  local -a commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n"
      "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n"
      "  case $command in\n{}  esac\n}}\n_segue \"$@\"\n",
      network_names("zoo:"), fmt::join(devices, " "), commands, cases);
}

std::string fish_value(const CLI::Option& option) {
  const std::string values = choices_of(option);
  if (option.get_items_expected_max() == 0) return "";
  if (values.empty()) return " -r";
  return std::string(names_devices(option) ? " -r" : " -x") + " -a '" + values + "'";
}

// Returns the lines of a command and of its inner commands. `seen` is the condition that the
// command was typed.
std::string fish_lines(const CLI::App& command, const std::string& seen) {
  std::string text;
  std::vector<std::string> inner;
  for (const CLI::App* one : command.get_subcommands(nullptr)) inner.push_back(one->get_name());
  const std::string words = words_behind(command);
  const std::string none = inner.empty() ? ""
                                         : fmt::format("; and not __fish_seen_subcommand_from {}",
                                                       fmt::join(inner, " "));
  text += fmt::format("complete -c segue{} -n '{}{}' -a '{}'\n", words.empty() ? "" : " -f", seen,
                      none, words.empty() ? network_names("zoo:") : words);
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_lnames().empty()) continue;
    text +=
        fmt::format("complete -c segue -n '{}' -l {}{}{} -d {}\n", seen, option->get_lnames()[0],
                    option->get_snames().empty() ? "" : " -s " + option->get_snames()[0],
                    fish_value(*option), quoted(option->get_description()));
  }
  for (const CLI::App* one : command.get_subcommands(nullptr))
    text += fish_lines(*one, seen + "; and __fish_seen_subcommand_from " + one->get_name());
  return text;
}

std::string fish_script(const CLI::App& app) {
  std::string text = "# fish completion for segue\n";
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    text += fmt::format("complete -c segue -f -n __fish_use_subcommand -a {} -d {}\n",
                        command->get_name(), quoted(command->get_description()));
    text += fish_lines(*command, "__fish_seen_subcommand_from " + command->get_name());
  }
  return text;
}

}  // namespace

void add_completion(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "completion",
      "Print a shell completion script, for example for `source <(segue completion bash)`");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, shell] {
    print(*shell == "bash"  ? bash_script(app)
          : *shell == "zsh" ? zsh_script(app)
                            : fish_script(app));
  });
}

}  // namespace segue::cli
