#include "model/known_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace segue {
namespace {

namespace fb = flatbuffers;

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

std::optional<std::string> check_field(const Field& field, const std::uint8_t* value,
                                       const std::uint8_t* previous, const std::string& path);

std::optional<std::string> check_sequence(const fb::TypeTable& type, const std::uint8_t* object,
                                          const std::string& path) {
  return find_unknown_content(*reinterpret_cast<const fb::Table*>(object), type, path);
}

std::optional<std::string> check_vector(const Field& field, const std::uint8_t* value,
                                        const std::string& path) {
  if (field.code().base_type != fb::ET_SEQUENCE || field.type() == nullptr) return std::nullopt;
  const std::uint8_t* start = value + fb::ReadScalar<fb::uoffset_t>(value);
  const auto* elements = reinterpret_cast<const fb::Vector<fb::Offset<fb::Table>>*>(start);
  for (fb::uoffset_t i = 0; i < elements->size(); ++i) {
    const auto* table = reinterpret_cast<const std::uint8_t*>(elements->Get(i));
    if (auto found = check_sequence(*field.type(), table, fmt::format("{}[{}]", path, i))) {
      return found;
    }
  }
  return std::nullopt;
}

std::optional<std::string> check_union(const Field& field, const std::uint8_t* value,
                                       const std::uint8_t* type_value, const std::string& path) {
  const auto member = type_value == nullptr ? 0U : static_cast<unsigned>(*type_value);
  const fb::TypeTable& type = *field.type();
  if (member >= type.num_elems)
    return fmt::format("{} holds the unknown option table #{}", path, member);
  if (member == 0) return std::nullopt;
  const fb::TypeTable& member_type = *type.type_refs[type.type_codes[member].sequence_ref]();
  return check_sequence(member_type, value + fb::ReadScalar<fb::uoffset_t>(value), path);
}

std::optional<std::string> check_field(const Field& field, const std::uint8_t* value,
                                       const std::uint8_t* previous, const std::string& path) {
  const fb::TypeCode code = field.code();
  if (code.is_repeating != 0) return check_vector(field, value, path);
  const fb::TypeTable* type = field.type();
  if (type == nullptr) return std::nullopt;
  if (code.base_type == fb::ET_SEQUENCE) {
    if (type->st == fb::ST_UNION) return check_union(field, value, previous, path);
    return check_sequence(*type, value + fb::ReadScalar<fb::uoffset_t>(value), path);
  }
  const std::int64_t number = read_integer(value, code.base_type);
  if (is_known_enumerator(*type, number)) return std::nullopt;
  return fmt::format("{} has the unknown value {}", path, number);
}

}  // namespace

std::optional<std::string> find_unknown_content(const fb::Table& table, const fb::TypeTable& type,
                                                const std::string& name) {
  const auto field_address = [&](std::size_t position) {
    return table.GetAddressOf(fb::FieldIndexToOffset(static_cast<fb::voffset_t>(position)));
  };
  const std::uint8_t* vtable = table.GetVTable();
  // The first two entries are the sizes of vtable and table; a shorter vtable has no fields.
  constexpr std::size_t kHeaderBytes = 2 * sizeof(fb::voffset_t);
  const std::size_t vtable_bytes = fb::ReadScalar<fb::voffset_t>(vtable);
  const std::size_t slots =
      vtable_bytes < kHeaderBytes ? 0 : (vtable_bytes - kHeaderBytes) / sizeof(fb::voffset_t);
  for (std::size_t i = type.num_elems; i < slots; ++i) {
    if (field_address(i) != nullptr) return fmt::format("{} has the unknown field #{}", name, i);
  }
  const std::uint8_t* previous = nullptr;
  for (std::size_t i = 0; i < type.num_elems; ++i) {
    const std::uint8_t* value = field_address(i);
    if (value != nullptr) {
      const Field field{type, i};
      if (auto found = check_field(field, value, previous, name + "." + field.name())) return found;
    }
    previous = value;
  }
  return std::nullopt;
}

}  // namespace segue
