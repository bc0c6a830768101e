#pragma once

#include "alerting/alert_table.h"
#include "alerting/rule.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

struct RestoreOptions {
  Duration outage_tolerance = hours(1);  ///< Older history is not believed.
  Duration grace_period = minutes(10);   ///< After a restart nothing fires sooner than this.
};

/// Gives the active alerts of a rule the `for` they had already served according to the stored
/// `ALERTS_FOR_STATE`: for data that came without a journal. Only rules whose `for` is at least the
/// grace period are restored, as in Prometheus.
Status restore_from_series(const Rule& rule, AlertTable& alerts, tsdb::Queryable& storage,
                           const RestoreOptions& options, Timestamp now);

}  // namespace tarsier::alerting
