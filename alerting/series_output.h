#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// One sample a rule writes; its time is the evaluation's.
struct OutputSample {
  tsdb::Labels labels;
  double value = 0;
  std::shared_ptr<const tsdb::FloatHistogram> histogram = nullptr;  ///< Null: it is a number.
};

/// The series a rule wrote last, and how the next samples follow them: what is missing now gets a
/// stale marker at the same time. Remembers where the head keeps each series, so that a steady rule
/// resolves no labels. One thread writes; any number may ask.
class SeriesOutput final {
 public:
  struct Report {
    Status status;           ///< Nothing was stored, and the series of last time stay known.
    bool has_ended = false;  ///< Some series of last time got its marker.
    std::size_t refused_count = 0;
    std::string first_refusal;  ///< Why, of the first one.
  };
  /// Writes one evaluation's samples as one commit.
  Report write(tsdb::Appender& appender, const std::vector<OutputSample>& samples, Timestamp t);

  /// Knows the series as written, as after a restart.
  void expect(const tsdb::Labels& labels);
  /// Lets go of the series that `is_others` says: no marker will be written.
  void forget_if(const std::function<bool(const tsdb::Labels&)>& is_others);
  bool has(const tsdb::Labels& labels) const;
  std::vector<tsdb::Labels> series() const;
  std::size_t size() const;
  void take_over(SeriesOutput& former);

 private:
  using Known = std::unordered_map<tsdb::Labels, tsdb::SeriesRef>;

  std::shared_ptr<const Known> known() const;
  void publish(Known known);

  mutable Mutex mutex_;
  std::shared_ptr<const Known> known_ GUARDED_BY(mutex_) = std::make_shared<const Known>();
};

}  // namespace tarsier::alerting
