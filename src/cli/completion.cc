// What shells need to complete commands, options, choices and names of the built-in networks.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "cli/commands.h"
#include "cli/manual.h"
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

// Of an option with choices, "a b c"; else nothing.
std::string choices_of(const CLI::Option& option) {
  std::string value = value_of(option);
  if (!value.starts_with('{')) return "";
  value = value.substr(1, value.find('}') - 1);
  for (char& c : value) {
    if (c == ',') c = ' ';
  }
  return value;
}

// With the prefix before each, blanks between.
std::string network_names(const std::string& prefix) {
  std::vector<std::string> names;
  for (const ZooEntry& entry : zoo_catalogue()) names.push_back(prefix + entry.name);
  return fmt::format("{}", fmt::join(names, " "));
}

// For shells, text between single quotes.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string bash_script(const CLI::App& app) {
  std::string options;
  std::string choices;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    const std::string& name = command->get_name();
    names.push_back(name);
    options += fmt::format("    {}) words='{}' ;;\n", name, fmt::join(option_names(*command), " "));
    for (const CLI::Option* option : command->get_options()) {
      const std::string values = choices_of(*option);
      if (values.empty() || option->get_lnames().empty()) continue;
      choices += fmt::format("    {}:--{}) words='{}' ;;\n", name, option->get_lnames()[0], values);
    }
  }
  return fmt::format(
      R"(# bash completion for segue
_segue() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=''
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
  case "${{COMP_WORDS[1]}}:$before" in
{choices}  esac
  if [ -n "$words" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{options}  esac
  case "$current" in
    -*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$current"; compgen -W 'zoo:' -- "$current") ;;
  esac
  # The name of a network follows.
  if [ "${{COMPREPLY[*]}}" = zoo: ]; then compopt -o nospace 2>/dev/null; fi
}}
complete -o filenames -F _segue segue
)",
      fmt::arg("commands", fmt::join(names, " ")), fmt::arg("choices", choices),
      fmt::arg("options", options), fmt::arg("networks", network_names("")));
}

// Inside the brackets of zsh's _arguments, a bracket or a colon would end the description.
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string zsh_arguments(const CLI::App& command) {
  std::string text;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_lnames().empty()) continue;
    const std::string values = choices_of(*option);
    std::string value;
    if (option->get_items_expected_max() > 0)
      value = values.empty() ? ":value:_files" : ":value:(" + values + ")";
    for (const std::string& name : option->get_lnames()) {
      text += fmt::format(
          " \\\n        {}",
          quoted(fmt::format("--{}[{}]{}", name, zsh_text(option->get_description()), value)));
    }
  }
  return text + " \\\n        '*:file:_segue_models'";
}

std::string zsh_script(const CLI::App& app) {
  std::string commands;
  std::string cases;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    commands += "    " + quoted(command->get_name() + ":" + command->get_description()) + "\n";
    cases += fmt::format("    {})\n      _arguments{} ;;\n", command->get_name(),
                         zsh_arguments(*command));
  }
  return fmt::format(
      "#compdef segue\n"
      "_segue_models() {{\n  compadd -- {}\n  _files\n}}\n"
      "_segue() {{\n  local -a commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n"
      "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n"
      "  case $command in\n{}  esac\n}}\n_segue \"$@\"\n",
      network_names("zoo:"), commands, cases);
}

std::string fish_script(const CLI::App& app) {
  std::string text = fmt::format(
      "# fish completion for segue\ncomplete -c segue -n "
      "'not __fish_use_subcommand' -a '{}'\n",
      network_names("zoo:"));
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    const std::string& name = command->get_name();
    text += fmt::format("complete -c segue -f -n __fish_use_subcommand -a {} -d {}\n", name,
                        quoted(command->get_description()));
    for (const CLI::Option* option : command->get_options()) {
      if (option->get_lnames().empty()) continue;
      const std::string values = choices_of(*option);
      text += fmt::format("complete -c segue -n '__fish_seen_subcommand_from {}' -l {}{}{} -d {}\n",
                          name, option->get_lnames()[0],
                          option->get_snames().empty() ? "" : " -s " + option->get_snames()[0],
                          option->get_items_expected_max() == 0 ? ""
                          : values.empty()                      ? " -r"
                                                                : " -x -a '" + values + "'",
                          quoted(option->get_description()));
    }
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
