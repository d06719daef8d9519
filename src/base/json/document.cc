#include <fmt/format.h>

#include <set>
#include <string>
#include <vector>

#include "base/internal/json/node.h"

namespace segue::json {
namespace {

constexpr auto kReplace = Json::error_handler_t::replace;

// Detects objects with two equal keys. The parser itself would silently keep the last one.
class DuplicateKeys {
  // Deeper documents are refused, because the parser takes quadratic time and unbounded memory for
  // them. Segue's own documents are much flatter.
  static constexpr std::size_t kDeepest = 64;
  static constexpr std::size_t kMostKeys = 1000;

 public:
  explicit DuplicateKeys(const std::string& label) : label_(label) {}

  void follow(Json::parse_event_t event, const Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (open_.size() == kDeepest) refuse(fmt::format("more than {} levels", kDeepest));
        open_.emplace_back();
        open_.back().is_list = event == Json::parse_event_t::array_start;
        break;
      case Json::parse_event_t::key:
        if (open_.back().keys.size() == kMostKeys)
          refuse(fmt::format("more than {} keys in one object", kMostKeys));
        open_.back().key = parsed.get<std::string>();
        if (!open_.back().keys.insert(open_.back().key).second) fail();
        break;
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end:
        open_.pop_back();
        count_element();
        break;
      case Json::parse_event_t::value:
        count_element();
        break;
    }
  }

 private:
  struct Container {
    bool is_list = false;
    std::size_t position = 0;    // of the current element, in a list
    std::string key;             // of the current value, in an object
    std::set<std::string> keys;  // keys seen so far
  };

  void count_element() {
    if (!open_.empty() && open_.back().is_list) ++open_.back().position;
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: JSON not accepted by segue: {}", label_, what));
  }

  [[noreturn]] void fail() const {
    std::string path;
    for (const Container& container : open_) {
      if (container.is_list) {
        path += fmt::format("[{}]", container.position);
      } else {
        path += (path.empty() ? "" : ".") + container.key;
      }
    }
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}: duplicate key; keep one of them", label_, path));
  }

  const std::string& label_;
  std::vector<Container> open_;
};

}  // namespace

Json parse(std::string_view text, const std::string& label) {
  DuplicateKeys duplicates(label);
  try {
    return Json::parse(text, [&](int, Json::parse_event_t event, Json& parsed) {
      duplicates.follow(event, parsed);
      return true;
    });
  } catch (const Json::exception& error) {
    // Removes the library's prefix, "[json.exception.parse_error.101] ".
    const std::string_view text_of(error.what());
    const std::size_t tag = text_of.find("] ");
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: not JSON: {}", label,
                            tag == std::string_view::npos ? text_of : text_of.substr(tag + 2)));
  }
}

std::string to_text(const Json& document) { return document.dump(2, ' ', false, kReplace) + "\n"; }

std::string as_written(std::string_view text) {
  return Json::parse(Json(text).dump(-1, ' ', false, kReplace)).get<std::string>();
}

}  // namespace segue::json
