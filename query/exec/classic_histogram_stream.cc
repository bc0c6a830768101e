#include "query/exec/classic_histogram_stream.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/quote.h"
#include "query/exec/annotator.h"
#include "query/exec/grouper.h"
#include "query/functions/classic_histogram.h"
#include "query/histogram/statistics.h"

namespace tarsier::query {
namespace {

/// What annotations add where the metric's name is still known.
std::string optional_metric_text(const Context& context, std::string_view name) {
  if (!context.options.delayed_name_removal || name.empty()) return "";
  return " for metric name " + quote(name);
}

constexpr std::uint32_t kNoSeries = std::numeric_limits<std::uint32_t>::max();

struct BucketSeries {
  double bound;
  std::uint32_t series;
};

struct HistogramSeries {
  tsdb::Labels labels;
  bool drops_name = false;
  std::vector<BucketSeries> buckets;  // By bound.
  std::uint32_t native = kNoSeries;   // The series whose native histograms have these labels.
};

class HistogramStream final : public VectorStream {
 public:
  HistogramStream(Context& context, StreamPtr buckets, std::vector<HistogramSeries> histograms,
                  HistogramQuestion question)
      : VectorStream(buckets->grid()),
        context_(context),
        buckets_(std::move(buckets)),
        histograms_(std::move(histograms)),
        question_(std::move(question)) {}

  std::size_t size() const override { return histograms_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return histograms_[i].labels; }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return histograms_[i].labels.get(name);
  }
  bool drops_name(std::size_t i) const override { return histograms_[i].drops_name; }
  bool may_have_names() const override { return buckets_->may_have_names(); }
  bool is_distinct_without_names() const override { return false; }
  bool may_have_histograms() const override { return false; }

  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    const std::size_t steps = grid().count;
    const bool is_mixed = buckets_->may_have_histograms();
    auto wanted = scratch.indices();
    std::vector<ClassicBucket> present;
    for (std::size_t i = 0; i < series.size(); ++i) {
      const HistogramSeries& histogram = histograms_[series[i]];
      wanted->clear();
      for (const BucketSeries& bucket : histogram.buckets) wanted->push_back(bucket.series);
      const std::size_t bucket_series = wanted->size();
      if (histogram.native != kNoSeries) wanted->push_back(histogram.native);
      auto counts = scratch.doubles(wanted->size() * steps);
      const HistogramScope scope(scratch.histograms());
      TRY(buckets_->read(*wanted, counts->data(), scratch));
      for (std::size_t k = 0; k < steps; ++k) {
        present.clear();
        for (std::size_t b = 0; b < bucket_series; ++b) {
          const double count = (*counts)[b * steps + k];
          if (is_absent(count) || (is_mixed && is_histogram(count))) continue;
          present.push_back({histogram.buckets[b].bound, count});
        }
        double& cell = rows[i * steps + k];
        const double native =
            bucket_series < wanted->size() ? (*counts)[bucket_series * steps + k] : absent_value();
        if (is_histogram(native)) {
          cell = present.empty() ? answer(histogram, k, view_of(histogram_in(native)))
                                 : refuse_both(histogram);
        } else {
          cell = present.empty() ? absent_value() : answer(histogram, k, present);
        }
      }
    }
    return {};
  }

 private:
  std::string metric_text(const HistogramSeries& histogram) const {
    return optional_metric_text(context_, histogram.labels.get(tsdb::kMetricName));
  }

  /// The same histogram twice, in two forms: nobody knows which one counts.
  double refuse_both(const HistogramSeries& histogram) const {
    context_.annotator.warn(
        "vector contains a mix of classic and native histograms" + metric_text(histogram),
        question_.buckets_source);
    return absent_value();
  }

  double answer(const HistogramSeries& histogram, std::size_t k, const HistogramView& h) const {
    const Answer answer = question_.kind == HistogramQuestion::Kind::kFraction
                              ? histogram_fraction(question_.first[k], question_.second[k], h)
                              : histogram_quantile(question_.first[k], h);
    const auto inform = [&](const char* text) {
      context_.annotator.inform(text + metric_text(histogram), question_.buckets_source);
    };
    switch (answer.finding) {
      case NanFinding::kNone: break;
      case NanFinding::kResultIsNan:
        inform("input to histogram_quantile has NaN observations, result is NaN");
        break;
      case NanFinding::kSkewedHigher:
        inform("input to histogram_quantile has NaN observations, result is skewed higher");
        break;
      case NanFinding::kExcluded:
        inform(
            "input to histogram_fraction has NaN observations, which are excluded from all "
            "fractions");
        break;
    }
    return answer.value;
  }

  double answer(const HistogramSeries& histogram, std::size_t k,
                std::vector<ClassicBucket>& buckets) const {
    if (question_.kind == HistogramQuestion::Kind::kFraction) {
      return classic_fraction(question_.first[k], question_.second[k], buckets);
    }
    BucketFix fix;
    const double quantile = classic_quantile(question_.first[k], buckets, fix);
    if (fix.is_needed) {
      const std::int64_t time_ms = grid().time_ms(k);
      std::string text =
          "input to histogram_quantile needed to be fixed for monotonicity (see "
          "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
      text += metric_text(histogram);
      context_.annotator.inform_of_fix(
          std::move(text), question_.buckets_source,
          MonotonicityFix{fix.bound_min, fix.bound_max, fix.difference_max, 1, time_ms, time_ms});
    }
    return quantile;
  }

  Context& context_;
  const StreamPtr buckets_;
  const std::vector<HistogramSeries> histograms_;
  const HistogramQuestion question_;
};

/// Which bucket series make which histogram. A series without a usable bound is told about once it
/// turns out to have a value.
struct Sorted {
  std::vector<HistogramSeries> histograms;
  std::vector<std::uint32_t> malformed;
};

Result<Sorted> sort_buckets(Context& context, const VectorStream& buckets) {
  Grouper grouper(context, GroupBy{GroupBy::Kind::kExcept, {"le"}});
  const std::vector<std::uint32_t> groups = TRY(grouper.add(buckets));
  Sorted sorted;
  sorted.histograms.resize(grouper.group_count());
  for (std::uint32_t i = 0; i < buckets.size(); ++i) {
    double bound = 0;
    if (!parse_bound(buckets.label(i, "le"), bound)) {
      sorted.malformed.push_back(i);
      continue;
    }
    HistogramSeries& histogram = sorted.histograms[groups[i]];
    histogram.labels = grouper.labels(groups[i]);
    histogram.drops_name = histogram.drops_name || buckets.drops_name(i);
    histogram.buckets.push_back({bound, i});
  }
  std::erase_if(sorted.histograms, [](const HistogramSeries& h) { return h.buckets.empty(); });
  for (HistogramSeries& histogram : sorted.histograms) {
    std::stable_sort(
        histogram.buckets.begin(), histogram.buckets.end(),
        [](const BucketSeries& a, const BucketSeries& b) { return a.bound < b.bound; });
  }
  return sorted;
}

/// Every series may hold native histograms, under its own labels.
void add_native_series(const VectorStream& series, std::vector<HistogramSeries>& histograms) {
  std::unordered_map<tsdb::Labels, std::size_t> positions;
  for (std::size_t i = 0; i < histograms.size(); ++i) positions.emplace(histograms[i].labels, i);
  for (std::uint32_t i = 0; i < series.size(); ++i) {
    const auto [found, is_new] = positions.try_emplace(series.labels(i), histograms.size());
    if (is_new) {
      HistogramSeries& added = histograms.emplace_back();
      added.labels = found->first;
      added.drops_name = series.drops_name(i);
    }
    histograms[found->second].native = i;
  }
}

Status warn_of_malformed(Context& context, const VectorStream& buckets,
                         const std::vector<std::uint32_t>& malformed, SourceRange where) {
  Scratch scratch;
  std::vector<double> row(buckets.grid().count);
  for (const std::uint32_t i : malformed) {
    const HistogramScope scope(scratch.histograms());
    TRY(buckets.read({&i, 1}, row.data(), scratch));
    if (std::none_of(row.begin(), row.end(), is_float)) continue;
    std::string text = "bucket label \"le\" is missing or has a malformed value of " +
                       quote(buckets.label(i, "le"));
    text += optional_metric_text(context, buckets.label(i, tsdb::kMetricName));
    context.annotator.warn(std::move(text), where);
  }
  return {};
}

}  // namespace

Result<StreamPtr> ask_histograms(Context& context, StreamPtr buckets, HistogramQuestion question) {
  Sorted sorted = TRY(sort_buckets(context, *buckets));
  TRY(warn_of_malformed(context, *buckets, sorted.malformed, question.buckets_source));
  if (buckets->may_have_histograms()) add_native_series(*buckets, sorted.histograms);
  return StreamPtr(std::make_unique<HistogramStream>(
      context, std::move(buckets), std::move(sorted.histograms), std::move(question)));
}

}  // namespace tarsier::query
