// Commands that are written in Python, because Python has well-maintained libraries for their
// protocols.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "cli/commands.h"
#include "segue/error.h"

namespace segue::cli {
namespace {

// Replaces this program. Returns if the program cannot be started.
void replace_by(std::vector<std::string> words, const std::vector<std::string>& arguments) {
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
}

// Runs the module segue.NAME, or says what is missing.
std::string start_of(const std::string& name) {
  return fmt::format(
      "import runpy, sys\n"
      "try:\n"
      "  import segue._segue\n"
      "except ImportError as error:\n"
      "  sys.exit(f\"segue {0}: error: Segue's Python module cannot be used by {{sys.executable}} "
      "\"\n"
      "    f'({{error}}); install its wheel there with the extra [{0}] (docs/{0}.md)')\n"
      "runpy.run_module('segue.{0}', run_name='__main__', alter_sys=True)\n",
      name);
}

// `segue NAME` starts segue-NAME, or else the module segue.NAME, with all further words.
void add_python_command(CLI::App& app, const std::string& name, const std::string& description) {
  CLI::App* command = app.add_subcommand(
      name, fmt::format("{} (needs Segue's Python wheel with its extra [{}]; `segue {} --help` "
                        "lists the options)",
                        description, name, name));
  command->set_help_flag();
  command->prefix_command();
  command->callback([command, name] {
    const std::vector<std::string> arguments = command->remaining();
    replace_by({"segue-" + name}, arguments);
    replace_by({"python3", "-c", start_of(name)}, arguments);
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot start python3 ({}); this command is part of Segue's Python "
                            "wheel, with its extra [{}] (docs/{}.md)",
                            name, std::generic_category().message(errno), name, name));
  });
}

}  // namespace

void add_serve(CLI::App& app) {
  add_python_command(app, "serve",
                     "Serve a pipeline over HTTP and ZeroMQ: Open Inference Protocol v2, "
                     "DeepStack, Frigate");
}

void add_cluster(CLI::App& app) {
  add_python_command(app, "cluster", "Run pipelines and sweeps on the hosts of a Ray cluster");
}

}  // namespace segue::cli
