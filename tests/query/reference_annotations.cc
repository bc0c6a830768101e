#include "tests/query/reference_annotations.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/number_text.h"
#include "base/quote.h"
#include "base/rfc3339.h"

namespace tarsier::testing {

std::string Annotator::place(query::SourceRange where) const {
  const query::SourcePosition position = query::position_of(query_, where.begin);
  return fmt::format("{}:{}", position.line, position.column);
}

void Annotator::warn_quantile(double q, query::SourceRange where) {
  if (q >= 0 && q <= 1) return;
  warn("quantile value should be between 0 and 1, got " + short_number(q), where);
}

void Annotator::inform_monotonicity(const MonotonicityFix& fix, const std::string& metric,
                                    Timestamp t, query::SourceRange where) {
  Monotonicity& all = monotonicity_[metric];
  if (all.count == 0) {
    all.fix = fix;
    all.first = all.last = t;
  }
  ++all.count;
  all.fix.lowest = std::min(all.fix.lowest, fix.lowest);
  all.fix.highest = std::max(all.fix.highest, fix.highest);
  all.fix.difference_max = std::max(all.fix.difference_max, fix.difference_max);
  all.first = std::min(all.first, t);
  all.last = std::max(all.last, t);
  all.place = place(where);
}

query::Annotations Annotator::take() {
  query::Annotations out;
  for (const auto& [text, where] : warnings_) {
    out.warnings.push_back(fmt::format("{} ({})", text, where));
  }
  for (const auto& [text, where] : infos_) {
    out.infos.push_back(fmt::format("{} ({})", text, where));
  }
  for (const auto& [metric, m] : monotonicity_) {
    out.infos.push_back(fmt::format(
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
        "{}, from buckets {} to {}, with a max diff of {:.2g}, over {} samples from {} to {} ({})",
        metric.empty() ? "" : " for metric name " + quote(metric), short_number(m.fix.lowest),
        short_number(m.fix.highest), m.fix.difference_max, m.count, format_rfc3339(m.first),
        format_rfc3339(m.last), m.place));
  }
  std::ranges::sort(out.infos);
  return out;
}

}  // namespace tarsier::testing
