#include "ingest/exposition/line_parts.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/quote.h"
#include "ingest/exposition/scan.h"

namespace tarsier::ingest {

Status with_line_number(Status status, std::string_view body, const char* at) {
  if (status.ok()) return status;
  const auto line = 1 + std::count(body.data(), at, '\n');
  return std::move(status).with_prefix(fmt::format("line {}", line));
}

Status number_error(NumberError error, std::string_view number, std::string_view line_so_far) {
  constexpr std::size_t kQuotedBytesMax = 200;
  const std::string shown = quote(number.substr(0, kQuotedBytesMax));
  const std::string where = quote(line_so_far.substr(
      line_so_far.size() > kQuotedBytesMax ? line_so_far.size() - kQuotedBytesMax : 0));
  if (error == NumberError::kRange) {
    return invalid(fmt::format("number {} is out of range while parsing: {}", shown, where));
  }
  return invalid(fmt::format("expected a number, got {} while parsing: {}", shown, where));
}

std::optional<tsdb::MetricType> parse_metric_type(std::string_view word, Dialect dialect) {
  using tsdb::MetricType;
  if (word == "counter") return MetricType::kCounter;
  if (word == "gauge") return MetricType::kGauge;
  if (word == "histogram") return MetricType::kHistogram;
  if (word == "summary") return MetricType::kSummary;
  if (dialect == Dialect::kPrometheusText) {
    return word == "untyped" ? std::optional(MetricType::kUnknown) : std::nullopt;
  }
  if (word == "unknown") return MetricType::kUnknown;
  if (word == "gaugehistogram") return MetricType::kGaugeHistogram;
  if (word == "info") return MetricType::kInfo;
  if (word == "stateset") return MetricType::kStateset;
  return std::nullopt;
}

std::string_view take_family_name(const char*& p, const char* end) {
  const char* const start = p;
  if (p != end && is_metric_name_start(*p)) {
    p = skip_metric_name(p, end);
    return {start, static_cast<std::size_t>(p - start)};
  }
  if (p == end || *p != '"') return {};
  for (const char* q = p + 1; q < end; ++q) {
    if (*q == '\\') {
      ++q;
    } else if (*q == '"') {
      p = q + 1;
      return {start + 1, static_cast<std::size_t>(q - start - 1)};
    }
  }
  return {};
}

}  // namespace tarsier::ingest
