#include "base/percent_encoding.h"

namespace tarsier {
namespace {

bool is_plain(char c, std::string_view also_plain) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         also_plain.find(c) != std::string_view::npos;
}

}  // namespace

void append_percent_encoded(std::string& out, std::string_view text, std::string_view also_plain) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_plain(c, also_plain)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
}

std::string percent_encoded(std::string_view text, std::string_view also_plain) {
  std::string out;
  append_percent_encoded(out, text, also_plain);
  return out;
}

}  // namespace tarsier
