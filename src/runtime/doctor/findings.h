// Collects the findings of all checks, in order.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "segue/edgetpu.h"

namespace segue {

class Findings {
 public:
  void good(const std::string& key, const std::string& what) {
    found_.push_back({Finding::Kind::kGood, key, what, ""});
  }
  void note(const std::string& key, const std::string& what, const std::string& next_step) {
    found_.push_back({Finding::Kind::kNote, key, what, next_step});
  }
  void problem(const std::string& key, const std::string& what, const std::string& next_step) {
    found_.push_back({Finding::Kind::kProblem, key, what, next_step});
  }
  [[nodiscard]] std::vector<Finding> take() { return std::move(found_); }

 private:
  std::vector<Finding> found_;
};

}  // namespace segue
