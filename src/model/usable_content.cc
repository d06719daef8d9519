#include "model/usable_content.h"

#include <flatbuffers/minireflect.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace segue {
namespace {

namespace fb = flatbuffers;

using Reason = UnusableContent::Kind;

UnusableContent unknown(std::string what) { return {Reason::kUnknown, std::move(what)}; }

struct Field {
  const fb::TypeTable& owner;
  std::size_t position;
  [[nodiscard]] fb::TypeCode code() const { return owner.type_codes[position]; }
  [[nodiscard]] std::string name() const { return owner.names[position]; }
  [[nodiscard]] const fb::TypeTable* type() const {
    return code().sequence_ref >= 0 ? owner.type_refs[code().sequence_ref]() : nullptr;
  }
};

std::int64_t read_integer(const std::uint8_t* value, unsigned base_type) {
  switch (base_type) {
    case fb::ET_UTYPE:
    case fb::ET_BOOL:
    case fb::ET_UCHAR:
      return fb::ReadScalar<std::uint8_t>(value);
    case fb::ET_CHAR:
      return fb::ReadScalar<std::int8_t>(value);
    case fb::ET_USHORT:
      return fb::ReadScalar<std::uint16_t>(value);
    case fb::ET_SHORT:
      return fb::ReadScalar<std::int16_t>(value);
    case fb::ET_UINT:
      return fb::ReadScalar<std::uint32_t>(value);
    default:
      return fb::ReadScalar<std::int32_t>(value);
  }
}

bool is_known_enumerator(const fb::TypeTable& type, std::int64_t value) {
  if (type.values == nullptr) {
    return value >= 0 && value < static_cast<std::int64_t>(type.num_elems);
  }
  return std::find(type.values, type.values + type.num_elems, value) !=
         type.values + type.num_elems;
}

std::optional<UnusableContent> check_field(const Field& field, const std::uint8_t* value,
                                           const std::uint8_t* previous, const std::string& path,
                                           UnpackedSize& size);

// Returns the number of elements of a list or a text, with which the data at an offset begins.
fb::uoffset_t length_at(const std::uint8_t* value) {
  return fb::ReadScalar<fb::uoffset_t>(value + fb::ReadScalar<fb::uoffset_t>(value));
}

std::optional<UnusableContent> check_size(const UnpackedSize& size, const std::string& path) {
  if (!size.is_too_large()) return std::nullopt;
  return UnusableContent{Reason::kTooLarge, path};
}

bool is_aligned(const std::uint8_t* address, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

// Counts the bytes of a list of numbers or texts.
std::optional<UnusableContent> check_list(const Field& field, const std::uint8_t* value,
                                          const std::string& path, UnpackedSize& size) {
  const std::uint64_t length = length_at(value);
  const std::uint8_t* element =
      value + fb::ReadScalar<fb::uoffset_t>(value) + sizeof(fb::uoffset_t);
  if (field.code().base_type != fb::ET_STRING) {
    const auto type = static_cast<fb::ElementaryType>(field.code().base_type);
    const std::size_t element_bytes = fb::InlineSize(type, field.type());
    if (length > 0 && !is_aligned(element, element_bytes))
      return UnusableContent{Reason::kMisaligned, path};
    size.bytes += length * element_bytes;
    return check_size(size, path);
  }
  for (std::uint64_t i = 0; i < length; ++i, element += sizeof(fb::uoffset_t))
    size.bytes += length_at(element);
  return check_size(size, path);
}

// Whether the field holds weights. They are not unpacked, so their size does not count.
bool holds_weights(const Field& field) { return &field.owner == tflite::BufferTypeTable(); }

std::optional<UnusableContent> check_sequence(const fb::TypeTable& type, const std::uint8_t* object,
                                              const std::string& path, UnpackedSize& size) {
  return find_unusable_content(*reinterpret_cast<const fb::Table*>(object), type, path, size);
}

std::optional<UnusableContent> check_vector(const Field& field, const std::uint8_t* value,
                                            const std::string& path, UnpackedSize& size) {
  if (field.code().base_type != fb::ET_SEQUENCE || field.type() == nullptr) {
    return holds_weights(field) ? std::nullopt : check_list(field, value, path, size);
  }
  const std::uint8_t* start = value + fb::ReadScalar<fb::uoffset_t>(value);
  const auto* elements = reinterpret_cast<const fb::Vector<fb::Offset<fb::Table>>*>(start);
  for (fb::uoffset_t i = 0; i < elements->size(); ++i) {
    const auto* table = reinterpret_cast<const std::uint8_t*>(elements->Get(i));
    if (auto found = check_sequence(*field.type(), table, fmt::format("{}[{}]", path, i), size)) {
      return found;
    }
  }
  return std::nullopt;
}

std::optional<UnusableContent> check_union(const Field& field, const std::uint8_t* value,
                                           const std::uint8_t* type_value, const std::string& path,
                                           UnpackedSize& size) {
  const auto member = type_value == nullptr ? 0U : static_cast<unsigned>(*type_value);
  const fb::TypeTable& type = *field.type();
  if (member >= type.num_elems)
    return unknown(fmt::format("{} contains the unknown option table #{}", path, member));
  if (member == 0) return std::nullopt;
  const fb::TypeTable& member_type = *type.type_refs[type.type_codes[member].sequence_ref]();
  return check_sequence(member_type, value + fb::ReadScalar<fb::uoffset_t>(value), path, size);
}

std::optional<UnusableContent> check_field(const Field& field, const std::uint8_t* value,
                                           const std::uint8_t* previous, const std::string& path,
                                           UnpackedSize& size) {
  const fb::TypeCode code = field.code();
  if (code.is_repeating != 0) return check_vector(field, value, path, size);
  if (code.base_type == fb::ET_STRING) {
    size.bytes += length_at(value);
    return check_size(size, path);
  }
  const fb::TypeTable* type = field.type();
  if (type == nullptr) return std::nullopt;
  if (code.base_type == fb::ET_SEQUENCE) {
    if (type->st == fb::ST_UNION) return check_union(field, value, previous, path, size);
    return check_sequence(*type, value + fb::ReadScalar<fb::uoffset_t>(value), path, size);
  }
  const std::int64_t number = read_integer(value, code.base_type);
  if (is_known_enumerator(*type, number)) return std::nullopt;
  return unknown(fmt::format("{} has the unknown value {}", path, number));
}

}  // namespace

std::optional<UnusableContent> find_unusable_content(const fb::Table& table,
                                                     const fb::TypeTable& type,
                                                     const std::string& name, UnpackedSize& size) {
  const auto field_address = [&](std::size_t position) {
    return table.GetAddressOf(fb::FieldIndexToOffset(static_cast<fb::voffset_t>(position)));
  };
  const std::uint8_t* vtable = table.GetVTable();
  // The first two entries are the sizes of the vtable and the table. A shorter vtable has no
  // fields.
  constexpr std::size_t kHeaderBytes = 2 * sizeof(fb::voffset_t);
  const std::size_t vtable_bytes = fb::ReadScalar<fb::voffset_t>(vtable);
  const std::size_t slots =
      vtable_bytes < kHeaderBytes ? 0 : (vtable_bytes - kHeaderBytes) / sizeof(fb::voffset_t);
  for (std::size_t i = type.num_elems; i < slots; ++i) {
    if (field_address(i) != nullptr)
      return unknown(fmt::format("{} has the unknown field #{}", name, i));
  }
  const std::uint8_t* previous = nullptr;
  for (std::size_t i = 0; i < type.num_elems; ++i) {
    const std::uint8_t* value = field_address(i);
    if (value != nullptr) {
      const Field field{type, i};
      if (auto found = check_field(field, value, previous, name + "." + field.name(), size))
        return found;
    }
    previous = value;
  }
  return std::nullopt;
}

}  // namespace segue
