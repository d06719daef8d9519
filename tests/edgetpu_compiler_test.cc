// Tests running Google's compiler: its logs, its failures, and a stand-in for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "base/internal/process/process.h"
#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/error.h"
#include "segue/graph.h"
#include "segue/toolchain.h"
#include "stand_in.h"

namespace segue {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModelBuilder;
using testing::ScratchFolder;
using testing::stand_in_compiler;
using testing::TensorIndex;

using FailureKind = CompilerFailure::Kind;

// --- programs

ProcessResult run_shell(const std::string& script, Nanoseconds timeout = seconds(20)) {
  const std::vector<std::string> command{"sh", "-c", script};
  return run_process(command, "/", timeout);
}

TEST(Process, OutputMergesBothStreamsInOrder) {
  const ProcessResult result = run_shell("echo one; echo two >&2; pwd; exit 3");
  EXPECT_EQ(result.output, "one\ntwo\n/\n");
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(result.end(), "exit status 3");
  EXPECT_FALSE(result.succeeded());
  EXPECT_TRUE(run_shell("cat").succeeded()) << "its standard input is empty";
}

TEST(Process, EndNamesSignal) {
  EXPECT_EQ(run_shell("kill -SEGV $$").end(), "signal 11 (Segmentation fault)");
}

TEST(Process, TimeoutKillsChildrenToo) {
  const ScratchFolder scratch;
  const std::string mark = (scratch.path() / "late").string();
  const auto begin = std::chrono::steady_clock::now();
  const ProcessResult result =
      run_shell("(sleep 1; touch " + mark + ") & echo begun; sleep 100", milliseconds(600));
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.output, "begun\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(30));
  std::this_thread::sleep_for(milliseconds(1300));
  EXPECT_FALSE(std::filesystem::exists(mark)) << "what it had started went on";
}

TEST(Process, OpenOutputOfChildDoesNotDelayExit) {
  const auto begin = std::chrono::steady_clock::now();
  const ProcessResult result = run_shell("sleep 30 & echo done");
  EXPECT_TRUE(result.succeeded());
  EXPECT_EQ(result.output, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
}

TEST(Process, TimeoutCoversClosedOutput) {
  EXPECT_TRUE(run_shell("exec >&- 2>&-; sleep 30", milliseconds(300)).timed_out);
}

TEST(Process, IgnoredSigchldIsRefused) {
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  expect_error(ErrorCode::kIo, [] { (void)run_shell("exit 1"); }, {"SIGCHLD"});
  std::signal(SIGCHLD, before);
  EXPECT_EQ(run_shell("exit 1").exit_status, 1);
}

TEST(Process, MissingProgramIsNamed) {
  const std::vector<std::string> command{"no-such-program"};
  expect_error(ErrorCode::kCompiler, [&] { (void)run_process(command, "/", seconds(1)); },
               {"no-such-program", "No such file"});
}

TEST(Process, EndlessOutputIsTruncated) {
  const ProcessResult result = run_shell("echo first; yes; ", milliseconds(800));
  EXPECT_TRUE(result.timed_out);
  EXPECT_THAT(result.output, HasSubstr("first\ny\n"));
  EXPECT_LT(result.output.size(), std::size_t{4} << 20U);
}

// --- logs

constexpr const char* kLog = R"(Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 1108 ms.

Input model: m.tflite
Input size: 3.89MiB
Output model: m_edgetpu.tflite
Output size: 4.07MiB
On-chip memory used for caching model parameters: 3.33MiB
On-chip memory remaining for caching model parameters: 960.50KiB
Off-chip memory used for streaming uncached model parameters: 128.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 66
Operation log: m_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU.

Operator                       Count      Status

CONV_2D                        36         Mapped to Edge TPU
ADD                            10         Mapped to Edge TPU
SOFTMAX                        1          Operation is otherwise supported, but not mapped due to some unspecified limitation
CUSTOM                         2          Operation is working on an unsupported data type
Compilation child process completed within timeout period.
Compilation succeeded!
)";

TEST(CompilerLog, UnitsAndRowsAreParsed) {
  const CompilerLog log = parse_compiler_log(kLog);
  EXPECT_EQ(log.version, "16.0.384591198");
  EXPECT_EQ(log.on_chip_bytes, 3491758U);  // 3.33 * 2^20, rounded
  EXPECT_EQ(log.remaining_bytes, 983552U);
  EXPECT_EQ(log.host_bytes, 128U);
  EXPECT_EQ(log.subgraphs, 1U);
  EXPECT_EQ(log.operation_count, 66U);
  ASSERT_EQ(log.operations.size(), 4U);
  EXPECT_EQ(log.operations[0].name, "CONV_2D");
  EXPECT_EQ(log.operations[0].count, 36U);
  EXPECT_TRUE(log.operations[1].is_mapped());
  EXPECT_THAT(log.operations[2].status, HasSubstr("unspecified limitation"));
  EXPECT_EQ(log.unmapped_count(), 3U);
}

TEST(CompilerLog, BadMemoryLinesAreRefused) {
  expect_error(ErrorCode::kCompiler, [] { (void)parse_compiler_log("hello\n"); },
               {"On-chip memory used", "missing"});
  const std::string log = kLog;
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"3.33MiB", "3.33MB"},
                                                        {"3.33MiB", "lots"},
                                                        {"3.33MiB", "-1MiB"},
                                                        {"3.33MiB", "nanB"},
                                                        {"3.33MiB", "1e300MiB"},
                                                        {"128.00B", "99999999999GiB"},
                                                        {"operations: 66", "operations: x"}}) {
    std::string changed = log;
    changed.replace(changed.find(from), from.size(), to);
    EXPECT_THROW((void)parse_compiler_log(changed), Error) << to;
  }
}

TEST(CompilerLog, TruncationsParseOrThrowCompilerError) {
  const std::string log = kLog;
  for (std::size_t size = 0; size <= log.size(); ++size) {
    try {
      (void)parse_compiler_log(log.substr(0, size));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCompiler);
    }
  }
}

// --- the stand-in

// Makes a model of CONV_2D, ADD, RELU, CONCATENATION and FULLY_CONNECTED.
Model five_kinds() {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4, 4, 8});
  const TensorIndex conv = b.conv(x, "conv", 8);
  const TensorIndex sum = b.add(x, conv, "sum");
  const TensorIndex relu = b.relu(sum, "relu");
  const TensorIndex both = b.concat({sum, relu}, "both");
  b.output(b.conv(both, "last", 4));
  return b.build("m:odd -name");
}

Compilation compile(const Model& model, const std::filesystem::path& folder,
                    const EdgeTpuCompilerOptions& options) {
  const std::span<const std::byte> bytes = model.bytes();
  return compile_for_edgetpu(std::span(&bytes, 1), model.name(), folder, options);
}

TEST(EdgeTpuCompiler, SuccessGivesFileLogAndTranscript) {
  const ScratchFolder scratch;
  const Model model = five_kinds();
  const Compilation compilation = compile(model, scratch.path(), stand_in_compiler());
  ASSERT_TRUE(compilation.succeeded()) << compilation.failure->message;
  EXPECT_EQ(compilation.attempts, 1U);
  const Model compiled = parse_model(compilation.compiled, "compiled");
  EXPECT_EQ(compiled.operators()[0].name, "edgetpu-custom-op");
  const Graph graph(model);
  const MemoryReport simulated = make_simulated_compiler(find_device("edgetpu-pcie"))
                                     ->compile(graph, testing::operators(0, 4));
  EXPECT_NEAR(static_cast<double>(compilation.log->on_chip_bytes),
              static_cast<double>(simulated.on_chip_bytes), 6);  // two decimals of a KiB
  EXPECT_EQ(compilation.log->operation_count, 5U);
  EXPECT_THAT(compilation.transcript, HasSubstr("Compilation succeeded!"));
  EXPECT_THAT(compilation.transcript, HasSubstr("m_odd_-name.tflite")) << "names it can take";
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(EdgeTpuCompiler, OnlyTransientFailuresAreRetried) {
  const ScratchFolder scratch;
  const std::string mark = (scratch.path() / "mark").string();
  const Compilation flaky = compile(five_kinds(), scratch.path(),
                                    stand_in_compiler({"fault=internal", "passes_after=" + mark}));
  EXPECT_TRUE(flaky.succeeded());
  EXPECT_EQ(flaky.attempts, 2U);
  EXPECT_THAT(flaky.transcript, HasSubstr("Internal compiler error"));
  const Compilation internal =
      compile(five_kinds(), scratch.path(), stand_in_compiler({"fault=internal"}));
  EXPECT_EQ(internal.failure->kind, FailureKind::kInternal);
  EXPECT_EQ(internal.attempts, 3U);
  EXPECT_EQ(compile(five_kinds(), scratch.path(), stand_in_compiler({"fault=large"})).attempts, 1U);
}

TEST(EdgeTpuCompiler, ChangedInputsOrOutputsAreAFailure) {
  const ScratchFolder scratch;
  for (const std::string what : {"inputs", "outputs"}) {
    const Compilation compilation =
        compile(five_kinds(), scratch.path(), stand_in_compiler({"fault=more_" + what}));
    ASSERT_FALSE(compilation.succeeded()) << what;
    EXPECT_THAT(compilation.failure->message, HasSubstr("other " + what + " than the segment"));
  }
}

TEST(EdgeTpuCompiler, HangsAndCrashesAreClassified) {
  const ScratchFolder scratch;
  const auto failure = [&](const std::string& fault, Nanoseconds timeout = seconds(60)) {
    EdgeTpuCompilerOptions options = stand_in_compiler({"fault=" + fault});
    options.timeout = timeout;
    options.attempts = 1;
    return compile(five_kinds(), scratch.path(), options).failure.value();
  };
  EXPECT_EQ(failure("hang", milliseconds(300)).kind, FailureKind::kTimeout);
  EXPECT_EQ(failure("crash").kind, FailureKind::kCrash);
  EXPECT_EQ(failure("silent").kind, FailureKind::kSilent);
  EXPECT_EQ(failure("flood", milliseconds(300)).kind, FailureKind::kTimeout);
  EXPECT_THAT(failure("no_log").message, HasSubstr("On-chip memory used"));
  EXPECT_THAT(failure("no_file").message, HasSubstr("wrote no file"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(EdgeTpuCompiler, MissingProgramExplainsInstallation) {
  const ScratchFolder scratch;
  EdgeTpuCompilerOptions options;
  options.command = {"/no/such/edgetpu_compiler"};
  expect_error(ErrorCode::kCompiler, [&] { (void)compile(five_kinds(), scratch.path(), options); },
               {"/no/such/edgetpu_compiler", "x86-64", "--compiler-cmd"});
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

std::vector<std::size_t> culprit_of(const std::string& fault) {
  const ScratchFolder scratch;
  EdgeTpuCompilerOptions options = stand_in_compiler({"fault=" + fault});
  options.attempts = 1;
  std::vector<std::size_t> positions;
  if (const auto culprit = find_culprit(five_kinds(), scratch.path(), options)) {
    for (const OperatorId id : culprit->operators) positions.push_back(index(id));
    EXPECT_LE(culprit->compilations, 9U);
  }
  return positions;
}

TEST(EdgeTpuCompiler, CulpritIsOneOperatorOrShortestRun) {
  EXPECT_THAT(culprit_of("large:ADD"), ElementsAre(1));
  EXPECT_THAT(culprit_of("internal:CONCATENATION"), ElementsAre(3));
  EXPECT_THAT(culprit_of("large:CONV_2D"), ElementsAre(0)) << "the first of two";
  EXPECT_THAT(culprit_of("internal:ADD+CONCATENATION"), ElementsAre(1, 2, 3));
  EXPECT_THAT(culprit_of("internal:SOFTMAX"), IsEmpty());
}

// Wraps the stand-in in a shell script, like Google's; only its exit status shows a crash.
EdgeTpuCompilerOptions behind_shell(const std::string& fault) {
  EdgeTpuCompilerOptions options;
  options.command = {
      "sh", "-c", "\"$@\" 2>/dev/null; exit $?", "sh", SEGUE_TEST_COMPILER, "fault=" + fault};
  return options;
}

class FaultKind : public ::testing::TestWithParam<std::pair<const char*, FailureKind>> {};

TEST_P(FaultKind, CulpritOperatorIsFound) {
  const ScratchFolder scratch;
  const std::string fault = std::string(GetParam().first) + ":CONCATENATION";
  EdgeTpuCompilerOptions options = behind_shell(fault);
  options.attempts = 1;
  const auto culprit = find_culprit(five_kinds(), scratch.path(), options);
  ASSERT_TRUE(culprit.has_value());
  EXPECT_EQ(culprit->failure.kind, GetParam().second);
  EXPECT_THAT(culprit->operators, ElementsAre(operator_id(3)));
  EXPECT_FALSE(culprit->whatever_fails);
}

TEST_P(FaultKind, OnlyTransientKindsAreRetried) {
  const ScratchFolder scratch;
  EdgeTpuCompilerOptions options = behind_shell(GetParam().first);
  options.command.push_back("passes_after=" + (scratch.path() / "mark").string());
  const Compilation compilation = compile(five_kinds(), scratch.path(), options);
  const bool is_retried = GetParam().second != FailureKind::kTimeout &&
                          GetParam().second != FailureKind::kLargeActivations &&
                          GetParam().second != FailureKind::kInterpreter;
  EXPECT_EQ(compilation.succeeded(), is_retried);
  EXPECT_EQ(compilation.attempts, is_retried ? 2U : 1U);
}

INSTANTIATE_TEST_SUITE_P(All, FaultKind,
                         ::testing::Values(std::pair{"crash", FailureKind::kCrash},
                                           std::pair{"exception", FailureKind::kException},
                                           std::pair{"internal", FailureKind::kInternal},
                                           std::pair{"internal16", FailureKind::kInternal},
                                           std::pair{"timeout", FailureKind::kTimeout},
                                           std::pair{"failed", FailureKind::kSilent},
                                           std::pair{"silent", FailureKind::kSilent},
                                           std::pair{"large", FailureKind::kLargeActivations},
                                           std::pair{"interpreter", FailureKind::kInterpreter}),
                         [](const auto& fault) { return std::string(fault.param.first); });

TEST(EdgeTpuCompiler, FailureOfAnyModelHasNoCulprit) {
  const ScratchFolder scratch;
  const auto culprit =
      find_culprit(five_kinds(), scratch.path(), stand_in_compiler({"fault=large"}));
  EXPECT_TRUE(culprit->whatever_fails);
}

TEST(EdgeTpuCompiler, OptionsArePassedToCommand) {
  const ScratchFolder scratch;
  EdgeTpuCompilerOptions options = stand_in_compiler();
  options.timeout = milliseconds(90'500);
  options.min_runtime_version = 13;
  options.delegate_search_step = 4;
  EXPECT_THAT(compile(five_kinds(), scratch.path(), options).transcript,
              HasSubstr(" --timeout_sec 91 --min_runtime_version 13 --search_delegate "
                        "--delegate_search_step 4 "));
  options.command = {"/usr/bin/ssh", "box", "edgetpu_compiler"};
  const auto odd = scratch.path() / "my models";
  std::filesystem::create_directory(odd);
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)compile(five_kinds(), odd, options); },
               {"my models", "ssh"});
}

TEST(EdgeTpuCompiler, OracleCompilesEachSegmentOnce) {
  const ScratchFolder scratch;
  const Model model = five_kinds();
  const Graph graph(model);
  const std::string runs = (scratch.path() / "runs").string();
  std::ofstream(scratch.path() / "count.sh")
      << "echo x >> " << runs << "; exec " << SEGUE_TEST_COMPILER << " \"$@\"\n";
  EdgeTpuCompilerOptions options;
  options.command = {"sh", (scratch.path() / "count.sh").string()};
  const auto oracle = make_edgetpu_compiler(scratch.path(), options);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (std::uint32_t last = 0; last < 2; ++last)
          EXPECT_GT(oracle->totals(graph, testing::operators(0, last)).on_chip_bytes, 0U);
      });
    }
  }
  EXPECT_EQ(std::filesystem::file_size(runs), 4U) << "two segments, a line of two bytes each";
  const auto failing =
      make_edgetpu_compiler(scratch.path(), stand_in_compiler({"fault=large:ADD"}));
  expect_error(ErrorCode::kCompiler,
               [&] { (void)failing->totals(graph, testing::operators(0, 1)); },
               {"conv", "large activation", "smaller input"});
}

}  // namespace
}  // namespace segue
