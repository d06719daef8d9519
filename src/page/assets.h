// The files of src/page that make a page, as the build embeds them.
#pragma once

namespace segue {

extern const char* const kPageFrame;  // with @STYLE@, @DATA@ and @SCRIPT@
extern const char* const kPageStyle;
extern const char* const kPageScript;

}  // namespace segue
