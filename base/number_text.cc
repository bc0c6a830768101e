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

/// The shortest digits with an exponent: "-1.5e+21".
std::string scientific_number(double v) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
  return {buffer, end.ptr};
}

int exponent_of(std::string_view scientific) {
  std::string_view text = scientific.substr(scientific.find('e') + 1);
  if (text.starts_with('+')) text.remove_prefix(1);
  int exponent = 0;
  std::from_chars(text.data(), text.data() + text.size(), exponent);
  return exponent;
}

}  // namespace

// Not to_chars with the fixed format: that writes large numbers with all the digits of their binary
// value, 1e30 as 1000000000000000019884624838656.
std::string plain_number(double v) {
  if (const std::string_view special = special_text(v); !special.empty()) {
    return std::string(special);
  }
  const std::string scientific = scientific_number(v);
  const int exponent = exponent_of(scientific);
  std::string digits;
  for (const char c : std::string_view(scientific).substr(0, scientific.find('e'))) {
    if (c != '.' && c != '-') digits += c;
  }
  const std::string sign = std::signbit(v) ? "-" : "";
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0');
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string short_number(double v) {
  if (v == 0 || !std::isfinite(v)) return plain_number(v);
  const std::string scientific = scientific_number(v);
  const int exponent = exponent_of(scientific);
  return -4 <= exponent && exponent < 6 ? plain_number(v) : scientific;
}

}  // namespace tarsier
