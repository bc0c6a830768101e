#include "base/number_text.h"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <string_view>

namespace tarsier {
namespace {

/// Empty for a number that has digits.
std::string_view special_text(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "+Inf" : "-Inf";
  return "";
}

/// From here on doubles have gaps wider than 1, and the shortest digits are fewer than those of the
/// binary value.
constexpr double kExactMax = 9007199254740992.0;

int exponent_of(std::string_view scientific) {
  std::string_view text = scientific.substr(scientific.find('e') + 1);
  if (text.starts_with('+')) text.remove_prefix(1);
  int exponent = 0;
  std::from_chars(text.data(), text.data() + text.size(), exponent);
  return exponent;
}

void append_digits(std::string& out, double v, std::chars_format format) {
  char buffer[512];  // Written out in full a double has at most some 350 characters.
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, v, format).ptr);
}

}  // namespace

void append_plain_number(std::string& out, double v) {
  if (std::fabs(v) < kExactMax) return append_digits(out, v, std::chars_format::fixed);
  if (!std::isfinite(v)) {
    out += special_text(v);
    return;
  }
  // to_chars with the fixed format would write all digits of the binary value, 1e30 as
  // 1000000000000000019884624838656. The shortest ones all stand before the point.
  const std::size_t begin = out.size();
  append_digits(out, v, std::chars_format::scientific);
  const std::size_t e = out.find('e', begin);
  const auto whole = static_cast<std::size_t>(exponent_of(std::string_view(out).substr(begin))) + 1;
  out.resize(e);
  std::size_t digits = out.size() - begin - (v < 0 ? 1 : 0);
  if (const std::size_t point = out.find('.', begin); point != std::string::npos) {
    out.erase(point, 1);
    --digits;
  }
  out.append(whole - digits, '0');
}

std::string plain_number(double v) {
  std::string out;
  append_plain_number(out, v);
  return out;
}

void append_scientific_number(std::string& out, double v) {
  if (!std::isfinite(v)) {
    out += special_text(v);
    return;
  }
  append_digits(out, v, std::chars_format::scientific);
}

std::string short_number(double v) {
  if (v == 0 || !std::isfinite(v)) return plain_number(v);
  std::string scientific;
  append_scientific_number(scientific, v);
  const int exponent = exponent_of(scientific);
  return -4 <= exponent && exponent < 6 ? plain_number(v) : scientific;
}

}  // namespace tarsier
