/// An independent check of a plan that claims to be the best.
///
/// A certificate is the plan's `bound`: a value, the limits it holds for, and whether the plan
/// reaches it. The checker shares nothing with the planner but the times of single segments: it
/// lists the ideals of the graph itself, asks the simulated compiler and the simulator for every
/// segment that the work in it does not rule out, and looks for a pipeline below the bound by a
/// plain dynamic program without the planner's bounds. Short instead of fast: up to a second for
/// ResNets, about a minute for InceptionV4.
///
/// Thread-safety: a pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"

namespace [[gnu::visibility("default")]] segue {

struct CertificateVerdict {
  bool is_accepted = false;
  std::string reason;          // what was checked, or what is wrong
  std::size_t ideals = 0;      // of the graph; 0 where they were not needed
  std::uint64_t segments = 0;  // whose times were computed
};

/// Accepts when the plan's numbers are those of its stages on these devices, it keeps the limits of
/// its bound, and no pipeline within them is below the bound. A graph of more than `most_ideals` is
/// accepted only when all operators together, split among all devices, reach the bound.
/// O(ideals^2) segments. Throws as make_plan, and Error(kUnsupported) where the graph has too many
/// ideals and the work alone does not decide.
[[nodiscard]] CertificateVerdict check_certificate(const Plan& plan, const Graph& graph,
                                                   std::span<const DevicePool> pools,
                                                   std::size_t most_ideals = 6000);

}  // namespace segue
