// Candidates of one group of models on some TPUs.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "planner/set/layouts.h"
#include "segue/plan_set.h"

namespace segue {

// Limits of rates per second and of weights.
inline constexpr double kLeastSetRate = 1e-6;
inline constexpr double kMostSetRate = 1e6;

// A rate, or the work of a resource per second: a fixed part, and a part that grows with the common
// scale of the models.
struct Load {
  double fixed = 0;
  double scaled = 0;

  [[nodiscard]] double at(double scale) const {
    return scaled > 0 ? fixed + scaled * scale : fixed;
  }
  void add(const Load& rate, double times) {
    fixed += rate.fixed * times;
    scaled += rate.scaled * times;
  }
};

// How far the rates may grow. `scale` is the largest common scale. `slack` is the factor by which
// the demanded rates may grow while models without a rate rest.
struct Growth {
  static constexpr double kUnlimited = std::numeric_limits<double>::infinity();
  double scale = kUnlimited;
  double slack = kUnlimited;
};

// What the models of a set demand, as the search sees it. If all have rates, the scale multiplies
// them, and 1 suffices. Otherwise demanded rates are fixed, and the scale multiplies the weights.
struct Demands {
  explicit Demands(const SetRequest& request);

  [[nodiscard]] Growth growth(const Load& load, double capacity) const;
  [[nodiscard]] double scale_for_latency(double scale) const { return has_weights ? scale : 1; }

  std::vector<Load> rates;                              // by model
  std::vector<std::optional<Nanoseconds>> max_latency;  // by model
  bool has_weights = false;
  double limit = 1;  // of the utilisation
};

// One way to run a group. Layouts and plans belong to the SetChoices.
struct GroupCandidate {
  std::uint32_t tpus = 0;
  Sharing sharing = Sharing::kOwn;
  std::vector<std::uint32_t> models = {};      // in cache order
  std::vector<const SetLayout*> layouts = {};  // of each of `models`; kOwn: empty
  const Plan* own = nullptr;                   // kOwn
  double reach = 1;                            // below 1: the share of the demands that is met
  Growth growth = {};
  double latency_ns = 0;  // sum over the models
  Load link = {};         // seconds per second
  Load host = {};

  // The residents of each TPU.
  [[nodiscard]] std::vector<SetTpu> residents() const;
};

// Returns the candidate of a model with its own plan.
[[nodiscard]] GroupCandidate own_candidate(std::uint32_t model, const Plan& plan,
                                           const Demands& demands);

// Returns all candidates of several models on `tpus` TPUs that no other one dominates.
[[nodiscard]] std::vector<GroupCandidate> shared_candidates(std::span<const std::uint32_t> models,
                                                            std::uint32_t tpus,
                                                            std::vector<SetChoices>& choices,
                                                            const Demands& demands,
                                                            Nanoseconds hop);

// Returns the longest latency of each model of a candidate, in the order of its models.
[[nodiscard]] std::vector<double> latencies_ns(const GroupCandidate& candidate,
                                               std::span<const SetTpu> tpus, const Demands& demands,
                                               double scale, Nanoseconds hop);

}  // namespace segue
