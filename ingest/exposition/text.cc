#include "ingest/exposition/text.h"

#include <charconv>

#include <fmt/format.h>

#include "base/quote.h"
#include "base/utf8.h"
#include "ingest/exposition/line_parts.h"
#include "ingest/exposition/number.h"
#include "ingest/exposition/scan.h"

namespace tarsier::ingest {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

const char* skip_blanks(const char* p, const char* end) {
  while (p != end && is_blank(*p)) ++p;
  return p;
}

bool is_value_end(char c) { return is_blank(c) || c == '\n' || c == '{'; }

/// The keyword of a metadata line; empty for any other comment. `p` moves behind it and its blanks.
std::string_view take_keyword(const char*& p, const char* end) {
  const std::string_view rest(p, static_cast<std::size_t>(end - p));
  for (const std::string_view keyword : {"HELP", "TYPE"}) {
    if (!rest.starts_with(keyword)) continue;
    const char* const after = p + keyword.size();
    if (after == end || !is_blank(*after)) continue;
    p = skip_blanks(after, end);
    return keyword;
  }
  return {};
}

}  // namespace

EntryKind TextParser::next() {
  for (;; ++p_) {  // Past a blank line.
    p_ = skip_blanks(p_, end_);
    if (p_ == end_ || *p_ == '\0') return EntryKind::kEnd;
    line_ = p_;
    if (*p_ == '#') return read_comment();
    if (*p_ != '\n') return read_sample();
  }
}

EntryKind TextParser::read_comment() {
  const char* const line_end = find_first_of<'\n'>(p_, end_);
  const char* p = p_ + 1;
  p_ = line_end == end_ ? end_ : line_end + 1;
  if (p == line_end || !is_blank(*p)) return EntryKind::kComment;
  p = skip_blanks(p, line_end);
  const std::string_view keyword = take_keyword(p, line_end);
  if (keyword.empty()) return EntryKind::kComment;

  metadata_.family = take_family_name(p, line_end);
  const std::string_view line(line_, static_cast<std::size_t>(line_end - line_));
  if (metadata_.family.data() == nullptr) {
    return fail(syntax_error(fmt::format("expected metric name after {}", keyword), line,
                             static_cast<std::size_t>(p - line_)));
  }
  // One separator; what else stands before the text is part of it, but blanks alone are no text.
  if (skip_blanks(p, line_end) == line_end) p = line_end;
  if (p != line_end) ++p;
  metadata_.text = {p, static_cast<std::size_t>(line_end - p)};
  if (keyword == "HELP") {
    if (is_valid_utf8(metadata_.text)) return EntryKind::kHelp;
    return fail(invalid(fmt::format("help text {} is not a valid utf8 string",
                                    quote(metadata_.text.substr(0, 200)))));
  }
  const auto type = parse_metric_type(metadata_.text, Dialect::kPrometheusText);
  if (!type) {
    return fail(
        invalid(fmt::format("invalid metric type {}", quote(metadata_.text.substr(0, 200)))));
  }
  type_ = *type;
  metadata_.type = *type;
  return EntryKind::kType;
}

EntryKind TextParser::read_sample() {
  const char* p = line_;
  if (*p != '{') {
    if (!is_metric_name_start(*p)) return fail_sample("expected a valid start token", p);
    p = find_first_of<'{', ' ', '\t', '\n'>(p, end_);
  }
  sample_.section = {line_, static_cast<std::size_t>(p - line_)};
  p = skip_blanks(p, end_);
  if (p != end_ && *p == '{') {
    const char* const after = skip_label_section(p + 1, end_);
    if (after == nullptr) {
      const char* const line_end = find_first_of<'\n'>(p, end_);
      sample_.section = {line_, static_cast<std::size_t>(line_end - line_)};
      return fail_sample("expected label value", line_end);
    }
    sample_.section = {line_, static_cast<std::size_t>(after - line_)};
    p = skip_blanks(after, end_);
  }

  const char* const number = p;
  while (p != end_ && !is_value_end(*p)) ++p;
  if (p == number) return fail_sample("expected value after metric", p);
  const std::string_view text(number, static_cast<std::size_t>(p - number));
  if (const NumberError error = parse_number(text, sample_.value); error != NumberError::kNone) {
    return fail(number_error(error, text, {line_, static_cast<std::size_t>(p - line_)}));
  }
  sample_.type = type_;
  sample_.has_time = false;
  p = skip_blanks(p, end_);
  if (p != end_ && *p != '\n') {
    if (*p < '0' || *p > '9') return fail_sample("expected timestamp or new record", p);
    const auto [after, error] = std::from_chars(p, end_, sample_.time_ms);
    if (error != std::errc()) return fail_sample("expected timestamp of at most 64 bits", p);
    sample_.has_time = true;
    p = skip_blanks(after, end_);
    if (p != end_ && *p != '\n') return fail_sample("expected next entry after timestamp", p);
  }
  p_ = p == end_ ? p : p + 1;
  return EntryKind::kSeries;
}

Status TextParser::labels(const ExposedSample& sample, ExposedLabels& out) const {
  return with_line_number(out.parse_series(sample.section, Dialect::kPrometheusText, sample.type),
                          body_, sample.section.data());
}

std::string TextParser::help() const {
  // Unlike label values, HELP has no escape for the quote.
  std::string out;
  const std::string_view text = metadata_.text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next == '\\' || next == 'n') {
      out += next == 'n' ? '\n' : next;
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

EntryKind TextParser::fail(Status status) {
  status_ = with_line_number(std::move(status), body_, line_);
  return EntryKind::kError;
}

EntryKind TextParser::fail_sample(std::string_view expected, const char* at) {
  ExposedLabels labels;
  if (is_metric_name_start(*line_) || *line_ == '{') {
    Status status = labels.parse_series(sample_.section, Dialect::kPrometheusText, type_);
    if (!status.ok()) return fail(std::move(status));
  }
  return fail(syntax_error(expected, {line_, static_cast<std::size_t>(end_ - line_)},
                           static_cast<std::size_t>(at - line_)));
}

}  // namespace tarsier::ingest
