// A stand-in for Google's edgetpu_compiler. It takes the compiler's options, prints what its
// documentation and its users' logs show, and writes a file with one "edgetpu-custom-op". This
// operator contains the model, which the stand-in for libedgetpu runs. Memory is that of the
// simulated compiler.
//
// Arguments before the compiler's own change its behaviour. "fault=KIND[:WHERE]" makes it fail like
// the real one; WHERE names operators, "SOFTMAX" or "ADD+SOFTMAX", which the model must all
// contain. "capacity=BYTES" makes its device smaller. "takes=FILE" makes the compiled file take as
// long on the stand-in for libedgetpu as on the device of that device file. "leaves=NAME" leaves
// all operators of a kind, or ALL operators, to the host in its log. "passes_after=FILE" suppresses
// the fault if FILE exists, and creates FILE otherwise.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "model/internal/schema.h"
#include "segue/cost.h"
#include "segue/device.h"
#include "segue/file.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/units.h"
#include "stand_in_edgetpu.h"

namespace {

using namespace segue;

struct Arguments {
  std::string fault;
  std::string where;
  std::string passes_after;
  std::string takes;
  std::string leaves;
  std::uint64_t capacity = 0;
  std::string folder;
  std::vector<std::string> models;
};

Arguments parse(const std::vector<std::string>& words) {
  Arguments result;
  const std::set<std::string> with_value{"--out_dir", "--timeout_sec", "--min_runtime_version",
                                         "--delegate_search_step"};
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.starts_with("fault=")) {
      const auto colon = word.find(':');
      result.fault = word.substr(6, colon == std::string::npos ? colon : colon - 6);
      if (colon != std::string::npos) result.where = word.substr(colon + 1);
    } else if (word.starts_with("capacity=")) {
      result.capacity = std::stoull(word.substr(9));
    } else if (word.starts_with("takes=")) {
      result.takes = word.substr(6);
    } else if (word.starts_with("leaves=")) {
      result.leaves = word.substr(7);
    } else if (word.starts_with("passes_after=")) {
      result.passes_after = word.substr(13);
    } else if (with_value.contains(word)) {
      if (word == "--out_dir") result.folder = words.at(i + 1);
      ++i;
    } else if (word == "--show_operations" || word == "--search_delegate") {
      continue;
    } else if (word.starts_with("-")) {
      std::printf("ERROR: Unknown command line flag '%s'\n", word.c_str());
      std::exit(1);
    } else {
      result.models.push_back(word);
    }
  }
  return result;
}

bool holds(const Model& model, const std::string& operators) {
  std::set<std::string> names;
  for (const Operator& op : model.operators()) names.emplace(op.name);
  std::string rest = operators;
  while (!rest.empty()) {
    const auto plus = rest.find('+');
    if (!names.contains(rest.substr(0, plus))) return false;
    rest = plus == std::string::npos ? "" : rest.substr(plus + 1);
  }
  return true;
}

// Fails in a way that users have reported; returns the exit status.
int fail(const std::string& fault) {
  const std::map<std::string, std::string> texts{
      {"internal",
       "Internal compiler error. Aborting! \n\nCompilation child process completed within timeout "
       "period.\nCompilation failed! \n"},
      {"internal16",
       "Compilation failed: Internal error.\nCompilation child process completed within timeout "
       "period.\nCompilation failed! \n"},
      {"exception",
       "libc++abi: terminating with uncaught exception of type std::out_of_range: vector\n"
       "Compilation child process completed within timeout period.\nCompilation failed! \n"},
      {"timeout",
       "Compilation timeout. This is usually caused by large activations.\nCompilation failed! \n"},
      {"failed",
       "Compilation child process completed within timeout period.\nCompilation failed! \n"},
      {"write",
       "Model compiled successfully in 12 ms.\nError opening file for writing: m_edgetpu.tflite\n\n"
       "Internal compiler error. Aborting! \n"},
      {"large",
       "Compilation failed: Compilation failed due to large activation tensors in model.\n"
       "Compilation child process completed within timeout period.\nCompilation failed!\n"},
      {"interpreter",
       "ERROR: :136 op_context.input->type == kTfLiteUInt8 was not true.\nERROR: Node number 3 "
       "(ADD) failed to prepare.\n\nModel failed in Tflite interpreter. Please ensure model can be "
       "loaded/run in Tflite interpreter.\nCompilation failed!\n"},
      {"dynamic",
       "ERROR: Attempting to use a delegate that only supports static-sized tensors with a graph "
       "that has dynamic-sized tensors.\nCompilation failed!\n"},
      {"float", "Invalid model: model.tflite\nModel not quantized\n"},
      {"silent", ""}};
  if (fault == "hang") std::this_thread::sleep_for(std::chrono::hours(1));
  if (fault == "crash") {
    std::signal(SIGSEGV, SIG_DFL);  // sanitizers would turn it into an exit status
    std::raise(SIGSEGV);
  }
  if (fault == "flood") {
    while (std::puts("Started a compilation timeout timer of 180 seconds.") >= 0) {
    }
  }
  std::fputs(texts.at(fault).c_str(), stdout);
  return 1;
}

// Returns the simulated time on the device, or 0 without a device file, which means the CPU's time.
std::uint64_t time_ns(const Model& model, const std::string& device_file) {
  if (device_file.empty()) return 0;
  const DeviceSpec device = read_device(device_file);
  const Graph graph(model);
  const auto all = graph.operators_between(1, graph.depth());
  const MemoryReport memory = make_simulated_compiler(device)->compile(graph, all);
  return static_cast<std::uint64_t>(simulate_segment(graph, all, memory, device).total().count());
}

// Writes the compiled file, with an additional input or output if the fault demands it.
void write_compiled(const Model& model, const std::filesystem::path& path,
                    const Arguments& arguments) {
  const std::string& fault = arguments.fault;
  const std::vector<std::uint8_t> source(
      reinterpret_cast<const std::uint8_t*>(model.bytes().data()),
      reinterpret_cast<const std::uint8_t*>(model.bytes().data()) + model.bytes().size());
  tflite::ModelT whole;
  tflite::GetModel(source.data())->UnPackTo(&whole);
  tflite::ModelT result;
  result.version = 3;
  result.buffers.push_back(std::make_unique<tflite::BufferT>());
  auto code = std::make_unique<tflite::OperatorCodeT>();
  code->builtin_code = tflite::BuiltinOperator::CUSTOM;
  code->deprecated_builtin_code = static_cast<std::int8_t>(tflite::BuiltinOperator::CUSTOM);
  code->custom_code = "edgetpu-custom-op";
  code->version = 1;
  result.operator_codes.push_back(std::move(code));
  auto graph = std::make_unique<tflite::SubGraphT>();
  auto op = std::make_unique<tflite::OperatorT>();
  const auto take = [&](const std::vector<std::int32_t>& tensors, std::vector<std::int32_t>& ends,
                        std::vector<std::int32_t>& of_operator) {
    for (const std::int32_t position : tensors) {
      auto tensor = std::make_unique<tflite::TensorT>(
          *whole.subgraphs[0]->tensors[static_cast<std::size_t>(position)]);
      tensor->buffer = 0;
      ends.push_back(static_cast<std::int32_t>(graph->tensors.size()));
      of_operator.push_back(ends.back());
      graph->tensors.push_back(std::move(tensor));
    }
  };
  take(whole.subgraphs[0]->inputs, graph->inputs, op->inputs);
  take(whole.subgraphs[0]->outputs, graph->outputs, op->outputs);
  op->custom_options.assign(kStandInMark, kStandInMark + sizeof(kStandInMark));
  const std::uint64_t lasts_ns = time_ns(model, arguments.takes);
  const auto* time = reinterpret_cast<const std::uint8_t*>(&lasts_ns);
  op->custom_options.insert(op->custom_options.end(), time, time + sizeof lasts_ns);
  op->custom_options.insert(op->custom_options.end(), source.begin(), source.end());
  if (fault == "more_inputs") graph->inputs.push_back(graph->inputs[0]);
  if (fault == "more_outputs") graph->outputs.push_back(graph->outputs[0]);
  graph->operators.push_back(std::move(op));
  result.subgraphs.push_back(std::move(graph));
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(tflite::Model::Pack(builder, &result), "TFL3");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(builder.GetBufferPointer()),
             static_cast<std::streamsize>(builder.GetSize()));
}

std::string size_text(std::uint64_t bytes) {
  if (bytes >= kMiB) return fmt::format("{:.2f}MiB", to_mib(bytes));
  if (bytes >= kKiB) return fmt::format("{:.2f}KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.2f}B", static_cast<double>(bytes));
}

// Returns the text for models of which not all operators are mapped, and the table of operators.
std::string operation_table(const Graph& graph, const std::string& leaves) {
  const Model& model = graph.model();
  const auto all = graph.operators_between(1, graph.depth());
  const auto on_host = operators_on_host(graph, all);
  std::map<std::pair<std::string, std::string>, int> rows;
  std::size_t mapped = 0;
  for (const OperatorId id : all) {
    const bool is_on_host = std::ranges::find(on_host, id) != on_host.end() ||
                            model.op(id).name == leaves || leaves == "ALL";
    mapped += is_on_host ? 0 : 1;
    ++rows[{std::string(model.op(id).name),
            is_on_host ? "Operation not supported" : "Mapped to Edge TPU"}];
  }
  std::string text;
  if (mapped < all.size()) {
    text = fmt::format(
        "Number of operations that will run on Edge TPU: {}\n"
        "Number of operations that will run on CPU: {}\n\n",
        mapped, all.size() - mapped);
  }
  text += "Operator                       Count      Status\n\n";
  for (const auto& [row, count] : rows)
    text += fmt::format("{:<30} {:<10} {}\n", row.first, count, row.second);
  return text;
}

// Models of one call share the memory: `used` is what earlier ones have.
void report(const Graph& graph, const Arguments& arguments, const std::filesystem::path& model,
            const std::filesystem::path& result, std::uint64_t& used) {
  DeviceSpec device = find_device("edgetpu-pcie");
  if (arguments.capacity > 0) {
    device.memory.capacity_bytes.value = static_cast<double>(arguments.capacity);
    device.memory.reserved_row_bytes.value = 0;
  }
  const auto all = graph.operators_between(1, graph.depth());
  device.memory.capacity_bytes.value -= static_cast<double>(used);
  const MemoryReport memory = make_simulated_compiler(device)->compile(graph, all);
  used += memory.on_chip_bytes;
  const std::string table = operation_table(graph, arguments.leaves);
  fmt::print(
      "Model compiled successfully in 12 ms.\n\nInput model: {}\nInput size: {}\n"
      "Output model: {}\nOutput size: {}\n"
      "On-chip memory used for caching model parameters: {}\n"
      "On-chip memory remaining for caching model parameters: {}\n"
      "Off-chip memory used for streaming uncached model parameters: {}\n"
      "Number of Edge TPU subgraphs: 1\nTotal number of operations: {}\n"
      "Operation log: {}_edgetpu.log\n\n{}"
      "Compilation child process completed within timeout period.\nCompilation succeeded! \n",
      model.string(), size_text(graph.model().bytes().size()), result.filename().string(),
      size_text(std::filesystem::file_size(result)), size_text(memory.on_chip_bytes),
      size_text(memory.capacity_bytes - std::min(memory.capacity_bytes, memory.on_chip_bytes)),
      size_text(memory.host_bytes), all.size(), model.stem().string(), table);
  std::ofstream(std::filesystem::path(arguments.folder) / (model.stem().string() + "_edgetpu.log"))
      << "Edge TPU Compiler version 16.0.384591198\nInput: " << model.string() << "\n\n"
      << table;
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments = parse({words + 1, words + count});
  fmt::print("Edge TPU Compiler version 16.0.384591198\n");
  std::fflush(stdout);
  const bool passes =
      !arguments.passes_after.empty() && std::filesystem::exists(arguments.passes_after);
  const std::set<std::string> faults_of_results{"no_log", "no_file", "more_inputs", "more_outputs"};
  std::uint64_t used = 0;
  for (const std::filesystem::path source : arguments.models) {
    const Model model = read_model(source);
    if (!arguments.fault.empty() && !passes && holds(model, arguments.where) &&
        !faults_of_results.contains(arguments.fault)) {
      if (!arguments.passes_after.empty()) std::ofstream(arguments.passes_after) << "once";
      return fail(arguments.fault);
    }
    const std::filesystem::path result =
        std::filesystem::path(arguments.folder) / (source.stem().string() + "_edgetpu.tflite");
    if (arguments.fault != "no_file") write_compiled(model, result, arguments);
    if (arguments.fault == "no_file" || arguments.fault == "no_log") {
      fmt::print("Model compiled successfully in 12 ms.\n");
      return 0;
    }
    report(Graph(model), arguments, source, result, used);
  }
  return 0;
}
