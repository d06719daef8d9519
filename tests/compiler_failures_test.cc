// Tests each kind of failure of Google's compiler in each known form: text, exit status of a shell
// around it, signal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/error.h"
#include "segue/toolchain.h"
#include "stand_in.h"

namespace segue {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;
using testing::ModelBuilder;
using testing::ScratchFolder;
using testing::stand_in_compiler;
using testing::TensorIndex;

using FailureKind = CompilerFailure::Kind;

const std::string kVersion = "Edge TPU Compiler version 16.0.384591198\n";
const std::string kStarted = "Started a compilation timeout timer of 180 seconds.\n";
const std::string kFailed =
    "Compilation child process completed within timeout period.\nCompilation failed! \n";

struct Form {
  const char* name;  // KIND_FORM, part of the test's name
  FailureKind kind;
  std::string output;
  std::string end = "exit status 1";
  std::string message = "";  // a part of the message
};

// Returns whether a failure of this kind is retried.
bool passes_at_times(FailureKind kind) {
  return kind == FailureKind::kInternal || kind == FailureKind::kCrash ||
         kind == FailureKind::kException || kind == FailureKind::kSilent;
}
bool has_culprit(FailureKind kind) {
  return passes_at_times(kind) || kind == FailureKind::kTimeout ||
         kind == FailureKind::kLargeActivations || kind == FailureKind::kInterpreter ||
         kind == FailureKind::kDynamicTensors || kind == FailureKind::kInvalidModel ||
         kind == FailureKind::kUnsupportedVersion;
}

const std::vector<Form> kForms{
    {"Crash_Signal", FailureKind::kCrash, "", "signal 11 (Segmentation fault)", "signal 11"},
    {"Crash_Shell139", FailureKind::kCrash, kVersion, "exit status 139",
     "signal 11 (Segmentation fault)"},
    {"Crash_Abort134", FailureKind::kCrash, kVersion, "exit status 134", "signal 6"},
    {"Crash_BusError135", FailureKind::kCrash, "", "exit status 135"},
    {"Crash_IllegalInstruction132", FailureKind::kCrash, "", "exit status 132"},
    {"Crash_Python245", FailureKind::kCrash, kVersion, "exit status 245", "signal 11"},
    {"Crash_WrapperText", FailureKind::kCrash,
     "/usr/bin/edgetpu_compiler: line 3:  7056 Segmentation fault      (core dumped) ${d}/x\n",
     "exit status 1", "line 3:  7056 Segmentation fault"},
    {"Crash_Shell139AfterFailed", FailureKind::kCrash, kVersion + kStarted + kFailed,
     "exit status 139"},
    {"Crash_AbortedText", FailureKind::kCrash, kVersion + "Aborted (core dumped)\r\n"},
    {"Crash_Qemu", FailureKind::kCrash,
     "qemu: uncaught target signal 11 (Segmentation fault) - core dumped\n", "exit status 139"},
    {"Exception_Libcxxabi", FailureKind::kException,
     kVersion + kStarted +
         "libc++abi: terminating with uncaught exception of type std::out_of_range: vector\n" +
         kFailed,
     "exit status 1", "std::out_of_range: vector"},
    {"Exception_NewLibcxxabi", FailureKind::kException,
     "libc++abi: terminating due to uncaught exception of type std::length_error\n",
     "exit status 134"},
    {"Exception_Version2", FailureKind::kException,
     "Edge TPU Compiler version 2.0.267685300\nterminating with uncaught exception of type "
     "std::out_of_range: vector\n\nInternal compiler error. Aborting!\n"},
    {"Exception_Libstdcxx", FailureKind::kException,
     "terminate called after throwing an instance of 'std::logic_error'\n  what():  x\n",
     "signal 6 (Aborted)"},
    {"Internal_Version14", FailureKind::kInternal,
     kVersion + "\nInternal compiler error. Aborting! \n", "exit status 1",
     "Internal compiler error. Aborting!"},
    {"Internal_Version16", FailureKind::kInternal,
     kVersion + kStarted + "Compilation failed: Internal error.\n" + kFailed, "exit status 1",
     "Compilation failed: Internal error."},
    {"Internal_UpperCase", FailureKind::kInternal, kVersion + "INTERNAL COMPILER ERROR...\n"},
    {"Timeout_Version16", FailureKind::kTimeout,
     kVersion + kStarted +
         "Compilation timeout. This is usually caused by large activations.\nCompilation "
         "failed! \n",
     "exit status 1", "Compilation timeout."},
    {"Timeout_Ellipsis", FailureKind::kTimeout, kVersion + kStarted + "Compilation timeout ...\n"},
    {"Timeout_TimedOut", FailureKind::kTimeout, kVersion + "Compilation timed out after 180 s\n"},
    {"Timeout_ChildProcess", FailureKind::kTimeout,
     kVersion + kStarted +
         "Compilation child process did not complete within timeout period.\nCompilation "
         "failed! \n"},
    {"Timeout_TimeoutCommand124", FailureKind::kTimeout, kVersion + kStarted, "exit status 124"},
    {"Silent_FailedOnly", FailureKind::kSilent, kVersion + kStarted + kFailed, "exit status 1",
     "Compilation failed!"},
    {"Silent_FailedWithStatus0", FailureKind::kSilent, kVersion + kStarted + kFailed,
     "exit status 0"},
    {"Silent_VersionOnly", FailureKind::kSilent, kVersion, "exit status 1", "exit status 1"},
    {"Silent_DelegateSearch", FailureKind::kSilent,
     kVersion + "Searching for valid delegate with step 1\nTry to compile segment with 9 ops\n" +
         kStarted + kFailed + "Try to compile segment with 8 ops\nIntermediate tensors: " +
         "killed/internal error,b\n" + kStarted + kFailed},
    {"FileAccess_Writing", FailureKind::kFileAccess,
     kVersion + "Model compiled successfully in 2375 ms.\nError opening file for writing: "
                "out/m_edgetpu.tflite\n\nInternal compiler error. Aborting! \n",
     "exit status 1", "out/m_edgetpu.tflite"},
    {"FileAccess_UnseenFolder", FailureKind::kFileAccess,
     kVersion + "ERROR: Could not open '/data/m.tflite'.\n\nInvalid model: /data/m.tflite\n"},
    {"FileAccess_FullDisk", FailureKind::kFileAccess,
     kVersion + "write: No space left on device\n" + kFailed},
    {"FileAccess_ReadOnly", FailureKind::kFileAccess, "tee: x.log: Read-only file system\n"},
    {"Killed_Signal9", FailureKind::kKilled, kVersion, "signal 9 (Killed)"},
    {"Killed_Shell137", FailureKind::kKilled, kVersion + kStarted, "exit status 137", "signal 9"},
    {"Killed_WrapperText", FailureKind::kKilled,
     "/usr/bin/edgetpu_compiler: line 3:  7056 Killed                  ${d}/x\n"},
    {"Killed_BadAlloc", FailureKind::kKilled,
     "libc++abi: terminating with uncaught exception of type std::bad_alloc\n", "exit status 134"},
    {"Killed_Terminated143", FailureKind::kKilled, kVersion, "exit status 143"},
    {"LargeActivations_Version16", FailureKind::kLargeActivations,
     kVersion + kStarted + "ERROR: Restored original execution plan after delegate application " +
         "failure.\nCompilation failed: Compilation failed due to large activation tensors in " +
         "model.\n" + kFailed},
    {"Interpreter_Version16", FailureKind::kInterpreter,
     kVersion + "Compilation failed: Model failed in Tflite interpreter. Please ensure\n"},
    {"Interpreter_CustomOperator", FailureKind::kInterpreter,
     kVersion + "ERROR: Encountered unresolved custom op: Atan.\n" + kFailed},
    {"DynamicTensors_BeforeInterpreter", FailureKind::kDynamicTensors,
     kVersion +
         "ERROR: a graph that has dynamic-sized tensors.\nModel failed in Tflite interpreter.\n"},
    {"NotQuantized_Model", FailureKind::kNotQuantized,
     kVersion + "Invalid model: m.tflite\nModel not quantized\n"},
    {"InvalidModel_Named", FailureKind::kInvalidModel,
     kVersion + "Invalid model: m.tflite\nModel could not be parsed\n"},
    {"UnsupportedVersion_Builtin", FailureKind::kUnsupportedVersion,
     kVersion + "ERROR: Op builtin_code out of range: 150. Are you using old TFLite binary\n"},
    {"UnsupportedVersion_OfOperator", FailureKind::kUnsupportedVersion,
     kVersion +
         "ERROR: Didn't find op for builtin opcode 'ADD' version '5'.\n\nInvalid model: m.tflite\n",
     "exit status 1", "'ADD' version '5'"},
    {"UnknownOption_Flag", FailureKind::kUnknownOption,
     kVersion + "ERROR: Unknown command line flag 'search_delegate'\n"},
};

class FailureForm : public ::testing::TestWithParam<Form> {};

TEST_P(FailureForm, OutputIsClassified) {
  const Form& form = GetParam();
  const CompilerFailure failure = explain_compiler_failure(form.output, form.end, false);
  EXPECT_EQ(failure.kind, form.kind) << failure.sentence();
  EXPECT_THAT(failure.message, HasSubstr(form.message));
  EXPECT_FALSE(failure.message.empty());
  EXPECT_GT(failure.explanation.size(), 40U) << "what it means, and what to do";
  EXPECT_EQ(failure.may_pass_again, passes_at_times(form.kind));
  EXPECT_EQ(failure.may_have_culprit, has_culprit(form.kind));
}

INSTANTIATE_TEST_SUITE_P(All, FailureForm, ::testing::ValuesIn(kForms),
                         [](const auto& form) { return std::string(form.param.name); });

TEST(CompilerFailures, TimeLimitIsATimeout) {
  const auto failure = explain_compiler_failure(kVersion + "Internal compiler error. Aborting!",
                                                "not finished after 180.00 s", true);
  EXPECT_EQ(failure.kind, FailureKind::kTimeout);
  EXPECT_THAT(failure.message, HasSubstr("180.00 s"));
}

TEST(CompilerFailures, UnknownReasonIsQuotedAndSearched) {
  const auto failure = explain_compiler_failure(
      kVersion + "Compilation failed: Something new.\n" + kFailed, "exit status 1", false);
  EXPECT_EQ(failure.kind, FailureKind::kOther);
  EXPECT_EQ(failure.message, "Compilation failed: Something new.");
  EXPECT_FALSE(failure.may_pass_again);
  EXPECT_TRUE(failure.may_have_culprit);
}

TEST(CompilerFailures, OtherProgramFailureIsRecognized) {
  for (const auto& [output, end] : std::vector<std::pair<std::string, std::string>>{
           {"ssh: connect to host box port 22: Connection timed out", "exit status 255"},
           {"sh: 1: edgetpu_compiler: not found", "exit status 127"},
           {"sh: 1: /opt/edgetpu_compiler: Permission denied", "exit status 126"},
           {"x: cannot execute binary file: Exec format error", "exit status 126"},
           {"docker: Cannot connect to the Docker daemon.", "exit status 125"},
           {"", "exit status 1"}}) {
    const auto failure = explain_compiler_failure(output, end, false);
    EXPECT_EQ(failure.kind, FailureKind::kOther) << output;
    EXPECT_THAT(failure.message, HasSubstr(output));
    EXPECT_THAT(failure.explanation, HasSubstr("check that the command is correct"));
    EXPECT_THAT(failure.explanation, HasSubstr(end));
    EXPECT_FALSE(failure.may_have_culprit);
  }
}

TEST(CompilerFailures, FailureWordsInPathsAreIgnored) {
  const auto failure = explain_compiler_failure(
      kVersion + "ERROR: skilled/rekilled1 /x/killed.tflite killed_2\n", "exit status 1", false);
  EXPECT_EQ(failure.kind, FailureKind::kOther);
}

// --- from the program to the result

Model two_layers() {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4, 4, 8});
  b.output(b.relu(b.conv(x, "conv", 8), "relu"));
  return b.build("m");
}

// A compiler that is a shell script.
class ScriptCompiler {
 public:
  explicit ScriptCompiler(const std::string& script) {
    std::ofstream(path()) << script << "\n";
    options_.command = {"sh", path().string()};
  }
  [[nodiscard]] FileCompilation compile(const Model& model) const {
    CompileOptions how;
    how.compiler = options_;
    how.on_compiled = [&](const std::string&, const Compilation& compilation) {
      announced_ = how.looks_for_culprit(compilation);
    };
    return compile_model(model, scratch_.path(), how);
  }
  [[nodiscard]] bool announced() const { return announced_; }
  EdgeTpuCompilerOptions& options() { return options_; }

 private:
  [[nodiscard]] std::filesystem::path path() const { return scratch_.path() / "compiler.sh"; }
  ScratchFolder scratch_;
  EdgeTpuCompilerOptions options_;
  mutable bool announced_ = false;
};

TEST(CompilerFailures, CrashInShellIsRetriedTwice) {
  // A signal ends the inner shell. The outer one returns 128 + 11, and its output does not mention
  // the signal.
  const ScriptCompiler compiler("echo '" + kVersion + "'; sh -c 'kill -SEGV $$' 2>/dev/null");
  const FileCompilation file = compiler.compile(two_layers());
  EXPECT_EQ(file.compilation.failure->kind, FailureKind::kCrash) << file.compilation.transcript;
  EXPECT_EQ(file.compilation.attempts, 3U);
  EXPECT_TRUE(compiler.announced());
  EXPECT_TRUE(file.looked_for_culprit);
  ASSERT_TRUE(file.culprit.has_value());
  EXPECT_TRUE(file.culprit->whatever_fails);
}

TEST(CompilerFailures, ReasonInLogFileIsUsed) {
  const ScriptCompiler compiler(
      "while [ $# -gt 1 ]; do [ $1 = --out_dir ] && out=$2; shift; done\n"
      "echo '" +
      kVersion +
      "'\n"
      "echo 'Compilation failed due to large activation tensors in "
      "model.' > $out/m_edgetpu.log; exit 1");
  EXPECT_EQ(compiler.compile(two_layers()).compilation.failure->kind,
            FailureKind::kLargeActivations);
}

TEST(CompilerFailures, FailureWithStatusZeroIsDetected) {
  const ScriptCompiler compiler("echo '" + kVersion + kStarted + kFailed + "' >&2; exit 0");
  const FileCompilation file = compiler.compile(two_layers());
  EXPECT_EQ(file.compilation.failure->kind, FailureKind::kSilent);
  EXPECT_EQ(file.compilation.attempts, 3U);
}

TEST(CompilerFailures, FileAccessErrorSkipsCulpritSearch) {
  const ScriptCompiler compiler("echo '" + kVersion + "Error opening file for writing: x'; exit 1");
  const FileCompilation file = compiler.compile(two_layers());
  EXPECT_EQ(file.compilation.failure->kind, FailureKind::kFileAccess);
  EXPECT_EQ(file.compilation.attempts, 1U);
  EXPECT_FALSE(compiler.announced());
  EXPECT_FALSE(file.looked_for_culprit);
}

TEST(CompilerFailures, CompilerOwnSegmentationIsRefused) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"edgetpu_compiler", "--num_segments=4"},
        std::vector<std::string>{"ssh", "box", "edgetpu_compiler", "--num_segments", "4"},
        std::vector<std::string>{"/usr/bin/edgetpu_compiler", "-n", "4"}}) {
    ScriptCompiler compiler("exit 1");
    compiler.options().command = command;
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)compiler.compile(two_layers()); },
                 {"the compiler command contains -", "segue split", "#669"});
  }
  ScriptCompiler compiler("exit 1");
  auto& command = compiler.options().command;
  command.insert(command.begin(), {"nice", "-n", "1"});
  EXPECT_NO_THROW((void)compiler.compile(two_layers())) << "the -n of another program";
}

}  // namespace
}  // namespace segue
