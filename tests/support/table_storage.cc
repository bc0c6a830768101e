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
  TableSeriesSet(std::vector<Row> rows, std::map<tsdb::Labels, TableStorage::Starts> starts)
      : rows_(std::move(rows)), starts_(std::move(starts)) {}
  bool has_start_times() const override { return !starts_.empty(); }
  Status read_start_times(std::size_t i, TimeRange range, std::vector<std::int64_t>& of_floats,
                          std::vector<std::int64_t>& of_histograms) const override {
    const auto starts = starts_.find(rows_[i].first);
    for (const auto& [time_ms, value] : rows_[i].second) {
      if (!range.contains(Timestamp{time_ms})) continue;
      std::int64_t start = 0;
      if (starts != starts_.end() && starts->second.contains(time_ms)) {
        start = starts->second.at(time_ms);
      }
      (std::holds_alternative<double>(value) ? of_floats : of_histograms).push_back(start);
    }
    return {};
  }
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
  std::map<tsdb::Labels, TableStorage::Starts> starts_;
};

class TableQuerier final : public tsdb::Querier {
 public:
  TableQuerier(std::map<tsdb::Labels, Samples> series,
               std::map<tsdb::Labels, TableStorage::Starts> starts)
      : series_(std::move(series)), starts_(std::move(starts)) {}

  Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& matchers,
                                                  const tsdb::SelectHints&,
                                                  const CancelToken*) const override {
    std::vector<Row> rows;
    for (const auto& [labels, samples] : series_) {
      if (matches_all(labels, matchers)) rows.emplace_back(labels, samples);
    }
    return std::unique_ptr<tsdb::SeriesSet>(new TableSeriesSet(std::move(rows), starts_));
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
  std::map<tsdb::Labels, TableStorage::Starts> starts_;
};

}  // namespace

Result<std::unique_ptr<tsdb::Querier>> TableStorage::querier(TimeRange) {
  return std::unique_ptr<tsdb::Querier>(new TableQuerier(series_, starts_));
}

}  // namespace tarsier::testing
