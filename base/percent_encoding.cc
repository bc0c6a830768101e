#include "base/percent_encoding.h"

namespace tarsier {
namespace {

bool is_plain(char c, std::string_view also_plain) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         also_plain.find(c) != std::string_view::npos;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class Plus : unsigned char { kIsPlus, kIsBlank };

std::optional<std::string> decode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kIsBlank) {
      out += ' ';
    } else if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
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

std::optional<std::string> percent_decode(std::string_view text) {
  return decode(text, Plus::kIsPlus);
}

std::optional<std::string> form_decode(std::string_view text) {
  return decode(text, Plus::kIsBlank);
}

}  // namespace tarsier
