#include "tracing/tempo_time.h"

#include <charconv>
#include <cmath>
#include <string>

#include "base/rfc3339.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing {
namespace {

constexpr std::size_t kSecondsDigitsMax = 10;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

std::optional<double> plain_number_of(std::string_view text) {
  double v = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), v, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return v;
}

}  // namespace

Result<std::int64_t> parse_tempo_time_ns(std::string_view text) {
  std::int64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error == std::errc{} && end == text.data() + text.size() && whole >= 0) {
    return text.size() <= kSecondsDigitsMax ? whole * kNanosPerSecond : whole;
  }
  if (const auto seconds = plain_number_of(text); seconds && *seconds >= 0 && *seconds < 9.2e9) {
    return std::llround(*seconds * 1e9);
  }
  if (const auto t = parse_rfc3339(text); t && t->ms >= 0 && t->ms < 9'200'000'000'000) {
    return t->ms * 1'000'000;
  }
  return invalid("not a time: " + std::string(text));
}

Result<std::int64_t> parse_tempo_duration_ns(std::string_view text) {
  if (const auto seconds = plain_number_of(text); seconds && *seconds >= 0 && *seconds < 9.2e9) {
    return std::llround(*seconds * 1e9);
  }
  if (const auto ns = traceql::parse_duration_ns(text)) return *ns;
  return invalid("not a duration: " + std::string(text));
}

}  // namespace tarsier::tracing
