#include "model/foreign_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace segue {
namespace {

using namespace std::string_view_literals;

struct Kind {
  std::string_view magic;
  const char* sentence;
};

constexpr std::array kKinds{
    Kind{"\x1f\x8b"sv, "compressed with gzip; unpack it with `gunzip` or `tar xzf`"},
    Kind{"PK\x03\x04"sv,
         "a zip archive (a .keras model and a PyTorch checkpoint are archives too); unpack it, or "
         "convert the model with tf.lite.TFLiteConverter"},
    Kind{"\x89HDF\r\n\x1a\n"sv,
         "a Keras model or weights in HDF5; convert it with "
         "tf.lite.TFLiteConverter.from_keras_model"},
};

// A protobuf message that begins with field 1, a number, and another field.
constexpr char kFirstNumber = 0x08;
constexpr char kSecondText = 0x12;

bool is_saved_model(std::string_view text) {
  constexpr char kSchemaVersion = 1;
  return text.size() > 3 && text[0] == kFirstNumber && text[1] == kSchemaVersion &&
         text[2] == kSecondText;
}

// The number is the version of ONNX's format, which is at least 3. A text (producer, version,
// domain), the graph or the operator sets follow.
bool is_onnx(std::string_view text) {
  constexpr std::string_view kNextFields = "\x12\x1a\x22\x3a\x42";
  constexpr char kOldest = 3;
  constexpr char kNewest = 40;
  return text.size() > 3 && text[0] == kFirstNumber && text[1] >= kOldest && text[1] <= kNewest &&
         kNextFields.find(text[2]) != std::string_view::npos;
}

std::string_view without_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

std::string_view text_after_mark(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return without_blanks(text);
}

bool is_json(std::string_view text) {
  text = text_after_mark(text);
  if (text.empty()) return false;
  const std::string_view next = without_blanks(text.substr(1)).substr(0, 1);
  constexpr std::string_view kKeyOrEnd = "\"}";
  constexpr std::string_view kElementOrEnd = "\"{[]-0123456789";
  if (text[0] == '{') return !next.empty() && kKeyOrEnd.find(next) != std::string_view::npos;
  return text[0] == '[' && !next.empty() && kElementOrEnd.find(next) != std::string_view::npos;
}

bool is_web_page(std::string_view text) {
  constexpr std::size_t kLongest = 14;
  std::string start(text_after_mark(text).substr(0, kLongest));
  std::ranges::transform(start, start.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return start.starts_with("<!doctype html") || start.starts_with("<html");
}

// Reads the size of the file from the pointer, where it has a separate line.
std::string lfs_pointer(std::string_view text) {
  constexpr std::string_view kSizeKey = "\nsize ";
  std::string_view size;
  if (const auto at = text.find(kSizeKey); at != std::string_view::npos) {
    size = text.substr(at + kSizeKey.size());
    size = size.substr(0, size.find_first_not_of("0123456789"));
  }
  return fmt::format("a Git LFS pointer to a file{}, not the file; fetch it with `git lfs pull`",
                     size.empty() ? "" : fmt::format(" of {} bytes", size));
}

}  // namespace

std::string describe_foreign_file(std::span<const std::byte> bytes) {
  constexpr std::size_t kLooksAt = 1024;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min(bytes.size(), kLooksAt));
  if (text.starts_with("version https://git-lfs.github.com/spec/")) return lfs_pointer(text);
  if (is_web_page(text))
    return "a web page (HTML), not the file it links to; download the raw file";
  if (is_json(text)) {
    return text.find("\"segue.plan") != std::string_view::npos
               ? "a plan.json of segue; give the model (.tflite) that the plan was made for"
               : "a JSON file; give a .tflite model";
  }
  if (is_saved_model(text)) {
    return "a TensorFlow SavedModel (saved_model.pb); convert its folder with "
           "tf.lite.TFLiteConverter.from_saved_model";
  }
  if (is_onnx(text)) return "an ONNX model; convert it to .tflite, for instance with onnx2tf";
  for (const Kind& kind : kKinds) {
    if (text.starts_with(kind.magic)) return kind.sentence;
  }
  return "";
}

}  // namespace segue
