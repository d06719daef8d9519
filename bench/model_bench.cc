// Measures reading and cutting a model, compared with the generated object API: unpack everything,
// drop what a segment does not need, and pack again.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <numeric>

#include "model/internal/schema.h"
#include "segue/model.h"
#include "segue/zoo.h"

namespace segue {
namespace {

constexpr const char* kModel = "resnet152";

std::vector<OperatorId> every_operator(const Model& model) {
  std::vector<OperatorId> all;
  for (std::uint32_t i = 0; i < model.operators().size(); ++i) all.push_back(OperatorId{i});
  return all;
}

void read(benchmark::State& state) {
  const auto bytes = make_zoo_model(kModel);
  for (auto _ : state) {
    state.PauseTiming();
    auto copy = bytes;
    state.ResumeTiming();
    benchmark::DoNotOptimize(parse_model(std::move(copy), kModel));
  }
}
BENCHMARK(read)->Unit(benchmark::kMillisecond);

void extract(benchmark::State& state) {
  const Model model = parse_model(make_zoo_model(kModel), kModel);
  const auto all = every_operator(model);
  if (extract_segment(model, all).size_bytes() < model.bytes().size() / 2) std::abort();
  for (auto _ : state) benchmark::DoNotOptimize(extract_segment(model, all).size_bytes());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(model.bytes().size()));
}
BENCHMARK(extract)->Unit(benchmark::kMillisecond);

void extract_by_object_api(benchmark::State& state) {
  const Model model = parse_model(make_zoo_model(kModel), kModel);
  for (auto _ : state) {
    const std::unique_ptr<tflite::ModelT> unpacked(tflite::UnPackModel(model.bytes().data()));
    flatbuffers::FlatBufferBuilder builder;
    tflite::FinishModelBuffer(builder, tflite::CreateModel(builder, unpacked.get()));
    benchmark::DoNotOptimize(builder.GetSize());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(model.bytes().size()));
}
BENCHMARK(extract_by_object_api)->Unit(benchmark::kMillisecond);

void make_resnet152(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(make_zoo_model(kModel));
}
BENCHMARK(make_resnet152)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace segue
