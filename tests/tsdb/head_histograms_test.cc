// Native histograms and exemplars through the database: appended, queried, logged, cut.

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/db.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

/// What a reader sees of one sample, as text: "f1", or a histogram by its numbers.
std::string show(double v) { return is_stale_marker(v) ? "f-stale" : "f" + std::to_string(v); }
std::string show(const FloatHistogram& h) {
  if (h.is_stale()) return "h-stale";
  std::string text = "h" + std::to_string(h.layout.schema) + " " + std::to_string(h.count) + " " +
                     std::to_string(h.sum) + " " + std::to_string(h.zero_count);
  // Empty buckets come and go with the chunk they are in.
  const auto side = [&](const std::vector<BucketSpan>& spans, const std::vector<double>& counts) {
    std::int64_t index = 0;
    std::size_t i = 0;
    text += " |";
    for (const BucketSpan& span : spans) {
      index += span.offset;
      for (std::uint32_t k = 0; k < span.length; ++k, ++i, ++index) {
        if (counts[i] == 0) continue;
        text += " " + std::to_string(index) + ":" + std::to_string(counts[i]);
      }
    }
  };
  side(h.layout.positive_spans, h.positive_counts);
  side(h.layout.negative_spans, h.negative_counts);
  return text;
}
std::string show(const AnyHistogram& h) {
  const auto* integers = std::get_if<IntegerHistogram>(&h);
  return show(integers != nullptr ? to_float(*integers) : std::get<FloatHistogram>(h));
}

using Rows = std::map<std::int64_t, std::string>;
using Model = std::map<std::string, Rows>;

IntegerHistogram integers(std::uint64_t n, std::int32_t first = 0) {
  IntegerHistogram h;
  h.layout.positive_spans = {{first, 2}};
  h.positive_deltas = {static_cast<std::int64_t>(n), 1};
  h.count = 2 * n + 1;
  h.sum = static_cast<double>(n) / 2;
  return h;
}
FloatHistogram floats(double n) {
  FloatHistogram h;
  h.layout.schema = 3;
  h.layout.negative_spans = {{0, 1}, {3, 1}};
  h.negative_counts = {n, n / 3};
  h.count = 2 * n;
  h.sum = -n;
  return h;
}

class HeadHistograms : public ::testing::Test {
 protected:
  HeadHistograms() {
    options_.block_range = seconds(100);
    options_.block_range_max = seconds(1000);
    options_.wal_segment_bytes = 64 << 10;
    options_.retention = Duration{0};
    options_.exemplars_max = 8;
    open();
  }
  void open() {
    auto db = Db::open(*disk_, "data", options_, log_, nullptr);
    ASSERT_TRUE(db.ok()) << db.status().message();
    db_ = std::move(db).value();
  }
  void crash(bool loses_power) {
    auto survivor = loses_power ? disk_->after_power_cut(7) : disk_->after_process_crash();
    db_.reset();
    disk_ = std::move(survivor);
    open();
  }
  void sync() {
    db_->interrupt_sync();
    ASSERT_FALSE(db_->sync_due());
  }
  void run_due() {
    sync();
    while (db_->run_due(Timestamp{0}) <= Timestamp{0}) {
    }
  }
  using Value = std::variant<double, AnyHistogram>;
  static AppendOutcome append_to(Appender& appender, const std::string& name, std::int64_t t,
                                 const Value& value) {
    const SeriesRef ref = appender.resolve({{"__name__", name}}).value();
    if (const double* v = std::get_if<double>(&value)) {
      return appender.append(ref, {Timestamp{t}, *v});
    }
    const auto& any = std::get<AnyHistogram>(value);
    if (const auto* h = std::get_if<IntegerHistogram>(&any)) {
      return appender.append_histogram(ref, Timestamp{t}, *h);
    }
    return appender.append_float_histogram(ref, Timestamp{t}, std::get<FloatHistogram>(any));
  }
  AppendOutcome append(const std::string& name, std::int64_t t, const Value& value) {
    const auto appender = db_->appender();
    const AppendOutcome outcome = append_to(*appender, name, t, value);
    EXPECT_TRUE(appender->commit().ok());
    return outcome;
  }
  AppendOutcome append_exemplar(const std::string& name, const Exemplar& exemplar) {
    const auto appender = db_->appender();
    const SeriesRef ref = appender->resolve({{"__name__", name}}).value();
    const AppendOutcome outcome = appender->append_exemplar(ref, exemplar);
    EXPECT_TRUE(appender->commit().ok());
    return outcome;
  }

  /// Brings full chunks to files.
  void write_head_chunks() {
    for (int i = 0; i < 2; ++i) {
      sync();
      db_->write_head_chunks_due(Timestamp{now_ms_ += 60'000});
    }
  }
  std::string metrics() {
    MetricWriter out;
    db_->collect(out);
    return out.take();
  }

  Model everything(TimeRange range = {}) {
    SelectHints hints;
    hints.range = range;
    const auto querier = db_->querier(range).value();
    const auto set = querier->select({}, hints, nullptr).value();
    Model model;
    for (std::size_t i = 0; i < set->size(); ++i) {
      Rows& rows = model[std::string(set->label(i, "__name__"))];
      SampleColumns samples;
      HistogramColumns histograms;
      EXPECT_TRUE(set->read_mixed(i, range, samples, histograms).ok());
      EXPECT_TRUE(histograms.empty() || set->may_have_histograms(i));
      for (std::size_t k = 0; k < samples.size(); ++k) {
        rows[samples.times_ms[k]] = show(samples.values[k]);
      }
      for (std::size_t k = 0; k < histograms.size(); ++k) {
        rows[histograms.times_ms[k]] = show(histograms.at(k));
      }
      EXPECT_EQ(rows.size(), samples.size() + histograms.size()) << "two samples at one time";
      SampleColumns only_floats;
      EXPECT_TRUE(set->read(i, range, only_floats).ok());
      EXPECT_EQ(only_floats.times_ms, samples.times_ms);
      const auto last = set->last_sample(i, range).value();
      EXPECT_EQ(last ? last->t.ms : -1, samples.size() == 0 ? -1 : samples.times_ms.back());
    }
    return model;
  }
  std::vector<std::string> hints_of(const std::string& name) {
    const auto querier = db_->querier({}).value();
    const auto set = querier->select({Matcher::equal("__name__", name)}, {}, nullptr).value();
    SampleColumns samples;
    HistogramColumns histograms;
    EXPECT_TRUE(set->read_mixed(0, {}, samples, histograms).ok());
    std::vector<std::string> out;
    for (const CounterResetHint hint : histograms.hints) {
      const char* names[] = {"unknown", "reset", "not", "gauge"};
      out.emplace_back(names[static_cast<int>(hint)]);
    }
    return out;
  }
  std::vector<std::string> exemplars(TimeRange range = {}) {
    std::vector<std::string> out;
    for (const SeriesExemplars& one : db_->exemplars(
             {{Matcher::equal("__name__", "a")}, {Matcher::equal("__name__", "b")}}, range)) {
      for (const Exemplar& exemplar : one.exemplars) {
        out.push_back(std::string(one.series.get("__name__")) + " " +
                      std::to_string(exemplar.t.ms) + " " + std::string(exemplar.labels.get("id")));
      }
    }
    return out;
  }

  Options options_;
  testing::CapturingLogger log_;
  std::unique_ptr<FaultyFileSystem> disk_ = std::make_unique<FaultyFileSystem>();
  std::unique_ptr<Db> db_;
  std::int64_t now_ms_ = 1'000'000;
};

/// What is in files must be all there was: a chunk that is missing there would be missing for good.
TEST_F(HeadHistograms, AreInChunkFilesInOneOrderWithFloats) {
  for (int i = 0; i < 60; ++i) {
    const std::int64_t t = 1000 + 1000 * i;
    const auto n = static_cast<std::uint64_t>(i);
    if (i % 3 == 0) append("a", t, 1.0 * i);
    if (i % 3 == 1) append("a", t, AnyHistogram(integers(n)));
    if (i % 3 == 2) append("a", t, AnyHistogram(floats(i)));
    append("b", t, AnyHistogram(integers(n, i % 7)));  // Its chunks get new buckets.
  }
  append("b", 150'000, AnyHistogram(integers(60)));  // Another window.
  const Model expected = everything();
  const auto hints = hints_of("b");
  write_head_chunks();
  EXPECT_EQ(metrics().find("prometheus_tsdb_mmap_chunks_total 0\n"), std::string::npos);
  for (int round = 0; round < 3; ++round) {
    crash(round == 1);
    EXPECT_EQ(everything(), expected);
    EXPECT_EQ(hints_of("b"), hints);
    write_head_chunks();
  }
  run_due();
  EXPECT_EQ(everything(), expected);
}

/// A chunk in a file says what its series' last histogram was: the next one is judged by it.
TEST_F(HeadHistograms, GoOnBehindAChunkFile) {
  for (int i = 0; i < 30; ++i) {
    append("i", 1000 + 1000 * i, AnyHistogram(integers(10 + static_cast<std::uint64_t>(i), i % 3)));
    FloatHistogram gauge = floats(5 + i % 3);
    gauge.hint = CounterResetHint::kGauge;
    append("g", 1000 + 1000 * i, AnyHistogram(gauge));
  }
  FloatHistogram last = floats(5 + 29 % 3);
  last.hint = CounterResetHint::kGauge;
  append("far", 951'000, 1.0);
  db_->run_due(Timestamp{0});  // Series that ended a quarter of an hour ago are sealed.
  write_head_chunks();
  crash(false);
  EXPECT_EQ(append("i", 30'000, AnyHistogram(integers(39, 2))), AppendOutcome::kIgnored);
  EXPECT_EQ(append("i", 30'000, AnyHistogram(integers(38, 2))), AppendOutcome::kOutOfBounds);
  EXPECT_EQ(append("g", 30'000, AnyHistogram(last)), AppendOutcome::kIgnored);
}

/// Late ones of all kinds, with floats of the same series between them.
TEST_F(HeadHistograms, GoInOutOfOrder) {
  options_.out_of_order_time_window = seconds(500);
  ASSERT_TRUE(db_->set_out_of_order_time_window(seconds(500)).ok());
  std::mt19937_64 random(7);
  Model expected;
  const auto put = [&](const std::string& name, std::int64_t t, const Value& value) {
    const AppendOutcome outcome = append(name, t, value);
    if (outcome != AppendOutcome::kAppended) return outcome;
    const double* v = std::get_if<double>(&value);
    expected[name].emplace(t, v != nullptr ? show(*v) : show(std::get<AnyHistogram>(value)));
    return outcome;
  };
  const auto any = [&](std::int64_t t) -> Value {
    const auto n = static_cast<std::uint64_t>(random() % 40);
    switch (random() % 5) {
      case 0: return static_cast<double>(t);
      case 1: return AnyHistogram(floats(static_cast<double>(n)));
      case 2: {
        IntegerHistogram custom;
        custom.layout.schema = kCustomBucketsSchema;
        custom.layout.custom_bounds = {0.5, static_cast<double>(1 + n % 3)};
        custom.layout.positive_spans = {{0, 3}};
        custom.positive_deltas = {static_cast<std::int64_t>(n), 0, 1};
        custom.count = 3 * n + 1;
        return AnyHistogram(custom);
      }
      case 3: {
        FloatHistogram gauge = floats(static_cast<double>(n));
        gauge.hint = CounterResetHint::kGauge;
        return AnyHistogram(gauge);
      }
      default: return AnyHistogram(integers(n, static_cast<std::int32_t>(n % 4)));
    }
  };
  put("a", 600'000, AnyHistogram(integers(1)));
  put("f", 600'000, 1.0);
  EXPECT_EQ(put("a", 99'999, AnyHistogram(integers(1))), AppendOutcome::kTooOld);
  std::vector<std::int64_t> times;
  for (std::int64_t t = 520'000; t < 600'000; t += 400) times.push_back(t);
  std::shuffle(times.begin(), times.end(), random);
  for (const std::int64_t t : times) {
    ASSERT_EQ(put("a", t, any(t)), AppendOutcome::kAppended);
    if (t % 1200 == 0) put("f", t, any(t));
  }
  // Of two at one time the first stays, whatever they are.
  append("f", 520'800, 2.0);
  append("f", 520'800, AnyHistogram(floats(3)));
  expected["f"].emplace(520'800, show(2.0));
  put("late", 300'000, AnyHistogram(floats(3)));  // Nothing in order.
  put("late", 300'001, stale_marker());
  EXPECT_EQ(everything(), expected);
  EXPECT_EQ(metrics().find(
                "prometheus_tsdb_head_out_of_order_samples_appended_total{type=\"histogram\"} 0\n"),
            std::string::npos);

  write_head_chunks();
  EXPECT_EQ(everything(), expected);
  for (const bool loses_power : {false, true}) {
    crash(loses_power);
    EXPECT_EQ(everything(), expected);
  }
  const TimeRange gone{Timestamp{530'000}, Timestamp{550'000}};
  ASSERT_TRUE(db_->delete_series({Matcher::equal("__name__", "a")}, gone).ok());
  std::erase_if(expected["a"],
                [&](const auto& one) { return gone.contains(Timestamp{one.first}); });
  put("a", 540'000, AnyHistogram(integers(7)));
  EXPECT_EQ(everything(), expected);
  sync();
  crash(false);
  EXPECT_EQ(everything(), expected);

  const std::string name =
      db_->snapshot(Timestamp{now_ms_}, Db::SnapshotScope::kEverything).value();
  for (std::int64_t t = 601'000; t < 900'000; t += 1000) put("f", t, 1.0);
  for (int i = 0; i < 8; ++i) {
    sync();
    db_->run_due(Timestamp{now_ms_ += 60'000});
  }
  EXPECT_NE(metrics().find("prometheus_tsdb_out_of_order_wbl_truncations_total 1\n"),
            std::string::npos);
  EXPECT_EQ(everything(), expected);
  crash(false);
  EXPECT_EQ(everything(), expected);
  db_.reset();
  db_ = Db::open(*disk_, "data/snapshots/" + name, options_, log_, nullptr).value();
  expected["f"].erase(expected["f"].upper_bound(600'000), expected["f"].end());
  EXPECT_EQ(everything(), expected);
}

TEST_F(HeadHistograms, AreThereAtOnceAndAfterAnyCrash) {
  Model expected;
  for (std::int64_t t = 1000; t < 40'000; t += 1000) {
    const auto n = static_cast<std::uint64_t>(t / 1000);
    ASSERT_EQ(append("i", t, AnyHistogram(integers(n))), AppendOutcome::kAppended);
    ASSERT_EQ(append("f", t, AnyHistogram(floats(static_cast<double>(n)))),
              AppendOutcome::kAppended);
    expected["i"][t] = show(AnyHistogram(integers(n)));
    expected["f"][t] = show(floats(static_cast<double>(n)));
  }
  EXPECT_EQ(everything(), expected);
  sync();
  crash(false);
  EXPECT_EQ(everything(), expected);
  crash(true);
  EXPECT_EQ(everything(), expected);
  EXPECT_EQ(hints_of("i").front(), "unknown");
  EXPECT_EQ(hints_of("i").back(), "not");
}

TEST_F(HeadHistograms, AreJudgedLikeFloats) {
  using enum AppendOutcome;
  EXPECT_EQ(append("a", 5000, AnyHistogram(integers(1))), kAppended);
  EXPECT_EQ(append("a", 5000, AnyHistogram(integers(1))), kIgnored);
  EXPECT_EQ(append("a", 5000, AnyHistogram(integers(2))), kDuplicate);
  EXPECT_EQ(append("a", 5000, AnyHistogram(floats(2))), kDuplicate);
  EXPECT_EQ(append("a", 5000, 1.0), kDuplicate);
  EXPECT_EQ(append("a", 4000, AnyHistogram(integers(2))), kOutOfOrder);
  EXPECT_EQ(append("a", 4000, 1.0), kOutOfOrder);
  EXPECT_EQ(append("a", 6000, 1.0), kAppended);
  EXPECT_EQ(append("a", 6000, AnyHistogram(integers(2))), kDuplicate);
  EXPECT_EQ(append("a", 500'000, AnyHistogram(integers(2))), kAppended);
  EXPECT_EQ(append("b", 6000, AnyHistogram(integers(2))), kOutOfBounds);
  IntegerHistogram bad = integers(1);
  bad.count = 77;
  EXPECT_EQ(append("b", 500'000, AnyHistogram(bad)), kInvalid);
  const auto appender = db_->appender();
  EXPECT_EQ(appender->append_histogram(SeriesRef{999}, Timestamp{1}, integers(1)), kUnknownSeries);
}

TEST_F(HeadHistograms, OfOneBatchKeepTheirOrderInTheLog) {
  auto appender = db_->appender();
  using enum AppendOutcome;
  EXPECT_EQ(append_to(*appender, "a", 1000, AnyHistogram(integers(1))), kAppended);
  EXPECT_EQ(append_to(*appender, "b", 1000, 1.0), kAppended);
  EXPECT_EQ(append_to(*appender, "a", 2000, 2.0), kAppended);
  EXPECT_EQ(append_to(*appender, "a", 2000, AnyHistogram(integers(1))), kDuplicate);
  EXPECT_EQ(append_to(*appender, "a", 3000, AnyHistogram(floats(3))), kAppended);
  EXPECT_EQ(append_to(*appender, "a", 3000, AnyHistogram(floats(3))), kIgnored);
  EXPECT_EQ(append_to(*appender, "a", 2500, AnyHistogram(floats(3))), kOutOfOrder);
  EXPECT_EQ(append_to(*appender, "a", 4000, AnyHistogram(integers(4))), kAppended);
  EXPECT_EQ(append_to(*appender, "a", 5000, stale_marker()), kAppended);
  EXPECT_EQ(append_to(*appender, "b", 5000, stale_marker()), kAppended);
  ASSERT_TRUE(appender->commit().ok());
  EXPECT_TRUE(appender->refused_at_commit().empty());
  appender.reset();
  const Model expected = {{"a",
                           {{1000, show(AnyHistogram(integers(1)))},
                            {2000, show(2.0)},
                            {3000, show(floats(3))},
                            {4000, show(AnyHistogram(integers(4)))},
                            {5000, "h-stale"}}},
                          {"b", {{1000, show(1.0)}, {5000, "f-stale"}}}};
  EXPECT_EQ(everything(), expected);
  sync();
  crash(false);
  EXPECT_EQ(everything(), expected);
  EXPECT_EQ(append("a", 6000, stale_marker()), kAppended);
  EXPECT_EQ(everything()["a"][6000], "h-stale") << "behind a histogram, also after a restart";
}

TEST_F(HeadHistograms, SayUnknownWhereNothingIsKnownOfAReset) {
  append("a", 1000, AnyHistogram(integers(5)));
  append("a", 2000, AnyHistogram(integers(6)));
  append("a", 3000, AnyHistogram(integers(1)));  // A reset.
  append("a", 4000, AnyHistogram(integers(2)));
  append("a", 5000, 1.0);
  append("a", 6000, AnyHistogram(integers(3)));      // Behind a float.
  append("a", 7000, AnyHistogram(integers(4, -1)));  // A bucket is gone.
  append("a", 8000, stale_marker());
  append("a", 9000, AnyHistogram(integers(9)));  // Behind the end.
  IntegerHistogram gauge = integers(1);
  gauge.hint = CounterResetHint::kGauge;
  append("a", 10'000, AnyHistogram(gauge));
  append("a", 11'000, AnyHistogram(gauge));
  EXPECT_EQ(hints_of("a"),
            (std::vector<std::string>{"unknown", "not", "unknown", "not", "unknown", "unknown",
                                      "not", "unknown", "gauge", "gauge"}));
}

TEST_F(HeadHistograms, AnythingInAnyOrderIsWhatTheModelSays) {
  std::size_t block_count = 0;
  for (unsigned seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    disk_ = std::make_unique<FaultyFileSystem>();
    db_.reset();
    open();
    std::mt19937 random(seed);
    Model expected;
    std::int64_t t = 1000;
    bool behind_histogram[3] = {};
    for (int step = 0; step < 400; ++step) {
      auto appender = db_->appender();
      for (std::size_t k = random() % 6; k > 0; --k) {
        t += 1 + random() % 800;
        const std::size_t which = random() % 3;
        const std::string name(1, static_cast<char>('a' + which));
        const auto n = static_cast<unsigned>(random() % 1000);
        Value value = static_cast<double>(n);
        const bool keeps = random() % 4 != 0;  // Kinds come in runs.
        const bool wants_histogram = keeps ? behind_histogram[which] : random() % 2 == 0;
        if (wants_histogram) {
          value = n % 5 == 0 ? AnyHistogram(floats(n))
                             : AnyHistogram(integers(n, static_cast<std::int32_t>(n % 7) - 3));
        } else if (n % 13 == 0) {
          value = stale_marker();
        }
        ASSERT_EQ(append_to(*appender, name, t, value), AppendOutcome::kAppended);
        std::string& row = expected[name][t];
        if (const double* v = std::get_if<double>(&value)) {
          // A marker behind a histogram is one.
          row = is_stale_marker(*v) && behind_histogram[which] ? "h-stale" : show(*v);
          behind_histogram[which] = row == "h-stale";
        } else {
          row = show(std::get<AnyHistogram>(value));
          behind_histogram[which] = true;
        }
      }
      ASSERT_TRUE(appender->commit().ok());
      ASSERT_TRUE(appender->refused_at_commit().empty());
      appender.reset();
      if (random() % 60 == 0) {
        sync();
        crash(random() % 2 == 0);
        for (auto& [name, rows] : expected) {
          behind_histogram[name[0] - 'a'] = rows.rbegin()->second[0] == 'h';
        }
      }
      if (random() % 40 == 0) run_due();
      if (step % 50 == 0) {
        ASSERT_EQ(everything(), expected) << "step " << step;
      }
    }
    run_due();
    ASSERT_EQ(everything(), expected);
    block_count += db_->blocks().size();
  }
  EXPECT_GT(block_count, 0u);
}

TEST_F(HeadHistograms, OfManyBucketsFitIntoTheHead) {
  IntegerHistogram h;
  h.layout.schema = 8;
  h.layout.positive_spans = {{-16'000, kHistogramBucketsMax}};
  h.positive_deltas.assign(kHistogramBucketsMax, 0);
  h.positive_deltas[0] = std::int64_t{1} << 40;
  h.count = (std::uint64_t{1} << 40) * kHistogramBucketsMax;
  for (int i = 1; i < 6; ++i) {
    h.positive_deltas[kHistogramBucketsMax - 1] += 1;
    h.count += 1;
    ASSERT_EQ(append("a", i * 1000, AnyHistogram(h)), AppendOutcome::kAppended);
  }
  EXPECT_EQ(everything()["a"].size(), 5u);
  sync();
  crash(false);
  EXPECT_EQ(everything()["a"].size(), 5u);
}

TEST_F(HeadHistograms, ThatAreDeletedAreGone) {
  for (std::int64_t t = 1000; t < 10'000; t += 1000) {
    append("a", t, AnyHistogram(integers(static_cast<std::uint64_t>(t))));
  }
  ASSERT_TRUE(
      db_->delete_series({Matcher::equal("__name__", "a")}, {Timestamp{3000}, Timestamp{5000}})
          .ok());
  EXPECT_EQ(everything()["a"].size(), 6u);
  sync();
  crash(false);
  EXPECT_EQ(everything()["a"].size(), 6u);
}

// Exemplars.

Exemplar exemplar(std::int64_t t, const std::string& id, double value = 1) {
  return {{{"id", id}}, value, Timestamp{t}};
}

TEST_F(HeadHistograms, ExemplarsAreKeptInARingAndInTheLog) {
  using enum AppendOutcome;
  EXPECT_EQ(append_exemplar("a", exemplar(1000, "x")), kAppended);
  EXPECT_EQ(append_exemplar("a", exemplar(1000, "x")), kIgnored);
  EXPECT_EQ(append_exemplar("a", exemplar(900, "x")), kOutOfOrder);
  EXPECT_EQ(append_exemplar("a", exemplar(1000, "x", 0.5)), kOutOfOrder);
  EXPECT_EQ(append_exemplar("a", exemplar(1000, "w")), kOutOfOrder);
  EXPECT_EQ(append_exemplar("a", exemplar(1000, "y")), kAppended);
  EXPECT_EQ(append_exemplar("b", exemplar(500, "z")), kAppended);
  EXPECT_EQ(append_exemplar("b", exemplar(500, std::string(127, 'x'))), kInvalid);
  const std::vector<std::string> expected = {"a 1000 x", "a 1000 y", "b 500 z"};
  EXPECT_EQ(exemplars(), expected);
  EXPECT_EQ(exemplars({Timestamp{400}, Timestamp{500}}), (std::vector<std::string>{"b 500 z"}));
  sync();
  crash(false);
  EXPECT_EQ(exemplars(), expected);
  for (int i = 1; i < 8; ++i) append_exemplar("b", exemplar(1000 + i, std::to_string(i)));
  EXPECT_EQ(exemplars(), (std::vector<std::string>{"b 500 z", "b 1001 1", "b 1002 2", "b 1003 3",
                                                   "b 1004 4", "b 1005 5", "b 1006 6", "b 1007 7"}))
      << "the oldest went";
  db_->set_exemplars_max(2);
  EXPECT_EQ(exemplars(), (std::vector<std::string>{"b 1006 6", "b 1007 7"}));
  db_->set_exemplars_max(3);
  append_exemplar("a", exemplar(2000, "n"));
  EXPECT_EQ(exemplars(), (std::vector<std::string>{"a 2000 n", "b 1006 6", "b 1007 7"}));
  db_->set_exemplars_max(0);
  EXPECT_EQ(append_exemplar("a", exemplar(3000, "n")), kIgnored);
  EXPECT_TRUE(exemplars().empty());
}

TEST_F(HeadHistograms, CheckpointsKeepYoungHistogramsAndExemplars) {
  Model expected;
  for (std::int64_t t = 1000; t < 600'000; t += 1000) {
    append("a", t, AnyHistogram(integers(static_cast<std::uint64_t>(t))));
    expected["a"][t] = show(AnyHistogram(integers(static_cast<std::uint64_t>(t))));
    append_exemplar("a", exemplar(t, std::to_string(t)));
    if (t % 50'000 == 0) run_due();
  }
  run_due();
  crash(false);
  EXPECT_EQ(everything(), expected);
  EXPECT_EQ(exemplars().size(), 8u);
  EXPECT_EQ(exemplars().back(), "a 599000 599000");
}

}  // namespace
}  // namespace tarsier::tsdb
