#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/compression.h"
#include "ingest/remote_write.h"
#include "proto/remote_write_2.pb.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/table_appender.h"

namespace tarsier::ingest {
namespace {

namespace v2 = io::prometheus::write::v2;
using tsdb::Labels;

constexpr std::int64_t kNow = 1'700'000'000'000;

/// A receiver before a table, spoken to in version 2.
class RemoteWrite2 : public ::testing::Test {
 protected:
  RemoteWrite2() { request_.add_symbols(""); }

  std::uint32_t symbol(const std::string& text) {
    for (int i = 0; i < request_.symbols_size(); ++i) {
      if (request_.symbols(i) == text) return static_cast<std::uint32_t>(i);
    }
    request_.add_symbols(text);
    return static_cast<std::uint32_t>(request_.symbols_size() - 1);
  }
  v2::TimeSeries& add(const std::vector<std::pair<std::string, std::string>>& labels) {
    v2::TimeSeries& series = *request_.add_timeseries();
    for (const auto& [name, value] : labels) {
      series.add_labels_refs(symbol(name));
      series.add_labels_refs(symbol(value));
    }
    return series;
  }
  static void add_sample(v2::TimeSeries& series, std::int64_t t, double v) {
    series.add_samples()->set_timestamp(t);
    series.mutable_samples(series.samples_size() - 1)->set_value(v);
  }
  static void add_histogram(v2::TimeSeries& series, std::int64_t t) {
    prometheus::Histogram& h = *series.add_histograms();
    h.set_count_int(7);
    h.set_sum(18.5);
    h.set_schema(1);
    h.set_zero_threshold(0.001);
    h.set_zero_count_int(1);
    h.add_positive_spans()->set_length(2);
    h.add_positive_deltas(2);
    h.add_positive_deltas(2);
    h.set_timestamp(t);
  }

  HttpResponse send_bytes(const std::string& message) {
    HttpRequest http;
    http.method = "POST";
    http.headers = {{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
                    {"Content-Encoding", "snappy"},
                    {"X-Prometheus-Remote-Write-Version", "2.0.0"}};
    snappy_compress(as_bytes(message), http.body);
    http.received = Timestamp{kNow};
    answer_.reset();
    receiver_->handle(std::move(http),
                      [this](HttpResponse response) { answer_ = std::move(response); });
    return answer_.value_or(HttpResponse{.status = 0});
  }
  HttpResponse send() {
    std::string message;
    request_.SerializeToString(&message);
    request_.Clear();
    request_.add_symbols("");
    return send_bytes(message);
  }
  /// "samples histograms exemplars" as the headers of the last answer say.
  std::string written() const {
    std::string out;
    for (const char* what : {"Samples", "Histograms", "Exemplars"}) {
      const std::string name = std::string("X-Prometheus-Remote-Write-") + what + "-Written";
      std::string value = "none";
      for (const auto& [key, text] : answer_->headers) {
        if (key == name) value = text;
      }
      out += (out.empty() ? "" : " ") + value;
    }
    return out;
  }

  WriteDoor door() {
    return {[this] { return head_.appender(); },
            [this](tsdb::LogPosition position, std::function<void(Status)> done) {
              head_.when_synced(position, std::move(done));
            }};
  }

  testing::TableHead head_;
  testing::CapturingLogger log_;
  RemoteWriteReceiver plain_{door(), RemoteWriteOptions{}, HashKey{{1, 2, 3, 4}}, log_};
  RemoteWriteReceiver with_zeroes_{door(), RemoteWriteOptions{.injects_start_zeroes = true},
                                   HashKey{{1, 2, 3, 4}}, log_};
  RemoteWriteReceiver* receiver_ = &plain_;
  v2::Request request_;
  std::optional<HttpResponse> answer_;
};

TEST_F(RemoteWrite2, StoresEverythingAndSaysHowMuch) {
  // Labels in any order, a field of early candidates, metadata beside the series.
  v2::TimeSeries& up = add({{"job", "a"}, {"__name__", "up"}});
  add_sample(up, kNow, 1);
  add_sample(up, kNow + 15, 0);
  up.set_created_timestamp(5);
  up.mutable_metadata()->set_type(v2::Metadata::METRIC_TYPE_COUNTER);
  up.mutable_metadata()->set_help_ref(symbol("How it is."));
  up.mutable_metadata()->set_unit_ref(symbol("ratio"));
  v2::Exemplar& exemplar = *up.add_exemplars();
  exemplar.add_labels_refs(symbol("trace_id"));
  exemplar.add_labels_refs(symbol("abc"));
  exemplar.set_value(0.5);
  exemplar.set_timestamp(kNow);
  add_histogram(add({{"__name__", "h"}}), kNow);

  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(written(), "2 1 1");
  const auto* stored = head_.find(Labels{{"__name__", "up"}, {"job", "a"}});
  ASSERT_NE(stored, nullptr);
  EXPECT_EQ(stored->samples.size(), 2U);
  EXPECT_EQ(stored->metadata, (tsdb::Metadata{tsdb::MetricType::kCounter, "ratio", "How it is."}));
  ASSERT_EQ(stored->exemplars.size(), 1U);
  EXPECT_EQ(stored->exemplars[0].labels, (Labels{{"trace_id", "abc"}}));
  EXPECT_EQ(stored->exemplars[0].value, 0.5);
  const auto* histogram = head_.find(Labels{{"__name__", "h"}});
  ASSERT_NE(histogram, nullptr);
  ASSERT_EQ(histogram->histograms.size(), 1U);
  const auto& h = std::get<tsdb::IntegerHistogram>(histogram->histograms[0].second);
  EXPECT_EQ(h.count, 7U);
  EXPECT_EQ(h.layout.schema, 1);
  EXPECT_EQ(h.positive_deltas, (std::vector<std::int64_t>{2, 2}));
}

TEST_F(RemoteWrite2, ARetryIsHarmlessAndCountsAsWritten) {
  for (int round = 0; round < 2; ++round) {
    add_sample(add({{"__name__", "a"}}), kNow, 1);
    add_histogram(add({{"__name__", "h"}}), kNow);
    EXPECT_EQ(send().status, 204);
    EXPECT_EQ(written(), "1 1 0");
  }
  EXPECT_EQ(head_.find(Labels{{"__name__", "h"}})->histograms.size(), 1U);
}

TEST_F(RemoteWrite2, StoresTheGoodPartAndCountsOnlyThat) {
  add_sample(add({{"__name__", "a"}}), kNow, 1);
  add_sample(add({{"job", "no name"}}), kNow, 1);
  v2::TimeSeries& late = add({{"__name__", "a"}});
  add_sample(late, kNow - 5, 2);
  add_histogram(add({{"__name__", "h"}}), kNow);
  v2::TimeSeries& bad = add({{"__name__", "bad"}});
  add_histogram(bad, kNow);
  bad.mutable_histograms(0)->set_count_int(8);
  add({{"__name__", "nothing"}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(written(), "1 1 0");
  for (const char* text : {"no name", "out of order sample", "but the Count field is 8",
                           "TimeSeries must contain at least one sample or histogram"}) {
    EXPECT_NE(response.body.find(text), std::string::npos) << text << "\n" << response.body;
  }
}

TEST_F(RemoteWrite2, AnExemplarOutOfOrderIsTold) {
  const auto add_exemplar = [&](std::int64_t t) {
    v2::TimeSeries& series = add({{"__name__", "a"}});
    add_sample(series, kNow + t, 1);
    series.add_exemplars()->set_timestamp(kNow + t);
    series.mutable_exemplars(0)->set_value(1);
    return &series;
  };
  add_exemplar(10);
  EXPECT_EQ(send().status, 204);
  add_exemplar(20)->mutable_exemplars(0)->set_timestamp(kNow);
  EXPECT_EQ(send().status, 400);
  EXPECT_EQ(written(), "1 0 0");
}

TEST_F(RemoteWrite2, TakesExemplarsApartFromTheirSamples) {
  add_sample(add({{"__name__", "a"}}), kNow, 1);
  v2::TimeSeries& apart = add({{"__name__", "a"}});
  apart.add_exemplars()->set_timestamp(kNow);
  apart.mutable_exemplars(0)->set_value(1);
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(written(), "1 0 1");
  EXPECT_EQ(head_.find(Labels{{"__name__", "a"}})->exemplars.size(), 1U);
}

TEST_F(RemoteWrite2, StartTimesBecomeZeroesWhereThatIsWanted) {
  const auto send_both = [&](std::int64_t t) {
    v2::TimeSeries& counter = add({{"__name__", "c_total"}});
    add_sample(counter, kNow + t, 5);
    counter.mutable_samples(0)->set_start_timestamp(kNow - 1000);
    v2::TimeSeries& histogram = add({{"__name__", "h"}});
    add_histogram(histogram, kNow + t);
    histogram.mutable_histograms(0)->set_start_timestamp(kNow - 1000);
    EXPECT_EQ(send().status, 204);
    EXPECT_EQ(written(), "1 1 0");
  };
  receiver_ = &with_zeroes_;
  send_both(0);
  send_both(10);
  const auto* counter = head_.find(Labels{{"__name__", "c_total"}});
  ASSERT_EQ(counter->samples.size(), 3U);
  EXPECT_EQ(counter->samples[0], (tsdb::Sample{Timestamp{kNow - 1000}, 0}));
  EXPECT_EQ(head_.find(Labels{{"__name__", "h"}})->histograms.size(), 3U);
  receiver_ = &plain_;
  add_sample(add({{"__name__", "d_total"}}), kNow, 5);
  request_.mutable_timeseries(0)->mutable_samples(0)->set_start_timestamp(kNow - 1000);
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(head_.find(Labels{{"__name__", "d_total"}})->samples.size(), 1U);
}

TEST_F(RemoteWrite2, MetadataMayComeAfterTheSeriesAndChange) {
  const Labels up{{"__name__", "up"}};
  const auto send_one = [&](std::int64_t t, const char* help) {
    v2::TimeSeries& series = add({{"__name__", "up"}});
    add_sample(series, t, 1);
    if (help != nullptr) {
      series.mutable_metadata()->set_type(v2::Metadata::METRIC_TYPE_GAUGE);
      series.mutable_metadata()->set_help_ref(symbol(help));
    }
    return send().status;
  };
  EXPECT_EQ(send_one(kNow, nullptr), 204);
  EXPECT_EQ(head_.find(up)->metadata, tsdb::Metadata());
  head_.commit_status = unavailable("the disk is full");
  EXPECT_EQ(send_one(kNow + 1, "one"), 503);
  head_.commit_status = {};
  EXPECT_EQ(send_one(kNow + 1, "one"), 204);
  EXPECT_EQ(head_.find(up)->metadata, (tsdb::Metadata{tsdb::MetricType::kGauge, "", "one"}));
  EXPECT_EQ(send_one(kNow + 2, "two"), 204);
  EXPECT_EQ(head_.find(up)->metadata.help, "two");
}

TEST_F(RemoteWrite2, AZeroThatCouldNotBeStoredComesWithTheNextTry) {
  receiver_ = &with_zeroes_;
  const auto send_one = [&] {
    add_sample(add({{"__name__", "c_total"}}), kNow, 5);
    request_.mutable_timeseries(0)->mutable_samples(0)->set_start_timestamp(kNow - 1000);
    return send().status;
  };
  head_.commit_status = unavailable("the disk is full");
  EXPECT_EQ(send_one(), 503);
  head_.commit_status = {};
  EXPECT_EQ(send_one(), 204);
  const auto* counter = head_.find(Labels{{"__name__", "c_total"}});
  ASSERT_EQ(counter->samples.size(), 2U);
  EXPECT_EQ(counter->samples[0], (tsdb::Sample{Timestamp{kNow - 1000}, 0}));
}

TEST_F(RemoteWrite2, RefusesReferencesThatMakeNoSense) {
  v2::TimeSeries& series = add({{"__name__", "a"}});
  add_sample(series, kNow, 1);
  series.add_labels_refs(1);
  EXPECT_EQ(send().body, "invalid labelRefs length 3\n");
  EXPECT_EQ(written(), "0 0 0") << "on errors too";
  add_sample(add({{"__name__", "a"}}), kNow, 1);
  request_.mutable_timeseries(0)->set_labels_refs(1, 99);
  EXPECT_EQ(send().status, 400);
  request_.set_symbols(0, "x");
  add_sample(add({{"__name__", "a"}}), kNow, 1);
  EXPECT_EQ(send().body, "symbols must start with empty string\n");
  EXPECT_EQ(send_bytes("garbage").status, 400);
  EXPECT_EQ(head_.sample_count(), 0U);
}

TEST_F(RemoteWrite2, LabelsThatWouldFillMemoryAreRefused) {
  const std::uint32_t huge = symbol(std::string(1 << 20, 'x'));
  for (int i = 0; i < 300; ++i) {
    v2::TimeSeries& series = add({{"__name__", "a"}, {"i", std::to_string(i)}});
    series.add_labels_refs(symbol("l"));
    series.add_labels_refs(huge);
    add_sample(series, kNow, 1);
  }
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("the labels of the request are larger than"), std::string::npos);
}

TEST_F(RemoteWrite2, KnownSeriesAreFoundWhateverTheVersionAndTable) {
  add_sample(add({{"__name__", "a"}, {"b", "c"}}), kNow, 1);
  send();
  const std::size_t resolved = head_.resolve_count;
  symbol("c");  // Another table, other numbers for the same labels.
  add_sample(add({{"__name__", "a"}, {"b", "c"}}), kNow + 1, 2);
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(head_.resolve_count, resolved);
}

}  // namespace
}  // namespace tarsier::ingest
