// The files of src/page, which the build embeds. They are the parts of a page.
#pragma once

namespace segue {

extern const char* const page_frame;  // of all pages, with @TITLE@, @STYLE@, @BODY@ and @SCRIPT@
extern const char* const page_body;   // of reports, with @DATA@
extern const char* const page_style;
extern const char* const page_script;

}  // namespace segue
