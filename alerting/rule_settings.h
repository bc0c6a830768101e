#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "alerting/alert_journal.h"
#include "alerting/alert_sink.h"
#include "alerting/rule_restore.h"
#include "base/cancel.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "base/time.h"
#include "query/engine.h"
#include "tsdb/appender.h"
#include "tsdb/labels.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

/// What configuration says of all rules; may change with every reload.
struct RuleSettings {
  Duration evaluation_interval = minutes(1);  ///< Of groups that name none.
  Duration query_offset{0};                   ///< Of groups that name none.
  tsdb::Labels external_labels;               ///< For templates.
  std::string external_url;  ///< `http://host:9090/prefix`, without a slash at its end.
};

/// What is decided at start. The defaults are Prometheus'.
struct RuleOptions {
  // What changes behaviour.

  RestoreOptions restore;
  /// A firing alert is told again when it was last told longer ago than this.
  Duration resend_delay = minutes(1);
  /// Series-based restore after the second evaluation of groups the journal does not know. Rule
  /// tests start restored.
  bool restores = true;

  // What changes cost.

  /// Rules of one group that do not depend on each other run at the same time.
  bool concurrent_rules = false;
  /// News are handed on at the latest this long after the rule that made them, also in the middle
  /// of a group: one journal sync serves all rules of such a span.
  Duration notify_within = milliseconds(50);
};

/// What rules work with. Everything must outlive them.
struct RuleDoors {
  const query::Engine& engine;
  tsdb::Queryable& storage;
  std::function<std::unique_ptr<tsdb::Appender>()> make_appender;
  std::function<std::int64_t()> monotonic_ns;
  Logger& log;
  AlertSink* sink = nullptr;        ///< Null: nobody is told.
  AlertJournal* journal = nullptr;  ///< Null: a restart remembers nothing.
  ThreadPool* pool = nullptr;       ///< Null: evaluations run on the caller's thread.
  /// Sees to it that the token expires when a query of a rule has run for too long; may be empty.
  std::function<void(const std::shared_ptr<CancelToken>&)> limit_time;
  /// Has `run_due` called soon; may be empty.
  std::function<void()> wake;
};

}  // namespace tarsier::alerting
