#include "query/functions/numbers.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

namespace tarsier::query {
namespace {

/// What has no digits, spelled as Go does; empty for a number.
std::string_view special_text(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "+Inf" : "-Inf";
  return "";
}

/// The shortest digits that read back equal: "-1.5e+21".
std::string scientific(double v) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
  return {buffer, end.ptr};
}

/// The same digits without the exponent, padded with zeros.
std::string plain(std::string_view scientific_text) {
  std::string out;
  if (scientific_text.front() == '-') {
    out = "-";
    scientific_text.remove_prefix(1);
  }
  const std::size_t e = scientific_text.find('e');
  const int exponent = std::atoi(std::string(scientific_text.substr(e + 1)).c_str());
  std::string digits(scientific_text.substr(0, e));
  std::erase(digits, '.');
  if (exponent < 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-exponent - 1), '0');
    return out + digits;
  }
  const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) {
    digits.append(whole - digits.size(), '0');
    return out + digits;
  }
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

}  // namespace

bool almost_equal(double a, double b, double tolerance) {
  if (tsdb::is_stale_marker(a) || tsdb::is_stale_marker(b)) {
    return tsdb::is_stale_marker(a) && tsdb::is_stale_marker(b);
  }
  if (std::isnan(a) && std::isnan(b)) return true;
  if (a == b) return true;
  const double sum = std::fabs(a) + std::fabs(b);
  const double difference = std::fabs(a - b);
  constexpr double smallest = std::numeric_limits<double>::min();
  if (a == 0 || b == 0 || sum < smallest) return difference < tolerance * smallest;
  return difference / std::min(sum, std::numeric_limits<double>::max()) < tolerance;
}

std::string format_g(double v) {
  if (const std::string_view special = special_text(v); !special.empty()) {
    return std::string(special);
  }
  const std::string text = scientific(v);
  const int exponent = std::atoi(text.c_str() + text.find('e') + 1);
  return exponent < -4 || exponent >= 6 ? text : plain(text);
}

std::string format_f(double v) {
  if (const std::string_view special = special_text(v); !special.empty()) {
    return std::string(special);
  }
  return plain(scientific(v));
}

std::string format_g2(double v) {
  if (const std::string_view special = special_text(v); !special.empty()) {
    return std::string(special);
  }
  return fmt::format("{:.2g}", v);
}

}  // namespace tarsier::query
