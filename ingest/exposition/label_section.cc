#include "ingest/exposition/label_section.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/quote.h"
#include "base/utf8.h"
#include "ingest/exposition/number.h"
#include "ingest/exposition/packed_section.h"
#include "ingest/exposition/scan.h"

namespace tarsier::ingest {
namespace {

/// Messages are for people: a label value of a megabyte is cut.
constexpr std::size_t kQuotedBytesMax = 200;

bool is_label_start(char c) { return is_metric_name_start(c) && c != ':'; }
bool is_label_char(char c) { return is_label_start(c) || (c >= '0' && c <= '9'); }

/// Walks one label section. `text` may be longer than the section.
class SectionReader final {
 public:
  SectionReader(std::string_view text, Dialect dialect) : text_(text), dialect_(dialect) {}

  Status read_series(std::vector<tsdb::LabelView>& out) {
    out.push_back({tsdb::kMetricName, {}});
    at_ = static_cast<std::size_t>(skip_metric_name(text_.data(), text_.data() + text_.size()) -
                                   text_.data());
    out[0].value = text_.substr(0, at_);
    skip_blanks();
    if (current() == '{') TRY(read_braces(out, true));
    if (at_ != text_.size()) return error("expected value after metric");
    if (out[0].value.empty()) {
      return invalid(fmt::format("metric name not set while parsing: {}", quoted(text_)));
    }
    return {};
  }

  /// Reads from `{` to `}`. A quoted string alone is the metric name, stored in the first of
  /// `out`; where there can be none, `has_name` is false.
  Status read_braces(std::vector<tsdb::LabelView>& out, bool has_name) {
    ++at_;
    for (;;) {
      skip_blanks();
      if (current() == '}') {
        ++at_;
        return {};
      }
      const bool is_quoted = current() == '"';
      const std::string_view name = is_quoted ? read_quoted() : read_bare_name();
      if (name.data() == nullptr) return error("expected label name");
      skip_blanks();
      if (is_quoted && (current() == ',' || current() == '}')) {
        if (!has_name) return error("expected equal");
        if (!out[0].value.empty()) {
          return invalid(fmt::format("metric name already set while parsing: {}",
                                     quoted(text_.substr(0, at_))));
        }
        out[0].value = name;
        if (current() == ',') ++at_;
        continue;
      }
      if (current() != '=') return error("expected equal");
      ++at_;
      skip_blanks();
      const std::string_view value = read_quoted();
      if (value.data() == nullptr) return error("expected label value");
      if (!is_valid_utf8(value)) {
        return invalid(fmt::format("invalid UTF-8 label value: {}", quoted(value)));
      }
      out.push_back({name, value});
      skip_blanks();
      if (current() == ',') {
        ++at_;
      } else if (dialect_ == Dialect::kOpenMetrics && current() != '}') {
        return error("expected comma or brace close");
      }
    }
  }

 private:
  /// NUL at the end, which is no token anywhere.
  char current() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_blanks() {
    if (dialect_ == Dialect::kOpenMetrics) return;
    while (current() == ' ' || current() == '\t') ++at_;
  }

  /// Null data if there is no name here.
  std::string_view read_bare_name() {
    if (!is_label_start(current())) return {};
    const std::size_t start = at_;
    while (is_label_char(current())) ++at_;
    return text_.substr(start, at_ - start);
  }

  /// What stands between the quotes, still escaped. Null data if there is no quoted text here.
  std::string_view read_quoted() {
    if (current() != '"') return {};
    for (std::size_t i = at_ + 1; i < text_.size(); ++i) {
      if (text_[i] == '\n' && dialect_ == Dialect::kOpenMetrics) break;
      if (text_[i] == '\\') {
        ++i;
      } else if (text_[i] == '"') {
        const std::string_view inside = text_.substr(at_ + 1, i - at_ - 1);
        at_ = i + 1;
        return inside;
      }
    }
    return {};
  }

  Status error(std::string_view expected) const { return syntax_error(expected, text_, at_); }

  static std::string quoted(std::string_view text) {
    return quote(text.substr(0, kQuotedBytesMax));
  }

  std::string_view text_;
  Dialect dialect_;
  std::size_t at_ = 0;
};

bool is_normalised(tsdb::MetricType type, std::string_view label) {
  return (type == tsdb::MetricType::kHistogram && label == "le") ||
         (type == tsdb::MetricType::kSummary && label == "quantile");
}

bool has_escape(std::string_view text) { return text.find('\\') != std::string_view::npos; }

}  // namespace

Status syntax_error(std::string_view expected, std::string_view text, std::size_t at) {
  at = std::min(at, text.size());
  const std::size_t context = at > kQuotedBytesMax ? at - kQuotedBytesMax : 0;
  const std::string got = at < text.size() ? quote(text.substr(at, 1)) : "end of input";
  return invalid(fmt::format("{}, got {} while parsing: {}", expected, got,
                             quote(text.substr(context, at + 1 - context))));
}

void append_unescaped(std::string& out, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next == '\\' || next == '"' || next == 'n') {
      out += next == 'n' ? '\n' : next;
      ++i;
    } else {
      out += text[i];
    }
  }
}

Status ExposedLabels::parse_series(std::string_view section, Dialect dialect,
                                   tsdb::MetricType type) {
  views_.clear();
  TRY(SectionReader(section, dialect).read_series(views_));
  unescape_all(type);
  return {};
}

Status ExposedLabels::parse_packed(std::string_view section) {
  return read_packed(section, views_);
}

Status ExposedLabels::parse_exemplar(std::string_view braces) {
  views_.clear();
  TRY(SectionReader(braces, Dialect::kOpenMetrics).read_braces(views_, false));
  unescape_all(tsdb::MetricType::kUnknown);
  return {};
}

void ExposedLabels::unescape_all(tsdb::MetricType type) {
  constexpr std::size_t kNumberBytesMax = 32;
  std::size_t bytes = 0;
  for (const tsdb::LabelView& label : views_) {
    if (has_escape(label.name)) bytes += label.name.size();
    if (has_escape(label.value)) bytes += label.value.size();
    if (is_normalised(type, label.name)) bytes += kNumberBytesMax;
  }
  unescaped_.clear();
  if (bytes == 0) return;
  unescaped_.reserve(bytes);  // Views into it stay valid while it grows.
  const auto own = [&](std::size_t start) { return std::string_view(unescaped_).substr(start); };
  for (tsdb::LabelView& label : views_) {
    for (std::string_view* part : {&label.name, &label.value}) {
      if (!has_escape(*part)) continue;
      const std::size_t start = unescaped_.size();
      append_unescaped(unescaped_, *part);
      *part = own(start);
    }
    double number = 0;
    if (is_normalised(type, label.name) &&
        parse_number(label.value, number) == NumberError::kNone) {
      const std::size_t start = unescaped_.size();
      unescaped_ += format_openmetrics_number(number);
      label.value = own(start);
    }
  }
}

}  // namespace tarsier::ingest
