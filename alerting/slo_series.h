#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "alerting/burn_rate.h"
#include "alerting/pyrra_names.h"
#include "alerting/slo.h"
#include "base/result.h"
#include "tsdb/appender.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// How many of the series, from the first on, are written at every step; the rest once a minute.
inline constexpr std::size_t kOutputsOfEveryStep = 3;

/// The series that are written for each group of an objective: `tarsier_slo_*`, and for files of
/// Sloth and Pyrra those their dashboards know. Always the same ones in the same order, so that
/// labels are made once and values are numbers only. Immutable; any number of threads.
class SloOutputs final {
 public:
  explicit SloOutputs(std::shared_ptr<const Slo> slo);

  std::vector<tsdb::Labels> labels(const tsdb::Labels& group) const;
  /// Puts values in the place of what `out` holds; NaN: there is nothing to say at this moment.
  void values(const BurnReading& reading, const Verdicts& verdicts, EventCounts cumulative,
              std::vector<double>& out) const;
  /// Only those of every step.
  static void first_values(const BurnReading& reading, const Verdicts& verdicts,
                           EventCounts cumulative, std::vector<double>& out);

 private:
  std::shared_ptr<const Slo> slo_;
  std::unique_ptr<const PyrraNames> pyrra_;  ///< Of Pyrra's files.
};

class SloSeries;

/// Samples on their way into an appender, many at once. One thread at a time.
class SloSampleBatch final {
 public:
  /// Until flush(). Borrows it.
  void begin(tsdb::Appender& appender) { appender_ = &appender; }
  tsdb::Appender& appender() { return *appender_; }
  void add(SloSeries& owner, std::uint32_t index, tsdb::SeriesRef series, tsdb::Sample sample);
  std::size_t size() const { return refs_.size(); }
  /// Queues everything in the appender. Outcomes of single samples are of no consequence: a sample
  /// that is refused is older than what is there.
  Status flush();

 private:
  struct Owner {
    SloSeries* series;
    std::uint32_t index;
  };
  tsdb::Appender* appender_ = nullptr;
  std::vector<tsdb::SeriesRef> refs_;
  std::vector<tsdb::Sample> samples_;
  std::vector<Owner> owners_;
  std::vector<tsdb::AppendOutcome> outcomes_;
};

/// The series of one group: resolved once, ended with a marker when there is nothing to say. One
/// thread at a time.
class SloSeries final {
 public:
  /// `values[i]` is for the i-th of the outputs; fewer than all are the first ones. The outputs and
  /// the group must outlive this.
  Status append(SloSampleBatch& batch, const SloOutputs& outputs, const tsdb::Labels& group,
                std::span<const double> values, Timestamp t);
  bool empty() const { return series_.empty(); }
  /// Queues the markers of everything that was written.
  void end(tsdb::Appender& appender, Timestamp t);

 private:
  friend class SloSampleBatch;
  struct Written {
    tsdb::SeriesRef ref;
    bool is_live = false;
  };
  /// The head has forgotten the series.
  Status append_anew(tsdb::Appender& appender, std::uint32_t index, tsdb::Sample sample);

  const SloOutputs* outputs_ = nullptr;
  const tsdb::Labels* group_ = nullptr;
  std::vector<Written> series_;
};

}  // namespace tarsier::alerting
