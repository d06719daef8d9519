// The texts of src/paper/texts and what the page is made of, as the build embeds them.
#pragma once

#include <string_view>

namespace segue::paper {

// Of an experiment. Throws Error(kInternal) where there is none.
[[nodiscard]] std::string_view text_of(std::string_view experiment);

extern const char* const paper_body;  // with @STRIPES@ and @EXPERIMENTS@
extern const char* const paper_style;
extern const char* const paper_script;

}  // namespace segue::paper
