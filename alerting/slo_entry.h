#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "alerting/alert_table.h"
#include "alerting/series_output.h"
#include "alerting/slo.h"
#include "alerting/slo_alerts.h"
#include "alerting/slo_counter.h"
#include "alerting/slo_ratios.h"
#include "alerting/slo_runner.h"
#include "alerting/slo_series.h"
#include "base/mutex.h"

namespace tarsier::alerting {

/// One objective at work: what counts it, its alerts and its series. Of the thread of `run_due`.
struct SloRunner::Entry {
  /// Judged in the place of groups while there is none: nothing it measures has samples.
  struct Absence {
    BurnAlarm alarm;
    std::vector<TierValue> tiers;
    Verdicts verdicts;
    BurnReading reading;
  };

  std::shared_ptr<const Slo> slo;
  std::string owner;
  std::unique_ptr<SloCounter> counter;  ///< One of the two.
  std::unique_ptr<SloRatios> ratios;
  std::unique_ptr<SloAlertTexts> texts;
  std::unique_ptr<SloOutputs> outputs;
  std::shared_ptr<Shown> shown;
  AlertTable alerts;
  std::map<tsdb::Labels, SloSeries> series;
  std::unique_ptr<SeriesOutput> alert_series;  ///< `ALERTS`; made by the first alert.
  /// Alerts whose page fires, so that nobody needs to be told of the ticket.
  std::set<tsdb::Labels> inhibited;
  std::set<tsdb::Labels> lost_data;
  std::unique_ptr<Absence> absence;  ///< Null while there are groups.
  std::optional<Timestamp> watched_since;
  std::string last_error;
  bool lacks_bucket = false;  ///< Its histogram has no bucket with the bound.

  bool is_ready() const { return !counter || counter->is_ready(); }
};

/// What others are told of an objective, until the next evaluation.
struct SloRunner::Shown {
  mutable Mutex mutex;
  SloStatus status GUARDED_BY(mutex);
};

struct SloRunner::News {
  Entry* entry = nullptr;
  std::vector<Alert> alerts;
};

}  // namespace tarsier::alerting
