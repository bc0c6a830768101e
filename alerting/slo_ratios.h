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

/// An objective whose windows are what PromQL says, to the bit. Queries that are arithmetic over
/// sums of increases are computed step by step; samples that come late reach them after an hour at
/// most. Others are asked: short windows at every step, windows of two hours and more once a
/// minute, the period every five minutes, held in between. One thread at a time.
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
  bool is_incremental() const { return programs_.ratio != nullptr; }

 private:
  using Values = std::map<tsdb::Labels, double>;
  Result<Values> ask(const query::Engine& engine, tsdb::Queryable& storage,
                     const std::string& query, Timestamp t, const CancelToken* cancel) const;
  void compile_programs();
  Status advance_programs(tsdb::Queryable& storage, Timestamp t, const CancelToken* cancel);
  void set_window(std::size_t i, Timestamp t, Duration window, const Values& ratios,
                  const Values& bad, const Values& total);

  std::shared_ptr<const Slo> slo_;
  struct Programs {
    std::unique_ptr<PromqlProgram> ratio;
    std::unique_ptr<PromqlProgram> bad;  ///< These two where there are counts.
    std::unique_ptr<PromqlProgram> total;
  };
  Programs programs_;
  Timestamp programs_since_;               ///< When they last began anew.
  std::optional<Timestamp> first_sample_;  ///< Of anything its queries select.
  std::map<tsdb::Labels, Group> groups_;
  std::vector<Timestamp> asked_at_;  ///< By window; the period's last.
};

}  // namespace tarsier::alerting
