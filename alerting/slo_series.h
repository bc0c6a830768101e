#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "alerting/burn_rate.h"
#include "alerting/slo.h"
#include "base/result.h"
#include "tsdb/appender.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// One series written for a group of an objective.
struct SloOutput {
  tsdb::Labels labels;
  double value = 0;  ///< NaN: there is nothing to say at this moment.
};

/// `tarsier_slo_*` of one group, and for files of Sloth and Pyrra the series their dashboards know.
/// Always the same series in the same order for one objective and group.
std::vector<SloOutput> slo_outputs(const Slo& slo, const tsdb::Labels& group,
                                   const BurnReading& reading, const Verdicts& verdicts,
                                   EventCounts cumulative);
/// How many of slo_outputs, from the first on, are written at every step; the rest once a minute.
inline constexpr std::size_t kOutputsOfEveryStep = 3;

/// Writes the series of one group: resolved once, ended with a marker when there is nothing to say.
/// One thread at a time.
class SloSeries final {
 public:
  /// Queues the samples; the caller commits. Outcomes of single samples are of no consequence: a
  /// sample that is refused is older than what is there.
  Status append(tsdb::Appender& appender, const std::vector<SloOutput>& outputs, Timestamp t);
  /// The same for what is written at every step, once everything has been written.
  Status append_first(tsdb::Appender& appender,
                      const std::array<double, kOutputsOfEveryStep>& values, Timestamp t);
  bool empty() const { return series_.empty(); }
  /// Queues the markers of everything that was written.
  void end(tsdb::Appender& appender, Timestamp t);

 private:
  struct Written {
    tsdb::Labels labels;
    tsdb::SeriesRef ref;
    bool is_live = false;
  };
  static Status put(tsdb::Appender& appender, Written& series, double value, Timestamp t);
  static Status append_one(tsdb::Appender& appender, Written& series, Timestamp t, double value);
  std::vector<Written> series_;
};

}  // namespace tarsier::alerting
