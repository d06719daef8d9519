// Computers of a topology that may change places, so that a search tries only one of them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "planner/optimal/search.h"
#include "segue/topology.h"

namespace segue {

class EqualNodes {
 public:
  EqualNodes(const Topology& topology, std::span<const std::size_t> node_of_pool);

  // Whether a stage takes those of its equal computers that are not used yet in order, the one with
  // the most devices first. Any other pipeline is such a one but for the names of computers.
  [[nodiscard]] bool are_in_order(const Allotment& used, const Allotment& devices) const;
  // Whether that is so for some used computers. Of computers with one device each, those before are
  // used, and those behind are not.
  [[nodiscard]] bool may_be_in_order(const Allotment& devices) const;

 private:
  using Pools = std::vector<std::size_t>;  // of a computer
  struct Class {
    std::vector<Pools> computers;
    bool have_one_device = false;  // each
  };
  std::vector<Class> classes_;
};

}  // namespace segue
