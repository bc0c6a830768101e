#include "tests/support/table_storage.h"

#include <algorithm>
#include <set>

namespace tarsier::testing {
namespace {

using Samples = TableStorage::Samples;
using Row = std::pair<tsdb::Labels, Samples>;

bool matches_all(const tsdb::Labels& labels, const std::vector<tsdb::Matcher>& matchers) {
  return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
    return matcher.matches(labels.get(matcher.name()));
  });
}

class TableSeriesSet final : public tsdb::SeriesSet {
 public:
  explicit TableSeriesSet(std::vector<Row> rows) : rows_(std::move(rows)) {}
  std::size_t size() const override { return rows_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return rows_[i].first; }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return rows_[i].first.get(name);
  }
  Status read(std::size_t i, TimeRange range, tsdb::SampleColumns& out) const override {
    const Samples& samples = rows_[i].second;
    for (auto it = samples.lower_bound(range.min.ms); it != samples.end(); ++it) {
      if (it->first > range.max.ms) break;
      if (const double* value = std::get_if<double>(&it->second)) {
        out.push_back(Timestamp{it->first}, *value);
      }
    }
    return {};
  }
  bool may_have_histograms(std::size_t i) const override {
    return std::any_of(rows_[i].second.begin(), rows_[i].second.end(), [](const auto& sample) {
      return std::holds_alternative<tsdb::FloatHistogram>(sample.second);
    });
  }
  Status read_mixed(std::size_t i, TimeRange range, tsdb::SampleColumns& floats,
                    tsdb::HistogramColumns& histograms) const override {
    const Samples& samples = rows_[i].second;
    for (auto it = samples.lower_bound(range.min.ms); it != samples.end(); ++it) {
      if (it->first > range.max.ms) break;
      if (const auto* histogram = std::get_if<tsdb::FloatHistogram>(&it->second)) {
        histograms.push_back(Timestamp{it->first}, *histogram);
      }
    }
    return read(i, range, floats);
  }
  Result<std::optional<tsdb::Sample>> last_sample(std::size_t i, TimeRange range) const override {
    tsdb::SampleColumns columns;
    TRY(read(i, range, columns));
    if (columns.size() == 0) return std::optional<tsdb::Sample>();
    return std::optional(tsdb::Sample{Timestamp{columns.times_ms.back()}, columns.values.back()});
  }

 private:
  std::vector<Row> rows_;
};

class TableQuerier final : public tsdb::Querier {
 public:
  explicit TableQuerier(std::map<tsdb::Labels, Samples> series) : series_(std::move(series)) {}

  Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& matchers,
                                                  const tsdb::SelectHints&,
                                                  const CancelToken*) const override {
    std::vector<Row> rows;
    for (const auto& [labels, samples] : series_) {
      if (matches_all(labels, matchers)) rows.emplace_back(labels, samples);
    }
    return std::unique_ptr<tsdb::SeriesSet>(new TableSeriesSet(std::move(rows)));
  }

  Result<std::vector<std::string>> label_names(
      const std::vector<tsdb::Matcher>& matchers) const override {
    std::set<std::string> names;
    for (const auto& [labels, samples] : series_) {
      if (!matches_all(labels, matchers)) continue;
      for (const tsdb::LabelView& label : labels) names.emplace(label.name);
    }
    return std::vector<std::string>(names.begin(), names.end());
  }

  Result<std::vector<std::string>> label_values(
      std::string_view name, const std::vector<tsdb::Matcher>& matchers) const override {
    std::set<std::string> values;
    for (const auto& [labels, samples] : series_) {
      if (matches_all(labels, matchers) && labels.has(name)) values.emplace(labels.get(name));
    }
    return std::vector<std::string>(values.begin(), values.end());
  }

 private:
  std::map<tsdb::Labels, Samples> series_;
};

}  // namespace

Result<std::unique_ptr<tsdb::Querier>> TableStorage::querier(TimeRange) {
  return std::unique_ptr<tsdb::Querier>(new TableQuerier(series_));
}

}  // namespace tarsier::testing
