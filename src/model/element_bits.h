// Sizes of element types.
#pragma once

#include "segue/model.h"

namespace segue {

// Size in bits of one element; 0 for types without a fixed size.
[[nodiscard]] unsigned element_bits(ElementType type);

}  // namespace segue
