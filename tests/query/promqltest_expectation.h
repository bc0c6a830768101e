#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "query/value.h"
#include "tests/query/series_notation.h"

namespace tarsier::testing {

/// A text an error or annotation has to have.
struct TextPattern {
  std::string text;
  bool is_regex = false;
  bool matches(const std::string& got) const {
    if (!is_regex) return text.empty() || text == got;
    return std::regex_search(got, std::regex(text));
  }
};

/// One `eval` of a script with everything that is expected of it.
struct Eval {
  int line = 0;
  bool is_range = false;
  Timestamp start;
  Timestamp end;
  Duration step;
  std::string text;

  // What is expected.
  bool ordered = false;
  std::optional<TextPattern> failure;
  std::vector<TextPattern> warnings;
  std::vector<TextPattern> infos;
  bool no_warn = false;
  bool no_info = false;
  std::vector<SeriesLine> series;
  std::optional<double> scalar;
  std::optional<std::string> string;
  std::optional<Timestamp> matrix_start;  ///< Of `expect range vector`.
  Duration matrix_step;
};

/// Whether an instant vector has exactly the expected elements, and in their order if asked for.
Status compare_vector(const Eval& eval, const std::vector<query::VectorElement>& got,
                      bool check_order);
Status compare_scalar(Timestamp t, double want, double got);
/// The whole answer to the query as written.
Status compare_result(const Eval& eval, const query::QueryResult& got);
/// With at least one text wanted, wanted and given texts must cover each other.
Status compare_annotations(const std::vector<TextPattern>& want, bool forbidden,
                           const std::vector<std::string>& got, std::string_view kind);

}  // namespace tarsier::testing
