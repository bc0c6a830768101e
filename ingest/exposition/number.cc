#include "ingest/exposition/number.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "tsdb/sample.h"

namespace tarsier::ingest {
namespace {

/// Powers of ten that a double holds exactly.
constexpr double kPowers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int kPowerMax = 22;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether `text` is `word` in any case. REQUIRES: `word` is lower case letters.
bool equals_word(std::string_view text, std::string_view word) {
  if (text.size() != word.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] | 0x20) != word[i]) return false;
  }
  return true;
}

/// Clinger's fast path: a mantissa below 2^53 times or divided by an exact power of ten is rounded
/// once, so it is right. Most exposed values are of this kind. False: not this kind.
bool parse_short_decimal(std::string_view text, double& value) {
  const char* p = text.data();
  const char* const end = p + text.size();
  const bool is_negative = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+')) ++p;

  std::uint64_t mantissa = 0;
  const char* const digits = p;
  for (; p < end && is_digit(*p); ++p) mantissa = mantissa * 10 + static_cast<unsigned>(*p - '0');
  std::ptrdiff_t digit_count = p - digits;
  int exponent = 0;
  if (p < end && *p == '.') {
    const char* const fraction = ++p;
    for (; p < end && is_digit(*p); ++p) mantissa = mantissa * 10 + static_cast<unsigned>(*p - '0');
    digit_count += p - fraction;
    if (p - fraction > kPowerMax) return false;
    exponent = -static_cast<int>(p - fraction);
  }
  // 18 digits cannot have overflowed the mantissa.
  if (digit_count == 0 || digit_count > 18) return false;
  if (p < end && (*p | 0x20) == 'e') {
    ++p;
    const bool is_negative_exponent = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) ++p;
    if (p == end || end - p > 3) return false;
    int written = 0;
    for (; p < end && is_digit(*p); ++p) written = written * 10 + (*p - '0');
    exponent += is_negative_exponent ? -written : written;
  }
  if (p != end || mantissa > (std::uint64_t{1} << 53)) return false;
  if (exponent < -kPowerMax || exponent > kPowerMax) return false;

  const double magnitude = exponent < 0 ? static_cast<double>(mantissa) / kPowers[-exponent]
                                        : static_cast<double>(mantissa) * kPowers[exponent];
  value = is_negative ? -magnitude : magnitude;
  return true;
}

}  // namespace

NumberError parse_number(std::string_view text, double& value) {
  if (parse_short_decimal(text, value)) return NumberError::kNone;
  if (equals_word(text, "nan")) {
    value = std::bit_cast<double>(tsdb::kNormalNanBits);
    return NumberError::kNone;
  }
  const bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) text.remove_prefix(1);
  double magnitude = 0;
  if (equals_word(text, "inf") || equals_word(text, "infinity")) {
    magnitude = HUGE_VAL;
  } else {
    // from_chars knows words of its own and a second minus.
    if (text.empty() || (!is_digit(text[0]) && text[0] != '.')) return NumberError::kSyntax;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, magnitude);
    if (stopped != end) return NumberError::kSyntax;
    if (error == std::errc::result_out_of_range) {  // Either end of the range; only strtod tells.
      magnitude = std::strtod(std::string(text).c_str(), nullptr);
      if (std::isinf(magnitude)) return NumberError::kRange;
    } else if (error != std::errc()) {
      return NumberError::kSyntax;
    }
  }
  value = is_negative ? -magnitude : magnitude;
  return NumberError::kNone;
}

std::string format_openmetrics_number(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "+Inf" : "-Inf";
  char buffer[40];
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
  std::string text(buffer, scientific.ptr);
  const int exponent = std::atoi(text.c_str() + text.find('e') + 1);
  if (exponent < -4 || exponent > 5) return text;
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed);
  text.assign(buffer, fixed.ptr);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace tarsier::ingest
