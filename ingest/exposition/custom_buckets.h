#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/exposition/entry.h"
#include "ingest/exposition/label_section.h"
#include "tsdb/exemplar.h"
#include "tsdb/histogram.h"

namespace tarsier::ingest {

/// Puts the series of a classic histogram (`_bucket`, `_sum`, `_count` of one label set, one after
/// the other) together to one native histogram with custom buckets. One at a time, reused.
class CustomBuckets final {
 public:
  /// Whether the sample belongs to the histogram that is being put together, or, if none is, to
  /// one of `family`. Then it is taken in, and its exemplars with it.
  /// False: finish with the one there is, and ask again; false again: it is no part of any.
  bool take(std::string_view family, const ExposedLabels& labels, const ExposedSample& sample,
            std::span<const tsdb::Exemplar> exemplars);

  /// Whether the histogram is the one with these labels.
  bool is_of(std::string_view family, const ExposedLabels& labels);
  bool empty() const { return !is_begun_; }
  /// The histogram's series as a packed section, and when: as its parts. REQUIRES: !empty().
  const std::string& section() const { return section_; }
  ExposedSample sample() const { return sample_; }
  std::vector<tsdb::Exemplar>& exemplars() { return exemplars_; }
  void set_start(std::int64_t start_ms);
  /// kInvalid if the parts make no histogram. With whole numbers it is an integer one.
  Result<tsdb::AnyHistogram> build();
  void clear();

 private:
  struct Bucket {
    double bound = 0;
    double count = 0;  // Cumulative.
  };

  bool is_begun_ = false;
  std::string section_;
  std::string scratch_;
  ExposedSample sample_;
  std::vector<Bucket> buckets_;
  std::optional<double> sum_;
  std::optional<double> count_;
  std::vector<tsdb::Exemplar> exemplars_;
};

/// A histogram with custom buckets from counts of their own for each of `bounds` and, last, for
/// what is above. Runs of empty buckets are left out.
tsdb::AnyHistogram custom_histogram(std::vector<double> bounds, const std::vector<double>& counts,
                                    double count, double sum);

}  // namespace tarsier::ingest
