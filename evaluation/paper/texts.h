// The texts of evaluation/paper/texts and the parts of the page, which the build embeds.
#pragma once

#include <string_view>

namespace segue::paper {

// Returns the text of an experiment. Throws Error(kInternal) if there is none.
[[nodiscard]] std::string_view text_of(std::string_view experiment);

extern const char* const paper_body;  // contains @STRIPES@ and @EXPERIMENTS@
extern const char* const paper_style;
extern const char* const paper_script;

}  // namespace segue::paper
