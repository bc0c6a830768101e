#include "base/quote.h"

#include "base/utf8.h"

namespace tarsier {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex_byte(std::string& out, char c) {
  const auto byte = static_cast<unsigned char>(c);
  out += "\\x";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

/// The character Go writes after the backslash, or 0.
char short_escape(char c) {
  switch (c) {
    case '"': return '"';
    case '\\': return '\\';
    case '\a': return 'a';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    case '\v': return 'v';
    default: return 0;
  }
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t size = utf8_sequence_size(text);
    const char c = text[0];
    if (const char escape = short_escape(c)) {
      out += '\\';
      out += escape;
    } else if (size == 0 || (size == 1 && (c < ' ' || c == 0x7f))) {
      append_hex_byte(out, c);
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  out += '"';
  return out;
}

}  // namespace tarsier
