#include "tsdb/head/series_admission.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/quote.h"

namespace tarsier::tsdb {
namespace {

/// Refusals in between two looks at who is to blame, at least.
constexpr std::size_t kBlameInterval = 1000;

/// Series with this value of this label.
std::size_t series_with(const LabelPairs& pairs, std::string_view name, std::string_view value) {
  const auto pair = pairs.find(name, value);
  return pair ? pairs.user_count(*pair) : 0;
}

}  // namespace

SeriesAdmission::SeriesAdmission(const Options& options)
    : series_max_(options.head_series_max),
      metric_series_max_(options.metric_series_max),
      label_series_max_(options.label_series_max),
      head_bytes_max_(options.memory_limit_bytes / 100 * options.memory_head_percent) {}

Status SeriesAdmission::check(const Labels& labels, const LabelPairs& pairs,
                              const HeadPostings& postings, std::size_t series_count) {
  if (series_max_ != 0 && series_count >= series_max_) {
    return refuse(fmt::format("the head has {} series, its limit is {}", series_count, series_max_),
                  refused_by_head_, labels, pairs, postings);
  }
  if (metric_series_max_ != 0) {
    const std::string_view metric = labels.get(kMetricName);
    const std::size_t count = metric.empty() ? 0 : series_with(pairs, kMetricName, metric);
    if (count >= metric_series_max_) {
      return refuse(fmt::format("metric {} has {} series, its limit is {}", quote(metric), count,
                                metric_series_max_),
                    refused_by_metric_, labels, pairs, postings);
    }
  }
  for (const LabelSeriesLimit& limit : label_series_max_) {
    const std::string_view value = labels.get(limit.label);
    if (value.empty()) continue;
    const std::size_t count = series_with(pairs, limit.label, value);
    if (count < limit.series_max) continue;
    return refuse(fmt::format("{}={} has {} series, its limit is {}", limit.label, quote(value),
                              count, limit.series_max),
                  refused_by_label_, labels, pairs, postings);
  }
  if (memory_is_full_.load(std::memory_order_relaxed)) {
    return refuse("memory is used up to its limit", refused_by_memory_, labels, pairs, postings);
  }
  if (head_bytes_max_ != 0 && head_bytes() >= head_bytes_max_) {
    return refuse(fmt::format("the head uses {} MiB of memory, its share is {} MiB",
                              head_bytes() >> 20, head_bytes_max_ >> 20),
                  refused_by_memory_, labels, pairs, postings);
  }
  return {};
}

Status SeriesAdmission::refuse(std::string reason, Counter& counter, const Labels& labels,
                               const LabelPairs& pairs, const HeadPostings& postings) {
  counter.add();
  if (refusals_until_blame_ == 0) find_blame(pairs, postings);
  --refusals_until_blame_;
  return limit_exceeded(fmt::format(
      "{}: new series {} refused; metric {} has most series ({}), label {} most values ({})",
      reason, labels.to_string(), quote(blame_.metric), blame_.series_count, quote(blame_.label),
      blame_.value_count));
}

void SeriesAdmission::find_blame(const LabelPairs& pairs, const HeadPostings& postings) {
  blame_ = {};
  std::size_t steps = pairs.name_count();
  for (NameId name = 0; name < pairs.name_count(); ++name) {
    const std::size_t count = postings.pairs_of(name).size();
    if (count <= blame_.value_count) continue;
    blame_.value_count = count;
    blame_.label = pairs.name_text(name);
  }
  if (const auto name = pairs.find_name(kMetricName)) {
    const auto metrics = postings.pairs_of(*name);
    steps += metrics.size();
    const auto most = std::max_element(metrics.begin(), metrics.end(), [&](PairId a, PairId b) {
      return pairs.user_count(a) < pairs.user_count(b);
    });
    if (most != metrics.end()) {
      blame_.metric = pairs.value(*most);
      blame_.series_count = pairs.user_count(*most);
    }
  }
  refusals_until_blame_ = std::max(kBlameInterval, steps);
}

void SeriesAdmission::collect(MetricWriter& out) const {
  for (const auto& [limit, counter] :
       {std::pair("head", &refused_by_head_), std::pair("metric", &refused_by_metric_),
        std::pair("label", &refused_by_label_), std::pair("memory", &refused_by_memory_)}) {
    out.counter("tarsier_tsdb_series_refused_total", "New series refused, by the limit they met.",
                static_cast<double>(counter->value()), {{"limit", limit}});
  }
  out.gauge("tarsier_tsdb_head_bytes", "Anonymous memory of the head's structures.",
            static_cast<double>(head_bytes()));
  out.gauge("tarsier_tsdb_head_bytes_max",
            "Share of the memory limit the head may use before it refuses new series; 0: none.",
            static_cast<double>(head_bytes_max_));
}

}  // namespace tarsier::tsdb
