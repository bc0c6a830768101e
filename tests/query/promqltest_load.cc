#include "tests/query/promqltest_load.h"

#include <cmath>
#include <limits>
#include <optional>
#include <regex>
#include <sstream>

#include "base/duration.h"
#include "query/histogram/arithmetic.h"

namespace tarsier::testing {
namespace {

using tsdb::CounterResetHint;
using tsdb::FloatHistogram;

/// What a storage says of `h` after `previous`, both as they were loaded. Only a counter that goes
/// on with the same layout is known not to have been reset.
CounterResetHint shown_hint(const FloatHistogram& h, const FloatHistogram* previous) {
  if (h.hint == CounterResetHint::kGauge) return CounterResetHint::kGauge;
  if (previous == nullptr || previous->hint == CounterResetHint::kGauge ||
      h.hint == CounterResetHint::kReset) {
    return CounterResetHint::kUnknown;
  }
  FloatHistogram now = h;
  now.hint = CounterResetHint::kUnknown;
  const bool goes_on = now.layout.schema == previous->layout.schema &&
                       now.layout.zero_threshold == previous->layout.zero_threshold &&
                       now.layout.custom_bounds == previous->layout.custom_bounds &&
                       !query::is_reset(query::view_of(now), query::view_of(*previous));
  return goes_on ? CounterResetHint::kNotReset : CounterResetHint::kUnknown;
}

/// A classic histogram at one time.
struct Classic {
  std::map<double, double> buckets;  // Cumulative, by bound.
  std::optional<double> count;
  std::optional<double> sum;
};

Result<FloatHistogram> custom_histogram(Classic classic) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double highest = classic.buckets.empty() ? 0 : classic.buckets.rbegin()->second;
  FloatHistogram h;
  h.layout.schema = tsdb::kCustomBucketsSchema;
  h.count = classic.count.value_or(highest);
  h.sum = classic.sum.value_or(0);
  classic.buckets.try_emplace(kInf, h.count);
  double below = 0;
  for (const auto& [bound, count] : classic.buckets) {
    if (count < below) return invalid("counts of buckets that fall");
    if (bound != kInf) h.layout.custom_bounds.push_back(bound);
    h.positive_counts.push_back(count - below);
    below = count;
  }
  if (below != h.count) return invalid("the +Inf bucket is not the count");
  h.layout.positive_spans = {{0, static_cast<std::uint32_t>(h.positive_counts.size())}};
  query::compact(h);
  return h;
}

}  // namespace

Status LoadedSeries::add_start_times(const tsdb::Labels& labels, std::string_view items,
                                     Duration step) {
  static const std::regex kItem(
      R"(^(?:(_)(?:x(\d+))?|([+-]?)(\d[0-9a-z]*?)(?:([+-])(\d[0-9a-z]*?))?(?:x(\d+))?)$)");
  std::istringstream words{std::string(items)};
  std::int64_t slot = 0;
  for (std::string word; words >> word;) {
    std::smatch parts;
    if (!std::regex_match(word, parts, kItem)) return invalid("not a start time: " + word);
    if (parts[1].matched) {
      slot += parts[2].matched ? std::stoll(parts[2]) : 1;
      continue;
    }
    const auto signed_duration = [&](std::size_t sign, std::size_t text) -> Result<std::int64_t> {
      if (!parts[text].matched) return 0;
      const std::int64_t ms = parts[text] == "0" ? 0 : TRY(parse_duration(parts[text].str())).ms;
      return parts[sign] == "-" ? -ms : ms;
    };
    std::int64_t offset = TRY(signed_duration(3, 4));
    const std::int64_t change = TRY(signed_duration(5, 6));
    const std::int64_t repeat = parts[7].matched ? std::stoll(parts[7]) : 0;
    for (std::int64_t i = 0; i <= repeat; ++i, ++slot, offset += change) {
      starts_[labels][slot * step.ms] = slot * step.ms + offset;
    }
  }
  return {};
}

void LoadedSeries::store(TableStorage& storage) const {
  for (const auto& [labels, starts] : starts_) {
    for (const auto& [time_ms, start_ms] : starts) {
      storage.set_start_time(labels, Timestamp{time_ms}, Timestamp{start_ms});
    }
  }
  for (const auto& [labels, samples] : series_) {
    const FloatHistogram* previous = nullptr;  // Nothing, or a float, or a stale marker.
    for (const auto& [time_ms, value] : samples) {
      const auto* loaded = std::get_if<FloatHistogram>(&value);
      if (loaded == nullptr) {
        storage.add(labels, Timestamp{time_ms}, std::get<double>(value));
      } else {
        FloatHistogram shown = *loaded;
        shown.hint = shown_hint(*loaded, previous);
        storage.add_histogram(labels, Timestamp{time_ms}, std::move(shown));
      }
      previous = loaded;
    }
  }
}

Status LoadedSeries::add_custom_histograms(const std::vector<SeriesLine>& lines, Duration step) {
  std::map<tsdb::Labels, std::map<std::int64_t, Classic>> histograms;
  for (const SeriesLine& line : lines) {
    std::string name(line.labels.get(tsdb::kMetricName));
    const auto take_suffix = [&name](std::string_view suffix) {
      if (!name.ends_with(suffix)) return false;
      name.resize(name.size() - suffix.size());
      return true;
    };
    const bool is_bucket = take_suffix("_bucket");
    const bool is_count = !is_bucket && take_suffix("_count");
    if (!is_bucket && !is_count && !take_suffix("_sum")) continue;
    const std::optional<double> bound = parse_value(line.labels.get("le"));
    if (is_bucket && !bound) continue;
    tsdb::LabelsBuilder builder(line.labels);
    builder.set(tsdb::kMetricName, name);
    builder.remove("le");
    auto& moments = histograms[builder.build()];
    for (std::size_t i = 0; i < line.slots.size(); ++i) {
      if (!line.slots[i]) continue;
      Classic& classic = moments[static_cast<std::int64_t>(i) * step.ms];
      if (is_bucket) {
        classic.buckets[*bound] = *line.slots[i];
      } else {
        (is_count ? classic.count : classic.sum) = *line.slots[i];
      }
    }
  }
  for (auto& [labels, moments] : histograms) {
    for (auto& [time_ms, classic] : moments) {
      add(labels, Timestamp{time_ms}, TRY(custom_histogram(std::move(classic))));
    }
  }
  return {};
}

}  // namespace tarsier::testing
