#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

#include "cli/commands.h"
#include "segue/error.h"

namespace segue::cli {
namespace {

// Replaces this program. Returns if the program cannot be started.
void replace_by(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
}

void serve(const std::vector<std::string>& words) {
  for (const std::vector<std::string>& program :
       std::vector<std::vector<std::string>>{{"segue-serve"}, {"python3", "-m", "segue.serve"}}) {
    std::vector<std::string> all = program;
    all.insert(all.end(), words.begin(), words.end());
    replace_by(std::move(all));
  }
  throw Error(ErrorCode::kIo,
              "serve: cannot start python3 (" + std::generic_category().message(errno) +
                  "); the server is part of Segue's Python wheel, with its extra [serve] "
                  "(docs/serve.md)");
}

}  // namespace

// The server is written in Python, where the protocols have well-kept libraries.
void add_serve(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "serve",
      "Serve a pipeline over HTTP and ZeroMQ: Open Inference Protocol v2, DeepStack, Frigate "
      "(needs "
      "Segue's Python wheel with its extra [serve]; `segue serve --help` lists the options)");
  command->set_help_flag();
  command->prefix_command();
  command->callback([command] { serve(command->remaining()); });
}

}  // namespace segue::cli
