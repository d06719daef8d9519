#include "report/internal/frame.h"

#include "report/internal/assets.h"

namespace segue {

std::string filled(std::string_view text,
                   const std::map<std::string_view, std::string_view>& places) {
  std::string result;
  while (true) {
    const std::size_t begin = text.find('@');
    result += text.substr(0, begin);
    if (begin == std::string_view::npos) return result;
    const std::size_t end = text.find('@', begin + 1);
    result += places.at(text.substr(begin + 1, end - begin - 1));
    text.remove_prefix(end + 1);
  }
}

std::string framed_page(std::string_view title, std::string_view style, std::string_view body,
                        std::string_view script) {
  return filled(page_frame,
                {{"TITLE", title}, {"STYLE", style}, {"BODY", body}, {"SCRIPT", script}});
}

}  // namespace segue
