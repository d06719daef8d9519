// Which operators of a model a compiler's log leaves to the host's processor.
#pragma once

#include <optional>
#include <vector>

#include "segue/model.h"
#include "segue/toolchain.h"

namespace segue {

// The log has counts per kind of operator. Which ones of a kind they are, the compiled file shows,
// where the operators on the host still stand as they are; where it does not show as many, those
// that the device does not have are taken first, then the last ones, since the device's part begins
// with the model. Kinds that are not in the table are where they are simulated. In file order;
// nothing for a log without a table.
[[nodiscard]] std::optional<std::vector<OperatorId>> operators_left_to_host(const CompilerLog& log,
                                                                            const Model& source,
                                                                            const Model& compiled);

}  // namespace segue
