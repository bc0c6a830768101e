#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tsdb/appender.h"
#include "tsdb/labels.h"

namespace tarsier::ingest {

/// The two line formats differ in what they tolerate inside braces.
enum class Dialect : unsigned char {
  kPrometheusText,  ///< Blanks between tokens, missing commas, raw newlines in values.
  kOpenMetrics,
};

/// The labels of one exposed series, unescaped, in the order they were written, with the name
/// first as `__name__`; empty values and repeated names included. Reused from series to series so
/// that parsing allocates nothing. The views live until the next parse.
class ExposedLabels final {
 public:
  /// Parses `section`: `name`, `name{...}` or `{"name",...}`. Under a TYPE of histogram or summary,
  /// `le` and `quantile` are written canonically, so that all spellings are one series. kInvalid
  /// says what was expected and what stands there instead.
  Status parse_series(std::string_view section, Dialect dialect, tsdb::MetricType type);
  /// Reads a section that is none of text (packed_section.h).
  Status parse_packed(std::string_view section);
  /// Parses the braces of an exemplar, which has no name.
  Status parse_exemplar(std::string_view braces);

  const std::vector<tsdb::LabelView>& views() const { return views_; }

 private:
  void unescape_all(tsdb::MetricType type);

  std::vector<tsdb::LabelView> views_;
  std::string unescaped_;  // What `views_` cannot borrow from the input.
};

/// Appends `text` with `\\`, `\"` and `\n` replaced; any other backslash stays as written.
void append_unescaped(std::string& out, std::string_view text);

/// `expected, got "x" while parsing: "..."`: `at` is the offending place in `text`.
Status syntax_error(std::string_view expected, std::string_view text, std::size_t at);

}  // namespace tarsier::ingest
