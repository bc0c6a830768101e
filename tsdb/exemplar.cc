#include "tsdb/exemplar.h"

#include <string_view>

#include <fmt/format.h>

#include "base/utf8.h"

namespace tarsier::tsdb {
namespace {

/// REQUIRES: valid UTF-8.
std::size_t character_count(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) {
    const bool continues = (static_cast<unsigned char>(c) & 0xc0) == 0x80;
    if (!continues) ++count;
  }
  return count;
}

}  // namespace

Status validate_for_storage(const Exemplar& exemplar) {
  std::size_t characters = 0;
  for (const LabelView& label : exemplar.labels) {
    for (const std::string_view text : {label.name, label.value}) {
      if (!is_valid_utf8(text)) return invalid("an exemplar's label is not valid UTF-8");
      characters += character_count(text);
    }
  }
  if (characters > kExemplarCharactersMax) {
    return invalid(fmt::format("label length for exemplar exceeds maximum of {} UTF-8 characters",
                               kExemplarCharactersMax));
  }
  return {};
}

}  // namespace tarsier::tsdb
