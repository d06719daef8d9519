#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <sstream>

#include "cli/commands.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"
#include "segue/toolchain.h"
#include "segue/units.h"
#include "segue/version.h"

namespace segue::cli {
namespace {

constexpr int kInternal = 1;
constexpr int kUsage = 2;
constexpr const char* kNotWritten = "cannot write to standard output";

int exit_status(ErrorCode code) {
  constexpr int kModel = 3;
  constexpr int kInfeasible = 4;
  constexpr int kCompiler = 5;
  constexpr int kDevice = 6;
  constexpr int kMismatch = 7;
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return kUsage;
    case ErrorCode::kInvalidModel:
    case ErrorCode::kUnsupported:
      return kModel;
    case ErrorCode::kInfeasible:
      return kInfeasible;
    case ErrorCode::kCompiler:
      return kCompiler;
    case ErrorCode::kDevice:
      return kDevice;
    case ErrorCode::kMismatch:
      return kMismatch;
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
    case ErrorCode::kStopped:
      return kInternal;
  }
  return kInternal;
}

void complain(const char* kind, const std::string& message) {
  constexpr std::size_t kLongestMessage = 4000;
  std::fputs(("segue: " + std::string(kind) + printable(message, kLongestMessage) + "\n").c_str(),
             stderr);
}

int fail(int status, const std::string& message) {
  complain("error: ", message);
  return status;
}

// Throws if the first word is not a command. The parser would only call it unexpected.
void require_known_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || *argv[1] == '-') return;
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands(nullptr)) known.push_back(command->get_name());
  if (std::ranges::find(known, argv[1]) != known.end()) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown command '{}'{}; `segue --help` lists all commands", argv[1],
                          did_you_mean(argv[1], known)));
}

// Removes temporary files, then raises the signal again with the default action, so that a shell
// sees the usual status. SA_RESETHAND has restored the default action by then.
extern "C" void clean_up(int signal) {
  stop_compilers();
  remove_staged_files();
  std::raise(signal);
}

// Installs a handler. An ignored signal stays ignored, because `nohup` relies on it.
void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  ::sigaction(signal, nullptr, &action);
  if (action.sa_handler == SIG_IGN) return;
  action = {};
  action.sa_handler = handler;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  ::sigaction(signal, &action, nullptr);
}

void clean_up_when_interrupted() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) handle(signal, clean_up);
}

std::atomic<bool> interrupted{false};

extern "C" void take_note(int signal) {
  interrupted = true;
  handle(signal, clean_up);
}

// Checks the values of options before a command begins.
void check_values_of_all(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands(nullptr)) {
    command->parse_complete_callback([command] { check_values(*command); });
    check_values_of_all(*command);
  }
}

// Prints the text of --help or --version.
int help(const CLI::App& app, const CLI::ParseError& error) {
  try {
    std::ostringstream text;
    (void)app.exit(error, text, text);
    print_text(text.str());
    return 0;
  } catch (const Error& failure) {
    return fail(exit_status(failure.code()), failure.what());
  }
}

int run(int argc, char** argv) {
  CLI::App app("Partitions quantized CNNs into balanced segments for several Edge TPUs.", "segue");
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  app.footer("Exit status: " + exit_statuses());
  add_zoo(app);
  add_inspect(app);
  add_plan(app);
  add_split(app);
  add_verify(app);
  add_compile(app);
  add_run(app);
  add_devices(app);
  add_calibrate(app);
  add_serve(app);
  add_cluster(app);
  add_simulate(app);
  add_compare(app);
  add_sweep(app);
  add_merge(app);
  add_report(app);
  add_paper(app);
  add_manual(app);
  add_completion(app);
  check_values_of_all(app);
  try {
    require_known_command(app, argc, argv);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return help(app, error);
    return fail(kUsage,
                std::string(error.what()) + "; see `segue --help` and `segue COMMAND --help`");
  } catch (const ExitStatus& status) {
    return status.status;
  } catch (const Error& error) {
    return fail(exit_status(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(kInternal, "out of memory");
  } catch (const std::exception& error) {
    return fail(kInternal, error.what());
  }
  return 0;
}

}  // namespace

std::string exit_statuses() {
  return "0 ok, 1 internal or file error, 2 usage, 3 model invalid or unsupported, 4 no feasible "
         "plan,\n"
         "5 compiler missing or failed, 6 runtime or device missing or failed, 7 verification "
         "mismatch,\n"
         "130 run interrupted.";
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorCode::kIo, kNotWritten);
  }
}

std::size_t text_width() {
  constexpr std::size_t kNarrowest = 40;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return std::max<std::size_t>(size.ws_col, kNarrowest);
  const char* const columns = std::getenv("COLUMNS");
  const long count = columns == nullptr ? 0 : std::strtol(columns, nullptr, 10);
  return count > 0 ? std::max(static_cast<std::size_t>(count), kNarrowest) : kTextWidth;
}

void print_text(const std::string& text) { print(wrapped(text, text_width())); }

void print_note(const std::string& text) { complain("note: ", text); }

const std::atomic<bool>& first_interrupt() {
  for (const int signal : {SIGINT, SIGTERM}) handle(signal, take_note);
  return interrupted;
}

}  // namespace segue::cli

// Only a lack of memory while an error is reported could throw here.
// NOLINTNEXTLINE(bugprone-exception-escape)
int main(int argc, char** argv) {
  // If a file exceeds the size limit, the write must fail with an error instead of ending the
  // program.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // inherited SIG_IGN would hide the exit status of a compiler
  segue::cli::clean_up_when_interrupted();
  return segue::cli::run(argc, argv);
}
