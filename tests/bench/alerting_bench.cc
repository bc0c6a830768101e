// What objectives cost: evaluating ten thousand of them, following a sample, replaying a month.

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "alerting/backtest.h"
#include "alerting/slo_counter.h"
#include "alerting/slo_taps.h"
#include "query/engine.h"

namespace tarsier::alerting {
namespace {

constexpr StepClock kClock;
constexpr std::int64_t kNow = 120'000'000;

std::shared_ptr<const Slo> slo_number(std::size_t i) {
  SloDefinition definition;
  definition.name = fmt::format("slo-{}", i);
  definition.objective_percent = 99.9;
  definition.sli = {.kind = SliDefinition::Kind::kErrors,
                    .errors = fmt::format("requests{{service=\"s{}\",code=\"500\"}}", i),
                    .total = fmt::format("requests{{service=\"s{}\"}}", i)};
  return *Slo::compile(std::move(definition));
}

/// 30 days of counters that step every 15 s, computed when they are read.
class MonthSet final : public tsdb::SeriesSet {
 public:
  explicit MonthSet(std::size_t count) : count_(count) {}
  std::size_t size() const override { return count_; }
  tsdb::Labels labels(std::size_t i) const override {
    return tsdb::Labels({{"__name__", "requests"},
                         {"code", i % 4 == 0 ? "500" : "200"},
                         {"instance", std::to_string(i)}});
  }
  std::string_view label(std::size_t, std::string_view) const override { return ""; }
  Status read(std::size_t i, TimeRange range, tsdb::SampleColumns& out) const override {
    const std::int64_t begin = std::max(range.min.ms, (kNow - 172'800) * 15'000);
    for (std::int64_t step = begin / 15'000 + 1; step * 15'000 <= range.max.ms; ++step) {
      out.push_back({step * 15'000 - static_cast<std::int64_t>(i) * 100},
                    static_cast<double>((step - (kNow - 172'800)) * (i % 4 == 0 ? 1 : 500)));
    }
    return {};
  }
  Result<std::optional<tsdb::Sample>> last_sample(std::size_t, TimeRange) const override {
    return std::optional<tsdb::Sample>();
  }

 private:
  const std::size_t count_;
};
class MonthQuerier final : public tsdb::Querier {
 public:
  Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& matchers,
                                                  const tsdb::SelectHints&,
                                                  const CancelToken*) const override {
    return std::unique_ptr<tsdb::SeriesSet>(new MonthSet(matchers.size() > 2 ? 5 : 20));
  }
  Result<std::vector<std::string>> label_names(const std::vector<tsdb::Matcher>&) const override {
    return std::vector<std::string>();
  }
  Result<std::vector<std::string>> label_values(std::string_view,
                                                const std::vector<tsdb::Matcher>&) const override {
    return std::vector<std::string>();
  }
};
class Month final : public tsdb::Queryable {
 public:
  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange) override {
    return std::unique_ptr<tsdb::Querier>(new MonthQuerier);
  }
};

/// One evaluation of all: seven windows and the period each, tiers, alarms. Long windows' left
/// edges before the rings are not read from files here.
void BM_EvaluateObjectives(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<std::shared_ptr<const Slo>> slos;
  std::vector<std::unique_ptr<GroupCounter>> groups;
  for (std::size_t i = 0; i < count; ++i) {
    slos.push_back(slo_number(i));
    groups.push_back(std::make_unique<GroupCounter>(*slos.back(), tsdb::Labels(), kClock, nullptr));
    groups.back()->begin_at(kNow - kRingSteps);
    for (std::int64_t step = kNow - kRingSteps + 2; step <= kNow; ++step) {
      groups.back()->add(kClock.end_of(step), {.bad = 1, .total = 1000});
    }
  }
  std::int64_t step = kNow;
  for (auto _ : state) {
    for (std::size_t i = 0; i < count; ++i) {
      GroupCounter& group = *groups[i];
      group.read(*slos[i], step, group.reading);
      judge_tiers(*slos[i], group.reading, group.tiers);
      group.verdicts = group.alarm.step(*slos[i], group.reading, group.tiers);
      benchmark::DoNotOptimize(group.verdicts);
    }
  }
  state.counters["ns_per_objective"] =
      benchmark::Counter(static_cast<double>(count), benchmark::Counter::kIsIterationInvariantRate |
                                                         benchmark::Counter::kInvert);
}
BENCHMARK(BM_EvaluateObjectives)->Arg(10'000)->Unit(benchmark::kMillisecond);

/// A sample of a followed series, objectives of 20 series each.
void BM_FollowSample(benchmark::State& state) {
  std::vector<std::shared_ptr<const Slo>> slos;
  std::vector<std::unique_ptr<SloCounter>> counters;
  std::vector<SloCounter*> all;
  for (std::size_t i = 0; i < 1000; ++i) {
    slos.push_back(slo_number(i));
    counters.push_back(std::make_unique<SloCounter>(slos.back(), kClock, nullptr));
    all.push_back(counters.back().get());
  }
  SloTaps taps;
  taps.rebuild(all);
  std::vector<SloTaps::Id> ids;
  for (std::size_t i = 0; i < 1000; ++i) {
    counters[i]->group({}).begin_at(kNow);
    counters[i]->mark_counted();
    for (int n = 0; n < 20; ++n) {
      ids.push_back(taps.follow(tsdb::Labels({{"__name__", "requests"},
                                              {"service", fmt::format("s{}", i)},
                                              {"instance", std::to_string(n)},
                                              {"code", "200"}})));
    }
  }
  std::int64_t step = kNow + 1;
  for (auto _ : state) {
    for (const SloTaps::Id id : ids) {
      taps.add(id, kClock.end_of(step), static_cast<double>(step));
    }
    ++step;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(ids.size()));
}
BENCHMARK(BM_FollowSample)->Unit(benchmark::kMicrosecond);

/// 20 series over 30 days at 15 s, alerts included.
void BM_BacktestAMonth(benchmark::State& state) {
  SloDefinition definition;
  definition.name = "a";
  definition.objective_percent = 99.9;
  definition.period.length = days(7);
  definition.sli = {.kind = SliDefinition::Kind::kErrors,
                    .errors = "requests{code=\"500\",x=\"\"}",
                    .total = "requests"};
  const auto slo = *Slo::compile(std::move(definition));
  Month storage;
  const query::Engine engine({}, nullptr);
  for (auto _ : state) {
    const auto result = backtest_slo(storage, engine, *slo, kClock, kClock.end_of(kNow - 172'799),
                                     kClock.end_of(kNow), nullptr);
    benchmark::DoNotOptimize(result.ok());
    state.counters["samples"] = static_cast<double>(result->samples_read);
  }
}
BENCHMARK(BM_BacktestAMonth)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tarsier::alerting
