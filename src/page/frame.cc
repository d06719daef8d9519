#include "page/frame.h"

namespace segue {

std::string with_assets(std::string_view frame,
                        const std::map<std::string_view, std::string_view>& assets) {
  std::string page;
  while (true) {
    const std::size_t begin = frame.find('@');
    page += frame.substr(0, begin);
    if (begin == std::string_view::npos) return page;
    const std::size_t end = frame.find('@', begin + 1);
    page += assets.at(frame.substr(begin + 1, end - begin - 1));
    frame.remove_prefix(end + 1);
  }
}

}  // namespace segue
