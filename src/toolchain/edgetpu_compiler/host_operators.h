// Finds the operators of a model that the compiler leaves to the host, according to its log.
#pragma once

#include <optional>
#include <vector>

#include "segue/model.h"
#include "segue/toolchain.h"

namespace segue {

// The log only counts operators of each kind. The compiled file shows which of them are on the
// host, if they are unchanged in it. If it does not show enough, operators that the device does not
// support are taken first, and then the last ones, because the device's part begins at the start of
// the model. Kinds without a row in the log are placed as in the simulation. Returns the operators
// in file order, or nothing for a log without a table.
[[nodiscard]] std::optional<std::vector<OperatorId>> operators_left_to_host(const CompilerLog& log,
                                                                            const Model& source,
                                                                            const Model& compiled);

}  // namespace segue
