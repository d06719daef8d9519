// JSON reading with error messages that name the key.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/error.h"

namespace segue::json {

using Json = nlohmann::ordered_json;

// Parses a document. Throws Error(kInvalidArgument) with the position of a syntax error, or with
// the path of a duplicate key.
[[nodiscard]] Json parse(std::string_view text, const std::string& label);

// Returns the text of a document. Names from models may contain any bytes; invalid UTF-8 is
// replaced.
[[nodiscard]] std::string to_text(const Json& document);

// Returns the string that a reader of `to_text` gets: `text` with invalid UTF-8 replaced.
[[nodiscard]] std::string as_written(std::string_view text);

// Rounds to four decimals, which suffice for people and give the same text on every machine.
[[nodiscard]] inline double rounded(double value) { return std::round(value * 1e4) / 1e4; }

// A value of a document with its path, which error messages name.
class Node {
 public:
  Node(const Json& value, std::string path, const std::string& label)
      : value_(value), path_(std::move(path)), label_(label) {}

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}: {}", label_, path_.empty() ? "the document" : path_, reason));
  }

  // Throws for missing keys and for keys that are in neither list.
  void expect_keys(const std::vector<std::string_view>& keys,
                   const std::vector<std::string_view>& optional = {}) const {
    if (!value_.is_object()) fail("must be an object");
    for (const std::string_view key : keys) {
      if (!value_.contains(key)) fail(fmt::format("missing key \"{}\"", key));
    }
    for (const auto& [key, unused] : value_.items()) {
      if (std::ranges::find(keys, key) == keys.end() &&
          std::ranges::find(optional, key) == optional.end())
        child(key).fail("unknown key; remove it or update segue");
    }
  }

  // Whether the document says that it is of this kind: "segue.plan", "segue.set", ...
  [[nodiscard]] bool is_of_kind(std::string_view kind) const { return stated_kind() == kind; }
  // Throws if the document says that it is of another kind.
  void expect_kind(std::string_view kind) const {
    if (const auto stated = stated_kind(); stated.starts_with("segue.") && stated != kind)
      fail(fmt::format(R"(is of schema "{}", but "{}" is needed here; name another file)",
                       value_["schema"].get<std::string>(), kind));
  }

  [[nodiscard]] Node operator[](const std::string& key) const { return child(key); }

  [[nodiscard]] bool has(const std::string& key) const { return value_.contains(key); }

  // Returns the keys of an object, in the order of the document.
  [[nodiscard]] std::vector<std::string> keys() const {
    if (!value_.is_object()) fail("must be an object");
    std::vector<std::string> result;
    for (const auto& [key, unused] : value_.items()) result.push_back(key);
    return result;
  }

  [[nodiscard]] std::vector<Node> elements() const {
    if (!value_.is_array()) fail("must be a list");
    std::vector<Node> result;
    for (std::size_t i = 0; i < value_.size(); ++i)
      result.emplace_back(value_[i], fmt::format("{}[{}]", path_, i), label_);
    return result;
  }

  [[nodiscard]] std::string text() const {
    if (!value_.is_string()) fail("must be a string");
    return value_.get<std::string>();
  }

  [[nodiscard]] std::uint64_t number(
      std::uint64_t largest = std::numeric_limits<std::uint64_t>::max()) const {
    if (!value_.is_number_unsigned() || value_.get<std::uint64_t>() > largest) {
      fail(fmt::format("must be a whole number from 0 to {}", largest));
    }
    return value_.get<std::uint64_t>();
  }

  // Returns the text, which must be one of `words`.
  [[nodiscard]] std::string choice(std::span<const std::string_view> words) const {
    std::string word = text();
    if (std::ranges::find(words, word) == words.end())
      fail(fmt::format(R"(is "{}"; must be one of {})", word, fmt::join(words, ", ")));
    return word;
  }

  // Returns parse(text). An error of `parse` is reported with the path of the key.
  template <typename Parse>
  [[nodiscard]] auto text_as(const Parse& parse) const {
    const std::string word = text();
    try {
      return parse(word);
    } catch (const Error& error) {
      fail(error.what());
    }
  }

  void expect_schema(std::string_view schema) const {
    if (text() != schema) fail(fmt::format(R"(is "{}"; this segue reads "{}")", text(), schema));
  }

  // Returns a finite number, integer or not.
  [[nodiscard]] double real() const {
    if (!value_.is_number()) fail("must be a number");
    return value_.get<double>();
  }

  [[nodiscard]] bool truth() const {
    if (!value_.is_boolean()) fail("must be true or false");
    return value_.get<bool>();
  }

  // Returns the value as text.
  [[nodiscard]] std::string dump() const { return value_.dump(); }

  [[nodiscard]] std::uint32_t small_number() const {
    return static_cast<std::uint32_t>(number(std::numeric_limits<std::uint32_t>::max()));
  }

  [[nodiscard]] std::vector<std::string> texts() const {
    std::vector<std::string> result;
    for (const Node& element : elements()) result.push_back(element.text());
    return result;
  }

 private:
  // The schema without its version; empty if the document states none.
  [[nodiscard]] std::string stated_kind() const {
    if (!value_.is_object() || !value_.contains("schema") || !value_["schema"].is_string())
      return "";
    const auto schema = value_["schema"].get<std::string>();
    return schema.substr(0, schema.find('/'));
  }

  [[nodiscard]] Node child(const std::string& key) const {
    return {value_.at(key), path_.empty() ? key : path_ + "." + key, label_};
  }

  const Json& value_;
  std::string path_;
  const std::string& label_;
};

}  // namespace segue::json
