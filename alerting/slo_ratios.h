#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "alerting/burn_rate.h"
#include "alerting/promql_program.h"
#include "alerting/slo.h"
#include "base/cancel.h"
#include "base/result.h"
#include "query/engine.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

/// The first sample in `range` of anything the objective's queries select.
Result<std::optional<Timestamp>> first_sample_of(tsdb::Queryable& storage, const Slo& slo,
                                                 TimeRange range, const CancelToken* cancel);

/// When a window that is asked for at `t` is really asked: long ones, which are expensive, as of
/// the last full minute (two hours and more) or five minutes (more than three days). By the clock
/// alone, so that a backtest asks at the same moments.
Timestamp asked_at(Duration window, Timestamp t);
/// Between two such moments; 0: every moment is one.
Duration pause_of(Duration window);
/// How much of a window there is data for; 0 to 1.
double coverage_at(std::optional<Timestamp> first_sample, Timestamp t, Duration window);
/// What computes the windows of an objective and its period where the engine need not be asked:
/// the ratio, and where there are counts, bad and total. Null: its queries are of another shape.
std::unique_ptr<PromqlProgram> program_of(const Slo& slo);

/// An objective whose windows are what PromQL says, to the bit. Queries that are arithmetic over
/// sums of increases are computed step by step; samples that come late reach them after an hour at
/// most. Others are asked at the moments of asked_at(), and hold in between. One thread at a time.
class SloRatios final {
 public:
  explicit SloRatios(std::shared_ptr<const Slo> slo);

  struct Group {
    BurnReading reading;
    BurnAlarm alarm;
    std::vector<TierValue> tiers;
    Verdicts verdicts;
    bool has_samples = false;  ///< The query of the shortest window gives it.
  };
  /// Readings of all groups at `t`. A query that fails leaves the groups as they were.
  Status read(const query::Engine& engine, tsdb::Queryable& storage, Timestamp t,
              const CancelToken* cancel);
  std::map<tsdb::Labels, Group>& groups() { return groups_; }
  const Slo& slo() const { return *slo_; }
  void set_slo(std::shared_ptr<const Slo> slo);
  /// Whether the engine need not be asked.
  bool is_incremental() const { return program_ != nullptr; }

 private:
  using Values = std::map<tsdb::Labels, double>;
  Result<Values> ask(const query::Engine& engine, tsdb::Queryable& storage,
                     const std::string& query, Timestamp t, const CancelToken* cancel) const;
  Status advance_program(tsdb::Queryable& storage, Timestamp t, const CancelToken* cancel);
  Status read_windows_at(const query::Engine& engine, tsdb::Queryable& storage, Timestamp t,
                         const CancelToken* cancel);
  void set_window(std::size_t i, const Values& ratios, const Values& bad, const Values& total);

  std::shared_ptr<const Slo> slo_;
  std::unique_ptr<PromqlProgram>
      program_;                            ///< Of the ratio; where there are counts, bad and total.
  Timestamp program_since_;                ///< When it last began anew.
  std::optional<Timestamp> first_sample_;  ///< Of anything its queries select.
  std::map<tsdb::Labels, Group> groups_;
  std::vector<Timestamp> asked_at_;  ///< By window; the period's last.
  std::vector<Duration> lengths_;    ///< Of the windows when they were asked.
};

}  // namespace tarsier::alerting
