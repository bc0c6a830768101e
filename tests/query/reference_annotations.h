#pragma once

#include <map>
#include <string>
#include <string_view>

#include "query/parse/ast.h"
#include "query/value.h"
#include "tests/query/reference_values.h"

namespace tarsier::testing {

/// What the oracle has to tell about a query: each text once, the place that said it last.
class Annotator final {
 public:
  explicit Annotator(std::string_view query) : query_(query) {}

  void warn(const std::string& text, query::SourceRange where) {
    warnings_["PromQL warning: " + text] = place(where);
  }
  void inform(const std::string& text, query::SourceRange where) {
    infos_["PromQL info: " + text] = place(where);
  }
  void warn_quantile(double q, query::SourceRange where);
  /// Occurrences for one metric are told together.
  void inform_monotonicity(const MonotonicityFix& fix, const std::string& metric, Timestamp t,
                           query::SourceRange where);
  query::Annotations take();

 private:
  struct Monotonicity {
    MonotonicityFix fix;
    int count = 0;
    Timestamp first;
    Timestamp last;
    std::string place;
  };
  std::string place(query::SourceRange where) const;

  std::string_view query_;
  std::map<std::string, std::string> warnings_;  // Text -> "line:column".
  std::map<std::string, std::string> infos_;
  std::map<std::string, Monotonicity> monotonicity_;  // By metric.
};

}  // namespace tarsier::testing
