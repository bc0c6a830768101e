#include "query/exec/label_share.h"

#include <string>
#include <string_view>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tarsier::query {
namespace {

/// A size below 255 is one byte; others are 255 and three bytes, the lowest first.
void append_sized(std::string& out, std::string_view text) {
  const std::size_t size = text.size();
  if (size < 255) {
    out += static_cast<char>(size);
  } else {
    out += static_cast<char>(255);
    for (int shift = 0; shift < 24; shift += 8) out += static_cast<char>((size >> shift) & 0xFF);
  }
  out += text;
}

}  // namespace

double share_of(const tsdb::Labels& labels) {
  std::string text;
  for (const tsdb::LabelView& label : labels) {
    append_sized(text, label.name);
    append_sized(text, label.value);
  }
  return static_cast<double>(XXH64(text.data(), text.size(), 0)) / 18446744073709551615.0;
}

}  // namespace tarsier::query
