#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include "base/internal/json/node.h"
#include "segue/error.h"
#include "segue/report.h"

namespace segue {
namespace {

// The work of one device on one input.
struct Slice {
  std::uint32_t device = 0;
  std::uint32_t stage = 0;
  std::uint64_t input = 0;
  Nanoseconds begin{0};
  Nanoseconds end{0};
};

std::string quoted(std::string_view text) {
  return json::Json(text).dump(-1, ' ', false, json::Json::error_handler_t::replace);
}

// The format counts microseconds. Three decimals keep all nanoseconds.
std::string microseconds(Nanoseconds time) {
  return fmt::format("{}.{:03}", time.count() / 1000, time.count() % 1000);
}

// Writes the text event by event, because a trace has millions of them.
class TraceWriter {
 public:
  explicit TraceWriter(std::string_view process) {
    add(R"({{"ph":"M","pid":1,"tid":0,"name":"process_name","args":{{"name":{}}}}})",
        quoted(process));
  }

  void name_track(std::uint32_t track, std::string_view name) {
    add(R"({{"ph":"M","pid":1,"tid":{},"name":"thread_name","args":{{"name":{}}}}})", track,
        quoted(name));
    add(R"({{"ph":"M","pid":1,"tid":{0},"name":"thread_sort_index","args":{{"sort_index":{0}}}}})",
        track);
  }

  void add_slice(std::uint32_t track, std::string_view name, std::uint64_t input, Nanoseconds begin,
                 Nanoseconds end) {
    add(R"({{"ph":"X","pid":1,"tid":{},"name":{},"ts":{},"dur":{},"args":{{"input":{}}}}})", track,
        quoted(name), microseconds(begin), microseconds(end - begin), input);
  }

  // Adds an arrow from a slice to the next slice of the same input.
  void add_flow(const Slice& from, const Slice& to) {
    ++flows_;
    add(R"({{"ph":"s","pid":1,"tid":{},"name":"input","cat":"flow","id":{},"ts":{}}})",
        from.device + 1, flows_, microseconds(from.begin));
    add(R"({{"ph":"f","bp":"e","pid":1,"tid":{},"name":"input","cat":"flow","id":{},"ts":{}}})",
        to.device + 1, flows_, microseconds(to.begin));
  }

  void add_counter(std::string_view name, Nanoseconds time, std::int64_t value) {
    add(R"({{"ph":"C","pid":1,"name":{},"ts":{},"args":{{"inputs":{}}}}})", quoted(name),
        microseconds(time), value);
  }

  [[nodiscard]] std::string finish() {
    return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + events_ + "\n]}\n";
  }

 private:
  template <typename... Values>
  void add(fmt::format_string<Values...> format, Values&&... values) {
    if (!events_.empty()) events_ += ",\n";
    events_ += fmt::format(format, std::forward<Values>(values)...);
  }

  std::string events_;
  std::uint64_t flows_ = 0;
};

// Adds arrows from stage to stage, and the number of inputs between two stages at each moment.
void add_flows_and_queues(TraceWriter& writer, std::vector<Slice> slices) {
  std::ranges::sort(slices, {}, [](const Slice& slice) {
    return std::tuple(slice.input, slice.stage, slice.begin);
  });
  std::map<std::pair<std::uint32_t, Nanoseconds>, std::int64_t> changes;  // per stage and moment
  for (std::size_t i = 1; i < slices.size(); ++i) {
    const Slice& from = slices[i - 1];
    const Slice& to = slices[i];
    if (from.input != to.input || to.stage <= from.stage) continue;
    writer.add_flow(from, to);
    ++changes[{to.stage, from.end}];
    --changes[{to.stage, to.begin}];
  }
  std::int64_t waiting = 0;
  std::uint32_t stage = 0;
  for (const auto& [place, change] : changes) {
    if (place.first != stage) waiting = 0;
    stage = place.first;
    waiting += change;
    writer.add_counter(fmt::format("waiting before stage {}", stage), place.second, waiting);
  }
}

std::vector<Slice> slices_of(const Timeline& timeline) {
  std::map<std::pair<std::uint32_t, std::uint64_t>, Slice> slices;  // by stage and input
  for (const TimelineEvent& event : timeline.events) {
    if (event.device == TimelineEvent::kHost) continue;
    const auto [place, is_new] =
        slices.try_emplace({event.stage, event.input},
                           Slice{event.device, event.stage, event.input, event.begin, event.end});
    place->second.begin = std::min(place->second.begin, event.begin);
    place->second.end = std::max(place->second.end, event.end);
  }
  std::vector<Slice> result;
  result.reserve(slices.size());
  for (const auto& [key, slice] : slices) result.push_back(slice);
  return result;
}

}  // namespace

std::string trace_json(const Plan& plan, const Timeline& timeline) {
  if (timeline.events.empty())
    throw Error(ErrorCode::kInvalidArgument, "a trace needs a timeline with recorded events");
  TraceWriter writer(plan.model.name + ", simulated");
  writer.name_track(0, "hand-over");
  std::uint32_t track = 1;
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    for (std::uint32_t replica = 0; replica < plan.stages[s].replicas; ++replica)
      writer.name_track(track++, plan.stages[s].replicas > 1
                                     ? fmt::format("stage {}, TPU {}", s, replica)
                                     : fmt::format("stage {}", s));
  }
  if (plan.decoding) writer.name_track(track, "decoding");
  const std::vector<Slice> slices = slices_of(timeline);
  for (const Slice& slice : slices)
    writer.add_slice(slice.device + 1, fmt::format("input {}", slice.input), slice.input,
                     slice.begin, slice.end);
  for (const TimelineEvent& event : timeline.events) {
    if (event.begin == event.end) continue;
    writer.add_slice(event.device == TimelineEvent::kHost ? 0 : event.device + 1,
                     to_string(event.activity), event.input, event.begin, event.end);
  }
  add_flows_and_queues(writer, slices);
  return writer.finish();
}

std::string trace_json(const std::string& model, const PipelineTrace& trace) {
  TraceWriter writer(model + ", measured");
  for (std::uint32_t i = 0; i < trace.devices.size(); ++i)
    writer.name_track(i + 1, trace.devices[i]);
  std::vector<Slice> slices;
  for (const PipelineEvent& event : trace.events) {
    slices.push_back({event.device, event.stage, event.input, event.begin, event.end});
    writer.add_slice(event.device + 1, fmt::format("stage {}: input {}", event.stage, event.input),
                     event.input, event.begin, event.end);
  }
  add_flows_and_queues(writer, std::move(slices));
  return writer.finish();
}

}  // namespace segue
