#include "ingest/exposition/openmetrics.h"

#include <cmath>

#include <fmt/format.h>

#include "base/quote.h"
#include "base/utf8.h"
#include "ingest/exposition/line_parts.h"
#include "ingest/exposition/number.h"
#include "ingest/exposition/scan.h"

namespace tarsier::ingest {
namespace {

constexpr std::string_view kNoEnd = "data does not end with # EOF";
constexpr std::string_view kExemplarStart = " # {";

std::string_view text_between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

bool is_unit_suffix(std::string_view family, std::string_view unit) {
  return family.size() > unit.size() && family.ends_with(unit) &&
         family[family.size() - unit.size() - 1] == '_';
}

}  // namespace

EntryKind OpenMetricsParser::next() {
  line_ = p_;
  if (p_ == end_) return fail(invalid(std::string(kNoEnd)));
  return *p_ == '#' ? read_metadata() : read_sample();
}

EntryKind OpenMetricsParser::read_metadata() {
  const std::string_view rest = text_between(line_, end_);
  if (rest.starts_with("# EOF")) {
    const std::string_view after = rest.substr(5);
    if (after.empty() || after == "\n") return EntryKind::kEnd;
    return fail(invalid("unexpected data after # EOF"));
  }
  constexpr std::size_t kKeywordBytes = 7;  // "# HELP "
  const std::string_view start = rest.substr(0, kKeywordBytes);
  EntryKind kind = EntryKind::kError;
  if (start == "# HELP ") kind = EntryKind::kHelp;
  if (start == "# TYPE ") kind = EntryKind::kType;
  if (start == "# UNIT ") kind = EntryKind::kUnit;
  if (kind == EntryKind::kError) return fail(syntax_error("expected a valid start token", rest, 1));

  const std::string_view keyword = start.substr(2, 4);
  const char* const line_end = find_first_of<'\n'>(line_, end_);
  const char* p = line_ + kKeywordBytes;
  metadata_.family = take_family_name(p, line_end);
  if (metadata_.family.data() == nullptr) {
    return fail(syntax_error(fmt::format("expected metric name after {}", keyword), rest,
                             static_cast<std::size_t>(p - line_)));
  }
  if (p == line_end || *p != ' ') return fail(invalid(fmt::format("expected text in {}", keyword)));
  if (line_end == end_) return fail(invalid(std::string(kNoEnd)));
  p_ = line_end + 1;
  metadata_.text = text_between(p + 1, line_end);
  const std::string shown = quote(metadata_.text.substr(0, 200));
  if (kind == EntryKind::kType) {
    const auto type = parse_metric_type(metadata_.text, Dialect::kOpenMetrics);
    if (!type) return fail(invalid(fmt::format("invalid metric type {}", shown)));
    type_ = *type;
    metadata_.type = *type;
  }
  if (kind == EntryKind::kHelp && !is_valid_utf8(metadata_.text)) {
    return fail(invalid(fmt::format("help text {} is not a valid utf8 string", shown)));
  }
  if (kind == EntryKind::kUnit && !metadata_.text.empty() &&
      !is_unit_suffix(metadata_.family, metadata_.text)) {
    return fail(invalid(fmt::format("unit {} not a suffix of metric {}", shown,
                                    quote(metadata_.family.substr(0, 200)))));
  }
  return kind;
}

EntryKind OpenMetricsParser::read_sample() {
  const char* p = line_;
  if (*p != '{') {
    if (!is_metric_name_start(*p)) return fail_sample("expected a valid start token", p);
    p = find_first_of<'{', ' ', '\n'>(p, end_);
  }
  sample_.section = text_between(line_, p);
  if (p != end_ && *p == '{') {
    const char* const after = skip_label_section(p + 1, end_);
    if (after == nullptr) {
      const char* const line_end = find_first_of<'\n'>(p, end_);
      sample_.section = text_between(line_, line_end);
      return fail_sample("expected label value", line_end);
    }
    sample_.section = text_between(line_, after);
    p = after;
  }
  sample_.type = type_;
  sample_.has_time = false;
  sample_.has_exemplar = false;
  if (!read_number(p, "expected value after metric", sample_.value)) return EntryKind::kError;
  if (p != end_ && *p == ' ' && !text_between(p, end_).starts_with(kExemplarStart)) {
    if (!read_time(p, sample_.time_ms)) return EntryKind::kError;
    sample_.has_time = true;
  }
  if (text_between(p, end_).starts_with(kExemplarStart)) return read_exemplar(p);
  return end_line(p);
}

EntryKind OpenMetricsParser::read_exemplar(const char* p) {
  sample_.has_exemplar = true;
  const char* const brace = p + kExemplarStart.size() - 1;
  const char* const after = skip_label_section(brace + 1, end_);
  const char* const line_end = find_first_of<'\n'>(brace, end_);
  exemplar_.braces = text_between(brace, after == nullptr ? line_end : after);
  if (Status status = exemplar_labels_.parse_exemplar(exemplar_.braces); !status.ok()) {
    return fail(std::move(status));
  }
  p = brace + exemplar_.braces.size();
  exemplar_.has_time = false;
  if (!read_number(p, "expected value after exemplar labels", exemplar_.value)) {
    return EntryKind::kError;
  }
  if (p != end_ && *p == ' ') {
    if (!read_time(p, exemplar_.time_ms)) return EntryKind::kError;
    exemplar_.has_time = true;
  }
  return end_line(p);
}

bool OpenMetricsParser::read_number(const char*& p, std::string_view expected, double& value) {
  const char* const start = p + 1;
  if (p == end_ || *p != ' ') {
    fail_sample(expected, p);
    return false;
  }
  p = find_first_of<' ', '\n'>(start, end_);
  const std::string_view text = text_between(start, p);
  if (text.empty()) {
    fail_sample(expected, start);
    return false;
  }
  const NumberError error = parse_number(text, value);
  if (error == NumberError::kNone) return true;
  fail(number_error(error, text, text_between(line_, p)));
  return false;
}

bool OpenMetricsParser::read_time(const char*& p, std::int64_t& time_ms) {
  const char* const start = p;
  double seconds = 0;
  if (!read_number(p, "expected timestamp or new record", seconds)) return false;
  const double ms = seconds * 1000;
  constexpr double kLimit = 9.2e18;  // Inside the range of 64 bits.
  if (!std::isfinite(seconds) || std::fabs(ms) > kLimit) {
    fail(invalid(fmt::format("invalid timestamp {}", quote(text_between(start + 1, p)))));
    return false;
  }
  time_ms = static_cast<std::int64_t>(ms);  // Truncates, as documented.
  return true;
}

EntryKind OpenMetricsParser::end_line(const char* p) {
  if (p == end_) return fail(invalid(std::string(kNoEnd)));
  if (*p != '\n') return fail_sample("expected next entry after timestamp", p);
  p_ = p + 1;
  return EntryKind::kSeries;
}

Status OpenMetricsParser::labels(const ExposedSample& sample, ExposedLabels& out) const {
  return with_line_number(out.parse_series(sample.section, Dialect::kOpenMetrics, sample.type),
                          body_, sample.section.data());
}

std::string OpenMetricsParser::help() const {
  std::string out;
  append_unescaped(out, metadata_.text);
  return out;
}

EntryKind OpenMetricsParser::fail(Status status) {
  status_ = with_line_number(std::move(status), body_, line_);
  return EntryKind::kError;
}

EntryKind OpenMetricsParser::fail_sample(std::string_view expected, const char* at) {
  ExposedLabels labels;
  if (is_metric_name_start(*line_) || *line_ == '{') {
    Status status = labels.parse_series(sample_.section, Dialect::kOpenMetrics, type_);
    if (!status.ok()) return fail(std::move(status));
  }
  return fail(
      syntax_error(expected, text_between(line_, end_), static_cast<std::size_t>(at - line_)));
}

}  // namespace tarsier::ingest
