#include "runtime/pipeline/routing.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "segue/error.h"

namespace segue::pipeline {
namespace {

class Router {
 public:
  explicit Router(const PipelineLayout& layout) : layout_(layout) {}

  void add_stage(const std::string& segment, const Session& session) {
    StageRoute& route = routing_.stages.emplace_back();
    for (const Port& port : session.inputs()) route.reads.push_back(read(segment, port));
    for (const Port& port : session.outputs()) {
      route.writes.push_back(write(segment, port));
      route.output_ports.push_back(port);
    }
  }

  Routing finish() {
    choose_inputs();
    choose_outputs();
    find_last_readers();
    find_leaving();
    routing_.slots = ports_.size();
    return std::move(routing_);
  }

 private:
  [[noreturn]] static void fail(const std::string& reason) {
    throw Error(ErrorCode::kInvalidArgument, reason);
  }

  std::size_t slot_of(const Port& port) {
    const auto [at, is_new] = slots_.emplace(port.name, ports_.size());
    if (is_new) ports_.push_back(port);
    return at->second;
  }

  std::size_t read(const std::string& segment, const Port& port) {
    const std::size_t slot = slot_of(port);
    if (ports_[slot].bytes != port.bytes) {
      fail(fmt::format("{}: reads '{}' with {} bytes, but it has {} in an earlier segment", segment,
                       port.name, port.bytes, ports_[slot].bytes));
    }
    if (!written_.contains(slot) &&
        std::ranges::find(routing_.inputs, slot) == routing_.inputs.end())
      routing_.inputs.push_back(slot);
    read_.insert(slot);
    return slot;
  }

  std::size_t write(const std::string& segment, const Port& port) {
    const std::size_t slot = slot_of(port);
    if (written_.contains(slot) || read_.contains(slot))
      fail(fmt::format("{}: writes '{}', which an earlier segment already reads or writes", segment,
                       port.name));
    written_.insert(slot);
    written_in_order_.push_back(slot);
    return slot;
  }

  // The inputs in the requested order. The request must name all of them.
  void choose_inputs() {
    if (!layout_.inputs.empty()) {
      std::vector<std::size_t> chosen;
      for (const std::string& name : layout_.inputs) {
        chosen.push_back(known(name, "input"));
        if (std::ranges::count(chosen, chosen.back()) > 1)
          fail(fmt::format("pipeline input '{}' is named twice", name));
      }
      for (const std::size_t slot : routing_.inputs) {
        if (std::ranges::find(chosen, slot) == chosen.end())
          fail(
              fmt::format("tensor '{}' is read, but no earlier segment writes it and it is not a "
                          "pipeline input",
                          ports_[slot].name));
      }
      routing_.inputs = chosen;
    }
    for (const std::size_t slot : routing_.inputs) routing_.input_ports.push_back(ports_[slot]);
  }

  void choose_outputs() {
    if (layout_.outputs.empty()) {
      for (const std::size_t slot : written_in_order_) {
        if (!read_.contains(slot)) routing_.outputs.push_back(slot);
      }
    } else {
      for (const std::string& name : layout_.outputs)
        routing_.outputs.push_back(known(name, "output"));
    }
    for (const std::size_t slot : routing_.outputs) routing_.output_ports.push_back(ports_[slot]);
  }

  std::size_t known(const std::string& name, const char* what) {
    const auto found = slots_.find(name);
    if (found == slots_.end())
      fail(fmt::format("pipeline {} '{}' is not a tensor of any segment", what, name));
    return found->second;
  }

  void find_last_readers() {
    std::unordered_set<std::size_t> gone(routing_.outputs.begin(), routing_.outputs.end());
    for (std::size_t i = routing_.stages.size(); i-- > 0;) {
      auto& stage = routing_.stages[i];
      for (const auto* slots : {&stage.reads, &stage.writes}) {
        for (const std::size_t slot : *slots) {
          if (gone.insert(slot).second) stage.frees.push_back(slot);
        }
      }
    }
  }

  void find_leaving() {
    for (StageRoute& stage : routing_.stages) {
      for (const std::size_t slot : stage.writes)
        stage.leaves.push_back(!read_.contains(slot) &&
                               std::ranges::count(routing_.outputs, slot) == 1);
    }
  }

  const PipelineLayout& layout_;
  Routing routing_;
  std::unordered_map<std::string, std::size_t> slots_;
  std::vector<Port> ports_;
  std::unordered_set<std::size_t> written_;
  std::unordered_set<std::size_t> read_;
  std::vector<std::size_t> written_in_order_;
};

}  // namespace

Routing make_routing(const PipelineLayout& layout,
                     const std::vector<std::shared_ptr<Session>>& sessions) {
  Router router(layout);
  for (std::size_t i = 0; i < sessions.size(); ++i)
    router.add_stage(layout.segments[i].name, *sessions[i]);
  return router.finish();
}

}  // namespace segue::pipeline
