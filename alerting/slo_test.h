#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alerting/slo.h"
#include "base/result.h"
#include "base/time.h"
#include "query/engine.h"
#include "tsdb/db.h"

namespace tarsier::alerting {

/// An alert that a unit test of objectives expects.
struct SloTestAlert {
  std::string slo;
  std::string severity;  ///< "page", "ticket", "no_data".
  std::optional<Duration> fired_at;
  std::string text() const;
};

/// One unit test: described series, replayed from time 0 on, and the alerts that fire.
struct SloTest {
  std::string name;
  Duration interval = seconds(15);
  struct Series {
    std::string series;
    std::string values;  ///< As in unit tests of rules: `0+5x40 _x3 200`.
  };
  std::vector<Series> series;
  std::vector<SloTestAlert> alerts;
};

/// Runs it in an empty database; appends what failed.
Status run_slo_test(const SloTest& test, const std::vector<std::shared_ptr<const Slo>>& slos,
                    tsdb::Db& db, const query::Engine& engine, std::vector<std::string>& failures);

}  // namespace tarsier::alerting
