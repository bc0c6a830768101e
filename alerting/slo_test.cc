#include "alerting/slo_test.h"

#include <algorithm>

#include <fmt/format.h>

#include "alerting/backtest.h"
#include "alerting/rule_test/series_notation.h"
#include "base/duration.h"

namespace tarsier::alerting {
namespace {

Result<Timestamp> put_series(const SloTest& test, tsdb::Db& db) {
  Timestamp end{0};
  for (const SloTest::Series& described : test.series) {
    const tsdb::Labels labels = TRY(parse_described_labels(described.series));
    const std::vector<DescribedSample> values = TRY(parse_series_values(described.values));
    const std::unique_ptr<tsdb::Appender> appender = db.appender();
    const tsdb::SeriesRef ref = TRY(appender->resolve(labels));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Timestamp t{static_cast<std::int64_t>(i) * test.interval.ms};
      end = std::max(end, t);
      if (values[i].histogram) {
        static_cast<void>(appender->append_float_histogram(ref, t, *values[i].histogram));
      } else if (values[i].value) {
        static_cast<void>(appender->append(ref, {.t = t, .v = *values[i].value}));
      }
    }
    TRY(appender->commit());
  }
  return end;
}

}  // namespace

std::string SloTestAlert::text() const {
  return fmt::format("{} of {}{}", severity, slo,
                     fired_at ? " at " + format_duration(*fired_at) : "");
}

Status run_slo_test(const SloTest& test, const std::vector<std::shared_ptr<const Slo>>& slos,
                    tsdb::Db& db, const query::Engine& engine, std::vector<std::string>& failures) {
  const Timestamp end = TRY(put_series(test, db));
  std::vector<SloTestAlert> found;
  for (const std::shared_ptr<const Slo>& slo : slos) {
    const BacktestResult result =
        TRY(backtest_slo(db, engine, *slo, {}, Timestamp{0}, end, nullptr));
    for (const BacktestAlert& alert : result.alerts) {
      if (alert.is_inhibited) continue;
      found.push_back(
          {.slo = slo->id(), .severity = alert.severity, .fired_at = Duration{alert.fired_at.ms}});
    }
  }
  for (const SloTestAlert& expected : test.alerts) {
    const auto at = std::find_if(found.begin(), found.end(), [&](const SloTestAlert& one) {
      return one.slo == expected.slo && one.severity == expected.severity &&
             (!expected.fired_at || one.fired_at == expected.fired_at);
    });
    if (at == found.end()) {
      failures.push_back(fmt::format("{}: the {} did not fire", test.name, expected.text()));
    } else {
      found.erase(at);
    }
  }
  for (const SloTestAlert& one : found) {
    failures.push_back(
        fmt::format("{}: the {} fired, and nobody expects it", test.name, one.text()));
  }
  return {};
}

}  // namespace tarsier::alerting
