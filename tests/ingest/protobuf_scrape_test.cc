#include <functional>
#include <utility>

#include <gtest/gtest.h>

#include "ingest/exposition/protobuf.h"
#include "ingest/native_limits.h"
#include "ingest/scrape_loop.h"
#include "tests/ingest/exposition_message.h"
#include "tests/ingest/stored_samples.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/table_appender.h"

namespace tarsier::ingest {
namespace {

using namespace message;
using tsdb::Labels;

/// One target of job "j", instance "i", scraped by hand; what it exposes is in protobuf.
class ProtobufScrape : public ::testing::Test {
 protected:
  ProtobufScrape() {
    config.job_name = "j";
    config.histograms.scrape_native = true;
  }

  ScrapeLoop& loop() {
    if (loop_ == nullptr) {
      TargetOutcome outcome = make_target(config, {}, "i");
      CHECK(outcome.kind == TargetOutcome::Kind::kActive);
      loop_ =
          std::make_unique<ScrapeLoop>(context, std::make_shared<const ScrapeConfig>(config),
                                       std::make_shared<const Target>(std::move(outcome.target)));
    }
    return *loop_;
  }
  void scrape(int at_seconds, std::string body,
              std::string type =
                  "application/vnd.google.protobuf; "
                  "proto=io.prometheus.client.MetricFamily; encoding=delimited") {
    HttpResponse response;
    response.content_type = std::move(type);
    response.body = std::move(body);
    loop().finish(Timestamp{at_seconds * 1000}, 0, response);
  }
  void scrape_openmetrics(int at_seconds, std::string body) {
    scrape(at_seconds, std::move(body), "application/openmetrics-text; version=1.0.0");
  }

  Labels labels_of(std::string_view name, const Pairs& more = {}) const {
    tsdb::LabelsBuilder labels(Labels{{"__name__", name}, {"instance", "i"}, {"job", "j"}});
    for (const auto& [label, value] : more) labels.set(label, value);
    return labels.build();
  }
  std::string samples(std::string_view name, const Pairs& more = {}) const {
    return stored(head, labels_of(name, more));
  }
  const testing::TableHead::Series& series(std::string_view name, const Pairs& more = {}) const {
    static const testing::TableHead::Series kNone;
    const auto* const found = head.find(labels_of(name, more));
    EXPECT_NE(found, nullptr) << name;
    return found ? *found : kNone;
  }
  std::string last_error() { return loop().status().last_error; }

  ScrapeConfig config;
  testing::TableHead head;
  testing::CapturingLogger log;
  ScrapeContext context{.make_appender = [this] { return head.appender(); },
                        .monotonic_ns = [] { return 0; },
                        .hash = KeyedHash(HashKey{{1, 2, 3, 4}}),
                        .log = log};

 private:
  std::unique_ptr<ScrapeLoop> loop_;
};

/// Six observations: zero bucket 1, positive 2 and 3, classic bounds 1 and 2 beside it.
std::string histogram(bool with_native, bool with_classic, std::int64_t start_ms = 0) {
  return of([&](ProtobufWriter& out) {
    out.varint(1, 6);
    out.real(2, 9.5);
    if (with_classic) {
      out.bytes(3, bucket(3, 1, exemplar({{"trace_id", "b"}}, 0.5, 500)));
      out.bytes(3, bucket(6, 2));
    }
    if (with_native) {
      out.zigzag(5, 0);
      out.real(6, 0.001);
      out.varint(7, 1);
      out.bytes(12, span(0, 2));
      out.bytes(13, std::string("\x04\x02", 2));  // Deltas 2 and 1, packed.
      out.bytes(16, exemplar({{"trace_id", "n"}}, 1.5, 700));
    }
    if (start_ms != 0) out.bytes(15, timestamp(start_ms));
  });
}

TEST_F(ProtobufScrape, StoresEveryTypeAsTheTextFormatDoes) {
  const std::string summary = of([](ProtobufWriter& out) {
    out.varint(1, 10);
    out.real(2, 25);
    out.bytes(3, of([](ProtobufWriter& q) {
                q.real(1, 0.5);
                q.real(2, 2.5);
              }));
  });
  const std::string body =
      family("c_total", kCounter, {metric({{"a", "x"}}, 3, real(1)), metric({}, 3, real(2))}) +
      family("g", kGauge, {metric({}, 2, real(-1.5), 4000)}) +
      family("s", kSummary, {metric({}, 4, summary)}) +
      family("u", kUntyped, {metric({{"job", "theirs"}}, 5, real(7))}, "", "seconds") +
      family("h", kHistogram, {metric({{"a", "x"}}, 7, histogram(false, true))});
  scrape(15, body);
  EXPECT_EQ(last_error(), "");
  EXPECT_EQ(samples("c_total", {{"a", "x"}}), "1@15");
  EXPECT_EQ(samples("c_total"), "2@15");
  EXPECT_EQ(samples("g"), "-1.5@4");
  EXPECT_EQ(samples("s", {{"quantile", "0.5"}}), "2.5@15");
  EXPECT_EQ(samples("s_count"), "10@15");
  EXPECT_EQ(samples("s_sum"), "25@15");
  EXPECT_EQ(samples("u", {{"exported_job", "theirs"}}), "7@15");
  EXPECT_EQ(samples("h_count", {{"a", "x"}}), "6@15");
  EXPECT_EQ(samples("h_sum", {{"a", "x"}}), "9.5@15");
  EXPECT_EQ(samples("h_bucket", {{"a", "x"}, {"le", "1.0"}}), "3@15");
  EXPECT_EQ(samples("h_bucket", {{"a", "x"}, {"le", "+Inf"}}), "6@15") << "added";
  EXPECT_EQ(samples("up"), "1@15");
  EXPECT_EQ(samples("scrape_samples_scraped"), "12@15");
  EXPECT_EQ(series("c_total").metadata, (tsdb::Metadata{tsdb::MetricType::kCounter, "", "Help."}));
  EXPECT_EQ(series("u", {{"exported_job", "theirs"}}).metadata.unit, "seconds");

  const std::size_t resolved = head.resolve_count;
  scrape(30, body);
  EXPECT_EQ(head.resolve_count, resolved) << "known series are not looked up again";
  EXPECT_EQ(samples("c_total"), "2@15 2@30");
  scrape(45, family("c_total", kCounter, {metric({}, 3, real(3))}));
  EXPECT_EQ(samples("c_total"), "2@15 2@30 3@45");
  EXPECT_EQ(samples("c_total", {{"a", "x"}}), "1@15 1@30 stale@45");
}

TEST_F(ProtobufScrape, WhatBecomesOfHistogramsIsTheJobsChoice) {
  struct Case {
    HistogramPolicy policy;
    bool with_native;
    bool with_classic;
    std::string_view stored;
  };
  const HistogramPolicy none;
  const HistogramPolicy native{.scrape_native = true};
  const HistogramPolicy both{.scrape_native = true, .always_classic = true};
  const HistogramPolicy convert{.convert_classic = true};
  const HistogramPolicy convert_both{.always_classic = true, .convert_classic = true};
  const HistogramPolicy native_convert{.scrape_native = true, .convert_classic = true};
  const HistogramPolicy everything{
      .scrape_native = true, .always_classic = true, .convert_classic = true};
  const Case cases[] = {
      {none, false, true, "classic"},
      {convert, false, true, "custom"},
      {convert_both, false, true, "custom classic"},
      {none, true, false, "infinite"},
      {convert, true, false, "custom"},
      {native, true, false, "native"},
      {both, true, false, "native"},
      {none, true, true, "classic"},
      {convert, true, true, "custom"},
      {native, true, true, "native"},
      {both, true, true, "native classic"},
      {native_convert, true, true, "native"},
      {native_convert, false, true, "custom"},
      {everything, true, true, "native classic"},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    const Case& one = cases[i];
    SCOPED_TRACE(i);
    testing::TableHead fresh;
    ScrapeContext own{.make_appender = [&] { return fresh.appender(); },
                      .monotonic_ns = [] { return 0; },
                      .hash = context.hash,
                      .log = log};
    ScrapeConfig job = config;
    job.histograms = one.policy;
    ScrapeLoop target(own, std::make_shared<const ScrapeConfig>(job),
                      std::make_shared<const Target>(make_target(job, {}, "i").target));
    HttpResponse response;
    response.content_type = "application/vnd.google.protobuf";
    response.body =
        family("h", kHistogram, {metric({}, 7, histogram(one.with_native, one.with_classic))});
    target.finish(Timestamp{15'000}, 0, response);
    EXPECT_EQ(target.status().last_error, "");
    std::string found;
    if (const auto* h = fresh.find(labels_of("h"))) {
      ASSERT_EQ(h->histograms.size(), 1u);
      found += layout_of(h->histograms[0].second).is_custom() ? "custom " : "native ";
    }
    if (fresh.find(labels_of("h_bucket", {{"le", "1.0"}})))
      found += "classic ";
    else if (fresh.find(labels_of("h_bucket", {{"le", "+Inf"}})))
      found += "infinite ";
    if (!found.empty()) found.pop_back();
    EXPECT_EQ(found, one.stored);
  }
}

TEST_F(ProtobufScrape, NativeHistogramsArriveWholeWithTheirExemplars) {
  scrape(15, family("h", kHistogram, {metric({}, 7, histogram(true, true))}));
  ASSERT_EQ(series("h").histograms.size(), 1u);
  EXPECT_EQ(series("h").histograms[0].first, Timestamp{15'000});
  const auto& h = std::get<tsdb::IntegerHistogram>(series("h").histograms[0].second);
  EXPECT_EQ(h.count, 6u);
  EXPECT_EQ(h.sum, 9.5);
  EXPECT_EQ(h.zero_count, 1u);
  EXPECT_EQ(h.layout.zero_threshold, 0.001);
  EXPECT_EQ(h.positive_deltas, (std::vector<std::int64_t>{2, 1}));
  ASSERT_EQ(series("h").exemplars.size(), 1u) << "those of the histogram, not of its buckets";
  EXPECT_EQ(series("h").exemplars[0],
            (tsdb::Exemplar{Labels{{"trace_id", "n"}}, 1.5, Timestamp{700}}));
  scrape(30, "");
}

TEST_F(ProtobufScrape, FloatAndGaugeHistogramsKeepTheirKind) {
  const std::string floats = of([](ProtobufWriter& out) {
    out.real(4, 2.5);
    out.real(2, 3);
    out.zigzag(5, 1);
    out.bytes(12, span(-1, 1));
    out.real(14, 2.5);  // Not packed.
  });
  scrape(15,
         family("f", kHistogram, {metric({}, 7, floats)}) +
             family("g", kGaugeHistogram, {metric({}, 7, histogram(true, false))}) +
             family("e", kHistogram,
                    {metric({}, 7, of([](ProtobufWriter& out) { out.bytes(12, span(0, 0)); }))}));
  EXPECT_EQ(last_error(), "");
  const auto& f = std::get<tsdb::FloatHistogram>(series("f").histograms.at(0).second);
  EXPECT_EQ(f.count, 2.5);
  EXPECT_EQ(f.positive_counts, std::vector<double>{2.5});
  EXPECT_EQ(hint_of(series("g").histograms.at(0).second), tsdb::CounterResetHint::kGauge);
  EXPECT_EQ(series("g").metadata.type, tsdb::MetricType::kGaugeHistogram);
  const auto& empty = std::get<tsdb::IntegerHistogram>(series("e").histograms.at(0).second);
  EXPECT_EQ(empty.count, 0u);
  EXPECT_TRUE(empty.layout.positive_spans.empty());
}

TEST_F(ProtobufScrape, LimitsReduceTheResolutionBeforeTheyFailTheScrape) {
  const std::string fine = of([](ProtobufWriter& out) {
    out.varint(1, 8);
    out.real(2, 8);
    out.zigzag(5, 8);
    out.bytes(12, span(1, 8));
    out.bytes(13, std::string("\x02\0\0\0\0\0\0\0", 8));
  });
  EXPECT_EQ(finest_schema(0), 8);
  EXPECT_EQ(finest_schema(1.002), 8);
  EXPECT_EQ(finest_schema(1.1), 2);
  EXPECT_EQ(finest_schema(2), 0);
  EXPECT_EQ(finest_schema(1e9), -4);
  config.native_histogram_bucket_limit = 2;
  scrape(15, family("h", kHistogram, {metric({}, 7, fine)}));
  const auto& h = std::get<tsdb::IntegerHistogram>(series("h").histograms.at(0).second);
  EXPECT_EQ(h.layout.schema, 6);
  EXPECT_EQ(h.positive_deltas, (std::vector<std::int64_t>{4, 0}));

  // Custom buckets cannot be merged.
  const std::string custom =
      "# TYPE c histogram\nc_bucket{le=\"1\"} 1\nc_bucket{le=\"2\"} 3\n"
      "c_bucket{le=\"+Inf\"} 9\nc_sum 4\nc_count 9\n";
  config.histograms.convert_classic = true;
  auto shared = std::make_shared<const ScrapeConfig>(config);
  loop().reconfigure(shared, std::make_shared<const Target>(make_target(config, {}, "i").target));
  scrape(30, custom, "text/plain");
  EXPECT_EQ(last_error(), "histogram bucket limit exceeded");
  EXPECT_EQ(context.metrics.exceeded_bucket_limit.value(), 1u);
  EXPECT_EQ(samples("up"), "1@15 0@30");
}

TEST_F(ProtobufScrape, DamageFailsTheScrapeAndKeepsNothing) {
  const std::string good = family("a", kGauge, {metric({}, 2, real(1))});
  const std::string h = family("h", kHistogram, {metric({}, 7, of([](ProtobufWriter& out) {
                                                          out.varint(1, 5);
                                                          out.bytes(12, span(0, 3));
                                                          out.bytes(13, std::string("\x02", 1));
                                                        }))});
  struct Case {
    std::string body;
    std::string_view error;
  };
  const Case cases[] = {
      {good + "\x05", "protobuf: the length of a MetricFamily is damaged"},
      {good + h, "histogram spans specify different number of buckets than provided"},
      {good + family("b", kGauge, {metric({}, 2, "\x08")}), "protobuf: a Gauge is damaged"},
      {good + family("", kGauge, {}), "invalid metric name"},
      {good + family("b", static_cast<Type>(9), {}), "unknown metric type 9"},
      {good + family("b", kGauge, {metric({{"x", "\xFF"}}, 2, real(1))}), "invalid UTF-8"},
      {good + family("b", kGauge, {metric({{"x", "1"}, {"x", "2"}}, 2, real(1))}), "not unique"},
  };
  int at = 0;
  for (const Case& one : cases) {
    scrape(++at, one.body);
    EXPECT_NE(last_error().find(one.error), std::string::npos) << last_error();
    EXPECT_EQ(samples("a"), "") << one.error;
  }
  // Every prefix of a body is read without harm, and only whole families are accepted.
  const std::string body = good + family("k", kHistogram, {metric({}, 7, histogram(true, true))});
  int accepted = 0;
  for (std::size_t size = 0; size < body.size(); ++size) {
    SectionArena arena;
    const std::string cut = body.substr(0, size);
    ProtobufParser parser(cut, {.native = true, .classic_beside_native = true}, arena);
    EntryKind kind = parser.next();
    while (kind != EntryKind::kEnd && kind != EntryKind::kError) kind = parser.next();
    accepted += kind == EntryKind::kEnd ? 1 : 0;
  }
  EXPECT_EQ(accepted, 2);
}

TEST_F(ProtobufScrape, ExemplarsOfTextReachStorageWithTheScrape) {
  const auto body = [](std::string_view trace) {
    return "# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {trace_id=\"" + std::string(trace) +
           "\"} 0.5\nh_bucket{le=\"+Inf\"} 1\nh_sum 0.5\nh_count 1\n"
           "# TYPE c counter\nc_total 1 # {trace_id=\"timed\"} 1 9.5\n# EOF\n";
  };
  scrape_openmetrics(15, body("a"));
  scrape_openmetrics(30, body("a"));
  scrape_openmetrics(45, body("b"));
  const auto& bucket = series("h_bucket", {{"le", "1.0"}}).exemplars;
  ASSERT_EQ(bucket.size(), 2u) << "one without a time is told again with every scrape";
  EXPECT_EQ(bucket[0], (tsdb::Exemplar{Labels{{"trace_id", "a"}}, 0.5, Timestamp{15'000}}));
  EXPECT_EQ(bucket[1], (tsdb::Exemplar{Labels{{"trace_id", "b"}}, 0.5, Timestamp{45'000}}));
  ASSERT_EQ(series("c_total").exemplars.size(), 1u);
  EXPECT_EQ(series("c_total").exemplars[0].t, Timestamp{9500});
  // A scrape that fails leaves none.
  scrape_openmetrics(60, "# TYPE d counter\nd_total 1 # {trace_id=\"x\"} 1\n");
  EXPECT_EQ(series("d_total").exemplars.size(), 0u);
  // Older than the newest: counted, and the scrape is good.
  scrape_openmetrics(75, "# TYPE c counter\nc_total 2 # {trace_id=\"old\"} 1 2\n# EOF\n");
  EXPECT_EQ(last_error(), "");
  EXPECT_EQ(context.metrics.exemplars_out_of_order.value(), 1u);
}

TEST_F(ProtobufScrape, ClassicHistogramsOfTextBecomeCustomBuckets) {
  config.histograms = {.convert_classic = true};
  scrape_openmetrics(15,
                     "# TYPE h histogram\n"
                     "h_bucket{a=\"x\",le=\"1\"} 1 # {trace_id=\"t\"} 0.5 14\n"
                     "h_bucket{a=\"x\",le=\"5.0\"} 1\nh_bucket{a=\"x\",le=\"+Inf\"} 4\n"
                     "h_sum{a=\"x\"} 30\nh_count{a=\"x\"} 4\n"
                     "h_bucket{a=\"y\",le=\"1\"} 0.5\nh_sum{a=\"y\"} 1\nh_count{a=\"y\"} 2.5\n"
                     "h_bucket{a=\"z\",le=\"1\"} 3\nh_bucket{a=\"z\",le=\"2\"} 2\n"
                     "h_count{a=\"z\"} 3\n"
                     "# TYPE g gauge\ng 1\n# EOF\n");
  EXPECT_EQ(last_error(), "");
  EXPECT_EQ(samples("h_count", {{"a", "x"}}), "none");
  EXPECT_EQ(samples("g"), "1@15");
  const auto& x =
      std::get<tsdb::IntegerHistogram>(series("h", {{"a", "x"}}).histograms.at(0).second);
  EXPECT_EQ(x.layout.custom_bounds, (std::vector<double>{1, 5}));
  EXPECT_EQ(x.count, 4u);
  EXPECT_EQ(x.sum, 30);
  EXPECT_EQ(x.positive_deltas, (std::vector<std::int64_t>{1, -1, 3}));
  ASSERT_EQ(series("h", {{"a", "x"}}).exemplars.size(), 1u);
  const auto& y = std::get<tsdb::FloatHistogram>(series("h", {{"a", "y"}}).histograms.at(0).second);
  EXPECT_EQ(y.positive_counts, (std::vector<double>{0.5, 2}));
  EXPECT_EQ(samples("h", {{"a", "z"}}), "none") << "its counts fall";
  EXPECT_EQ(context.metrics.histograms_not_converted.value(), 1u);
  scrape_openmetrics(30, "# EOF\n");
  EXPECT_EQ(samples("h", {{"a", "x"}}), "stale@30");
}

TEST_F(ProtobufScrape, StartTimesBecomeZeroesWhereThatIsWanted) {
  context.injects_start_zeroes = true;
  const std::string counter = of([](ProtobufWriter& out) {
    out.real(1, 7);
    out.bytes(3, timestamp(10'500));
  });
  const std::string body = family("c_total", kCounter, {metric({}, 3, counter)}) +
                           family("h", kHistogram, {metric({}, 7, histogram(true, false, 10'500))});
  scrape(15, body);
  scrape(30, body);
  EXPECT_EQ(samples("c_total"), "0@10.5 7@15 7@30");
  ASSERT_EQ(series("h").histograms.size(), 3u);
  const auto& zero = std::get<tsdb::IntegerHistogram>(series("h").histograms[0].second);
  EXPECT_EQ(series("h").histograms[0].first, Timestamp{10'500});
  EXPECT_EQ(zero.count, 0u);
  EXPECT_EQ(zero.hint, tsdb::CounterResetHint::kReset);

  // OpenMetrics tells them last.
  scrape_openmetrics(45,
                     "# TYPE d counter\nd_total{a=\"x\"} 3\nd_created{a=\"x\"} 40.5\n"
                     "d_total{a=\"y\"} 4\nd_created{a=\"y\"} 45.5\n"
                     "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_count 2\ns_sum 3\n"
                     "s_created 41\n# EOF\n");
  EXPECT_EQ(last_error(), "");
  EXPECT_EQ(samples("d_total", {{"a", "x"}}), "0@40.5 3@45");
  EXPECT_EQ(samples("d_total", {{"a", "y"}}), "4@45") << "not before the sample";
  EXPECT_EQ(samples("d_created", {{"a", "x"}}), "none");
  EXPECT_EQ(samples("s_count"), "0@41 2@45");
  EXPECT_EQ(samples("s", {{"quantile", "0.5"}}), "1@45");

  context.injects_start_zeroes = false;
  scrape_openmetrics(60, "# TYPE d counter\nd_total{a=\"x\"} 3\nd_created{a=\"x\"} 40.5\n# EOF\n");
  EXPECT_EQ(samples("d_created", {{"a", "x"}}), "40.5@60");
}

}  // namespace
}  // namespace tarsier::ingest
