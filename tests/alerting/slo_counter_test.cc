#include "alerting/slo_counter.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"
#include "tests/support/log_tools.h"
#include "tests/support/table_storage.h"

namespace tarsier::alerting {
namespace {

constexpr StepClock kClock;

std::shared_ptr<const Slo> slo_of(SliDefinition sli, std::vector<std::string> group_by = {},
                                  double objective = 99.9) {
  SloDefinition definition;
  definition.name = "a";
  definition.objective_percent = objective;
  definition.sli = std::move(sli);
  definition.group_by = std::move(group_by);
  definition.period.length = days(7);
  auto slo = Slo::compile(std::move(definition));
  EXPECT_TRUE(slo.ok()) << slo.status().message();
  return *slo;
}
SliDefinition errors_sli() {
  return {.kind = SliDefinition::Kind::kErrors,
          .errors = R"(requests{code="500"})",
          .total = "requests"};
}

TEST(EventRing, IsExactWhateverComesLate) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE(::testing::Message() << "round " << round);
    EventRing ring(20);
    ring.reset(1000, {.bad = 1, .total = 5});
    std::map<std::int64_t, double> model;
    std::int64_t newest = 1000;
    for (int i = 0; i < 200; ++i) {
      const std::int64_t step = newest + static_cast<std::int64_t>(random() % 8) - 5;
      const bool is_in = step > ring.oldest();
      EXPECT_EQ(ring.add(step, {.bad = 1, .total = 2}), is_in);
      if (is_in) model[step] += 2;
      newest = std::max(newest, ring.newest());
      ASSERT_EQ(ring.oldest(), std::max<std::int64_t>(1000, newest - 19));
      for (std::int64_t n = ring.oldest(); n <= ring.newest() + 2; ++n) {
        double expected = 5;
        for (const auto& [at, amount] : model) expected += at <= n ? amount : 0;
        ASSERT_EQ(ring.at(n).total, expected) << n;
      }
    }
  }
}

TEST(EventRing, JumpsOverEverything) {
  EventRing ring(4);
  ring.reset(10, {.bad = 1, .total = 1});
  EXPECT_TRUE(ring.add(500, {.bad = 0, .total = 3}));
  EXPECT_EQ(ring.oldest(), 497);
  EXPECT_EQ(ring.at(499).total, 1);
  EXPECT_EQ(ring.at(500).total, 4);
}

EventSegment segment_with(std::int64_t number, double first) {
  EventSegment out{.key = history_key("x"),
                   .segment = number,
                   .base = {.bad = 3, .total = 1000},
                   .measured_from = -5,
                   .events = std::vector<EventCounts>(kSegmentSteps)};
  out.events[0] = {.bad = 0, .total = first};
  out.events[7] = {.bad = -2, .total = 300};
  return out;
}

TEST(EventHistory, SegmentsComeBackAsTheyWere) {
  for (const double first : {5.0, 0.0, 0.25, 1e300}) {
    EventSegment segment = segment_with(9, first);
    auto back = decode_segment(as_bytes(encode_segment(segment)));
    ASSERT_TRUE(back.ok());
    segment.key = {};
    segment.segment = 0;
    EXPECT_EQ(*back, segment);
  }
  EXPECT_LT(encode_segment(segment_with(9, 5)).size(), 50u);
}

TEST(EventHistory, DamageIsAnErrorNotACrash) {
  const std::string whole = encode_segment(segment_with(9, 5));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode_segment(as_bytes(std::string_view(whole).substr(0, size))).ok()) << size;
  }
}

TEST(EventHistory, LaterFilesHold) {
  testing::FaultyFileSystem files;
  testing::CapturingLogger log;
  auto history = EventHistory::open(files, "tarsier/slo", kClock, log);
  ASSERT_TRUE(history.ok()) << history.status().message();
  ASSERT_TRUE((*history)->write({segment_with(8, 1), segment_with(9, 2)}).ok());
  ASSERT_TRUE((*history)->write({segment_with(9, 3)}).ok());
  const HistoryKey key = history_key("x");
  EXPECT_EQ((*history)->newest(key), 9);
  EXPECT_EQ((*history)->find(key, 8)->events[0].total, 1);
  EXPECT_EQ((*history)->find(key, 9)->events[0].total, 3);
  EXPECT_FALSE((*history)->find(history_key("y"), 9).has_value());
  EXPECT_FALSE((*history)->find(key, 7).has_value());
  // The same after a restart, also after a power cut.
  const auto survivors = files.after_power_cut(3);
  auto again = EventHistory::open(*survivors, "tarsier/slo", kClock, log);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->find(key, 9)->events[0].total, 3);
  ASSERT_TRUE((*again)->drop_before(10).ok());
  EXPECT_FALSE((*again)->find(key, 9).has_value());
  EXPECT_EQ((*again)->file_count(), 0u);
}

TEST(EventHistory, ADamagedFileIsSetAside) {
  testing::FaultyFileSystem files;
  testing::CapturingLogger log;
  {
    auto history = EventHistory::open(files, "tarsier/slo", kClock, log);
    ASSERT_TRUE((*history)->write({segment_with(8, 1)}).ok());
  }
  std::string text = testing::get_file(files, "tarsier/slo/events-00000001");
  text[20] = static_cast<char>(text[20] ^ 1);
  testing::put_file(files, "tarsier/slo/events-00000001", text);
  auto history = EventHistory::open(files, "tarsier/slo", kClock, log);
  ASSERT_TRUE(history.ok());
  EXPECT_FALSE((*history)->find(history_key("x"), 8).has_value());
  EXPECT_TRUE(log.contains("set aside"));
  EXPECT_TRUE(files.exists("tarsier/slo/events-00000001.damaged"));
}

TEST(EventHistory, ThePageOfTheFormatIsRead) {
  const std::string page = testing::format_example(
      std::string(TARSIER_SOURCE_DIR) + "/alerting/FORMAT.md", "Counted events");
  ASSERT_FALSE(page.empty());
  testing::FaultyFileSystem files;
  testing::CapturingLogger log;
  testing::put_file(files, "tarsier/slo/events-00000001", page);
  auto history = EventHistory::open(files, "tarsier/slo", kClock, log);
  ASSERT_TRUE(history.ok());
  const std::optional<EventSegment> segment = (*history)->find(history_key("x"), 9);
  ASSERT_TRUE(segment.has_value());
  EXPECT_EQ(segment->base, (EventCounts{.bad = 3, .total = 1000}));
  EXPECT_EQ(segment->measured_from, 2161);
  EXPECT_EQ(segment->events[0], (EventCounts{.bad = 0, .total = 5}));
  EXPECT_EQ(segment->events[7], (EventCounts{.bad = 2, .total = 300}));
  ASSERT_TRUE((*history)->write({*segment}).ok());
  EXPECT_EQ(testing::get_file(files, "tarsier/slo/events-00000002"), page);
}

/// Random counters, and the slow and obvious recount of their events in a span.
class Traffic {
 public:
  struct Series {
    tsdb::Labels labels;
    std::map<std::int64_t, double> samples;
  };

  Traffic(std::uint64_t seed, Timestamp begin, Timestamp end, Duration scrape) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < 6; ++i) {
      Series one{.labels = tsdb::Labels({{"__name__", "requests"},
                                         {"code", i % 3 == 0 ? "500" : "200"},
                                         {"instance", std::to_string(i)},
                                         {"zone", i < 3 ? "a" : "b"}}),
                 .samples = {}};
      double v = static_cast<double>(random() % 100);
      const auto phase =
          static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(scrape.ms));
      for (std::int64_t t = begin.ms + phase; t <= end.ms; t += scrape.ms) {
        if (random() % 50 == 0) v = 0;               // A restart.
        if (random() % 40 == 0) t += 7 * scrape.ms;  // A gap.
        v += static_cast<double>(random() % (i % 3 == 0 ? 2 : 50));
        const auto jitter = static_cast<std::int64_t>(random() % 10);
        const bool is_stale = random() % 100 == 0;
        if (t + jitter <= end.ms) one.samples[t + jitter] = is_stale ? tsdb::stale_marker() : v;
      }
      series.push_back(std::move(one));
    }
  }

  void put_into(testing::TableStorage& storage) const {
    for (const Series& one : series) {
      for (const auto& [t, v] : one.samples) storage.add(one.labels, {t}, v);
    }
  }

  /// Events in (begin, end] of a zone, or of all.
  EventCounts count(Timestamp begin, Timestamp end, std::string_view zone = "") const {
    EventCounts out;
    for (const Series& one : series) {
      if (!zone.empty() && one.labels.get("zone") != zone) continue;
      std::optional<double> before;
      for (const auto& [t, v] : one.samples) {
        if (std::isnan(v)) continue;
        if (before && t > begin.ms && t <= end.ms) {
          const double increase = v < *before ? v : v - *before;
          out.total += increase;
          if (one.labels.get("code") == "500") out.bad += increase;
        }
        before = v;
      }
    }
    return out;
  }

  std::vector<Series> series;
};

// The counter against a recount from raw samples, at every step, window by window, over restarts
// with and without what was written.
TEST(SloCounter, IsTheRecountFromRawSamples) {
  std::uint64_t comparisons = 0;
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    const Timestamp begin{1'700'000'000'000};
    const Timestamp end = begin + hours(9);
    const Traffic traffic(seed, begin, end, seconds(seed % 2 == 0 ? 15 : 60));
    testing::TableStorage storage;
    testing::CapturingLogger log;
    testing::FaultyFileSystem files;
    auto history = std::move(*EventHistory::open(files, "tarsier/slo", kClock, log));
    const auto slo = slo_of(errors_sli(), {"zone"});
    auto counter = std::make_unique<SloCounter>(slo, kClock, history.get());
    // Samples in the order of their times, each handed over once.
    std::multimap<std::int64_t, std::pair<const Traffic::Series*, double>> all;
    for (const Traffic::Series& one : traffic.series) {
      for (const auto& [t, v] : one.samples) all.emplace(t, std::pair(&one, v));
    }
    std::map<std::pair<std::size_t, tsdb::Labels>, SeriesTail> tails;
    std::mt19937_64 random(seed);
    auto next = all.begin();
    const auto restart = [&](std::int64_t step) {
      tails.clear();
      auto scanned = counter->recount(storage, step, nullptr);
      ASSERT_TRUE(scanned.ok()) << scanned.status().message();
      for (const ScannedSeries& one : *scanned) tails[{one.term, one.labels}] = one.tail;
    };
    std::int64_t step = kClock.step_of(begin) + 40;
    for (; kClock.end_of(step) <= end; ++step) {
      const Timestamp now = kClock.end_of(step);
      for (; next != all.end() && next->first <= now.ms; ++next) {
        const auto& [series, value] = next->second;
        storage.add(series->labels, {next->first}, value);
        if (!counter->is_ready() || std::isnan(value)) continue;
        for (std::size_t term = 0; term < slo->terms().size(); ++term) {
          const bool is_counted = term == 0 || series->labels.get("code") == "500";
          if (!is_counted) continue;
          SeriesTail& tail = tails[{term, series->labels}];
          EXPECT_TRUE(counter->group(group_of(*slo, series->labels))
                          .add({next->first}, events_of(slo->terms()[term], tail, value)));
          tail = {.t_ms = next->first, .value = value, .is_known = true};
        }
      }
      if (!counter->is_ready()) restart(step);
      const auto fate = random() % 200;
      if (fate == 0) {  // A restart that finds its files.
        counter = std::make_unique<SloCounter>(slo, kClock, history.get());
        restart(step);
      } else if (fate == 1) {  // Something came too late.
        counter->mark_dirty(step - static_cast<std::int64_t>(random() % 1000));
        restart(step);
      }
      std::vector<EventSegment> finished;
      counter->take_finished(step, finished);
      if (!finished.empty()) {
        const std::int64_t segment = finished.back().segment;
        ASSERT_TRUE(history->write(std::move(finished)).ok());
        counter->mark_sealed(segment);
      }
      if (step % 7 != 0) continue;
      for (const auto& [labels, group] : counter->groups()) {
        if (!group->is_ready()) continue;
        BurnReading reading;
        group->read(*slo, step, reading);
        for (std::size_t w = 0; w < slo->windows().size(); ++w) {
          const EventCounts expected =
              traffic.count(now - slo->windows()[w], now, labels.get("zone"));
          ASSERT_EQ(reading.windows[w].events, expected)
              << labels.to_string() << " window " << slo->windows()[w].ms / 60'000 << "m at step "
              << step - kClock.step_of(begin);
          ++comparisons;
        }
        ASSERT_EQ(reading.period.events, traffic.count(now - days(7), now, labels.get("zone")));
      }
    }
  }
  std::cout << comparisons << " windows compared\n";
  EXPECT_GT(comparisons, 5'000u);
}

TEST(SloCounter, CoverageIsWhatThereIsDataFor) {
  testing::TableStorage storage;
  const Timestamp begin{1'700'000'010'000};
  for (int i = 0; i <= 200; ++i) {
    storage.add(tsdb::Labels({{"__name__", "requests"}}), begin + seconds(15 * i), 10 * i);
  }
  SloCounter counter(slo_of(errors_sli()), kClock, nullptr);
  const std::int64_t now = kClock.step_of(begin + seconds(15 * 200));
  ASSERT_TRUE(counter.recount(storage, now, nullptr).ok());
  BurnReading reading;
  counter.group({}).read(counter.slo(), now, reading);
  EXPECT_EQ(reading.windows[0].coverage, 1);                  // 5m
  EXPECT_EQ(reading.windows[1].coverage, 1);                  // 30m
  EXPECT_NEAR(reading.windows[2].coverage, 50.0 / 60, 1e-9);  // 1h
  EXPECT_EQ(reading.windows[0].events.total, 200);
  EXPECT_EQ(reading.windows[2].events.total, 2000);
}

TEST(SloCounter, CountsGaugesComparisonsAndHistograms) {
  testing::TableStorage storage;
  const Timestamp begin{1'700'000'010'000};
  for (int i = 0; i <= 20; ++i) {
    const Timestamp t = begin + seconds(15 * i);
    storage.add(tsdb::Labels({{"__name__", "up"}}), t, i % 4 == 0 ? 0 : 1);
    storage.add(tsdb::Labels({{"__name__", "d_count"}}), t, 10 * i);
    storage.add(tsdb::Labels({{"__name__", "d_bucket"}, {"le", "1.0"}}), t, 8 * i);
    storage.add(tsdb::Labels({{"__name__", "d_bucket"}, {"le", "5.0"}}), t, 9 * i);
    tsdb::FloatHistogram h;
    h.layout = {.schema = 0, .positive_spans = {{.offset = 0, .length = 2}}};
    h.count = 10.0 * i;
    h.positive_counts = {6.0 * i, 4.0 * i};  // Up to 1, up to 2.
    storage.add_histogram(tsdb::Labels({{"__name__", "n"}}), t, h);
  }
  const std::int64_t now = kClock.step_of(begin + seconds(15 * 20));
  const auto five_minutes = [&](SliDefinition sli) {
    SloCounter counter(slo_of(std::move(sli)), kClock, nullptr);
    EXPECT_TRUE(counter.recount(storage, now, nullptr).ok());
    BurnReading reading;
    counter.group({}).read(counter.slo(), now, reading);
    return reading.windows[0].events;
  };
  EXPECT_EQ(five_minutes({.kind = SliDefinition::Kind::kGauge, .gauge = "up"}),
            (EventCounts{.bad = 5, .total = 20}));
  EXPECT_EQ(five_minutes({.kind = SliDefinition::Kind::kComparison,
                          .gauge = "up",
                          .bound = 0.5,
                          .comparison = SliComparison::kLess}),
            (EventCounts{.bad = 15, .total = 20}));
  EXPECT_EQ(five_minutes({.kind = SliDefinition::Kind::kLatency, .histogram = "d", .bound = 1}),
            (EventCounts{.bad = 40, .total = 200}));
  EXPECT_EQ(five_minutes({.kind = SliDefinition::Kind::kLatency, .histogram = "n", .bound = 1}),
            (EventCounts{.bad = 80, .total = 200}));
}

TEST(SloCounter, ObservationsAreInterpolatedAsPromqlDoes) {
  tsdb::FloatHistogram h;
  h.layout = {.schema = 0, .positive_spans = {{.offset = 1, .length = 1}}};
  h.count = 100;
  h.positive_counts = {100};  // (1, 2]
  EXPECT_EQ(observations_below(h, 1), 0);
  EXPECT_EQ(observations_below(h, 2), 100);
  EXPECT_NEAR(observations_below(h, std::sqrt(2.0)), 50, 1e-9);
}

// What must not change what is counted.
TEST(SloCounter, MetamorphicRelationsHold) {
  const Timestamp begin{1'700'000'000'000};
  const Traffic traffic(11, begin, begin + hours(2), seconds(15));
  const auto slo = slo_of(errors_sli());
  const auto read = [&](const testing::TableStorage& from, Duration shift) {
    auto& storage = const_cast<testing::TableStorage&>(from);
    SloCounter counter(slo, kClock, nullptr);
    const std::int64_t now = kClock.step_of(begin + hours(2) + shift);
    EXPECT_TRUE(counter.recount(storage, now, nullptr).ok());
    BurnReading reading;
    counter.group({}).read(*slo, now, reading);
    return reading;
  };
  testing::TableStorage plain, shifted, scaled, split;
  traffic.put_into(plain);
  const Duration shift = seconds(15 * 1001);
  for (const Traffic::Series& one : traffic.series) {
    tsdb::LabelsBuilder other(one.labels);
    other.set("half", "second");
    for (const auto& [t, v] : one.samples) {
      shifted.add(one.labels, Timestamp{t} + shift, v);
      scaled.add(one.labels, {t}, 1024 * v);
      // One series in two: whole numbers, so that nothing is rounded.
      split.add(one.labels, {t}, std::isnan(v) ? v : std::floor(v));
      split.add(other.build(), {t}, std::isnan(v) ? v : v - std::floor(v));
    }
  }
  const BurnReading expected = read(plain, {0});
  const BurnReading later = read(shifted, shift);
  const BurnReading larger = read(scaled, {0});
  const BurnReading halves = read(split, {0});
  for (std::size_t w = 0; w < slo->windows().size(); ++w) {
    EXPECT_EQ(later.windows[w].events, expected.windows[w].events);
    EXPECT_DOUBLE_EQ(larger.windows[w].ratio, expected.windows[w].ratio);
    EXPECT_EQ(halves.windows[w].events, expected.windows[w].events);
  }
}

}  // namespace
}  // namespace tarsier::alerting
