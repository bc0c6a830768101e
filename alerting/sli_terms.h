#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/slo.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

// From what a file says to what is counted, and to PromQL.

/// `text` with the window's length in the place of every `$window`.
std::string with_window(std::string_view text, Duration window);

/// The increase a query gives, as a sum of counted series.
struct QueryTerms {
  std::vector<SliTerm> terms;  ///< `total_weight` is the factor of each.
  std::vector<std::string> grouping;
};
/// Reads sums and differences of `sum by (...) (rate(x[$window]))`, also with increase,
/// count_over_time and sum_over_time. Nothing where the query is of another shape; kInvalid where
/// it is no PromQL.
Result<std::optional<QueryTerms>> terms_of_query(std::string_view query);

/// The summands of an indicator; empty where events cannot be counted. `grouping` is set to what
/// its queries group by, where it has queries.
Result<std::vector<SliTerm>> terms_of(const SliDefinition& sli, std::vector<std::string>& grouping);

/// Bad events, all events and their ratio in a window, as PromQL. The first two are empty where the
/// indicator is a ratio.
struct SliQueries {
  std::string bad;
  std::string total;
  std::string ratio;
};
SliQueries queries_of(const SliDefinition& sli, const std::vector<std::string>& group_by,
                      Duration window);
/// The same with `$window` where its length goes.
SliQueries query_templates_of(const SliDefinition& sli, const std::vector<std::string>& group_by);

/// Matchers as a selector: `name{a="b"}`.
std::string selector_text(const std::vector<tsdb::Matcher>& matchers);
/// A matcher of the bucket with this bound, however its exporter writes numbers.
Result<tsdb::Matcher> bucket_matcher(double bound);
/// `name{matchers}` of a selector's text with `suffix` behind the name; kInvalid without a name.
Result<std::string> with_suffix(std::string_view selector, std::string_view suffix);

}  // namespace tarsier::alerting
