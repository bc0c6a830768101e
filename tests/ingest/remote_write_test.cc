#include "ingest/remote_write.h"

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/compression.h"
#include "proto/remote.pb.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/table_appender.h"

namespace tarsier::ingest {
namespace {

using tsdb::Labels;
using LabelPairs = std::vector<std::pair<std::string, std::string>>;
using Points = std::vector<std::pair<std::int64_t, double>>;

constexpr std::int64_t kNow = 1'700'000'000'000;

/// A receiver before a table, and a small language for requests: `add({{"__name__", "up"}}, {{t,
/// v}})` and `send()`, which gives the answer.
class RemoteWrite : public ::testing::Test {
 protected:
  RemoteWrite() { restart({}); }

  void restart(const RemoteWriteOptions& options) {
    receiver_ = std::make_unique<RemoteWriteReceiver>(
        WriteDoor{[this] { return head_.appender(); },
                  [this](tsdb::LogPosition position, std::function<void(Status)> done) {
                    head_.when_synced(position, std::move(done));
                  }},
        options, HashKey{{1, 2, 3, 4}}, log_);
  }

  prometheus::TimeSeries& add(const LabelPairs& labels, const Points& points) {
    prometheus::TimeSeries& series = *request_.add_timeseries();
    for (const auto& [name, value] : labels) {
      prometheus::Label& label = *series.add_labels();
      label.set_name(name);
      label.set_value(value);
    }
    for (const auto& [t, v] : points) {
      prometheus::Sample& sample = *series.add_samples();
      sample.set_timestamp(t);
      sample.set_value(v);
    }
    return series;
  }

  static std::string compressed(const std::string& message) {
    std::string body;
    snappy_compress(as_bytes(message), body);
    return body;
  }

  static HttpRequest post(std::string body) {
    HttpRequest request;
    request.method = "POST";
    request.headers = {{"Content-Type", "application/x-protobuf"}, {"Content-Encoding", "snappy"}};
    request.body = std::move(body);
    request.peer = "10.0.0.7:4711";
    request.received = Timestamp{kNow};
    return request;
  }

  HttpResponse send(HttpRequest request) {
    answer_.reset();
    receiver_->handle(std::move(request), [this](HttpResponse response) {
      EXPECT_FALSE(answer_.has_value()) << "answered twice";
      answer_ = std::move(response);
    });
    return answer_.value_or(HttpResponse{.status = 0});
  }
  /// Sends what was added since the last time.
  HttpResponse send() {
    std::string message;
    request_.SerializeToString(&message);
    request_.Clear();
    return send(post(compressed(message)));
  }

  std::vector<tsdb::Sample> stored(const Labels& labels) const {
    const testing::TableHead::Series* series = head_.find(labels);
    return series == nullptr ? std::vector<tsdb::Sample>() : series->samples;
  }
  double metric(const std::string& line_start) const {
    MetricWriter out;
    receiver_->collect(out);
    const std::string text = "\n" + out.take();
    const std::size_t at = text.find("\n" + line_start + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + line_start.size() + 2));
  }

  testing::TableHead head_;
  testing::CapturingLogger log_;
  std::unique_ptr<RemoteWriteReceiver> receiver_;
  prometheus::WriteRequest request_;
  std::optional<HttpResponse> answer_;
};

TEST_F(RemoteWrite, StoresEverySampleAndAnswersNoContent) {
  add({{"__name__", "up"}, {"job", "a"}}, {{kNow, 1}, {kNow + 15, 0}});
  add({{"__name__", "up"}, {"job", "b"}}, {{kNow, 3.5}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(stored({{"__name__", "up"}, {"job", "a"}}),
            (std::vector<tsdb::Sample>{{Timestamp{kNow}, 1}, {Timestamp{kNow + 15}, 0}}));
  EXPECT_EQ(stored({{"__name__", "up"}, {"job", "b"}}),
            (std::vector<tsdb::Sample>{{Timestamp{kNow}, 3.5}}));
}

TEST_F(RemoteWrite, KeepsEveryBitOfAValue) {
  const std::vector<double> values = {tsdb::stale_marker(),
                                      -0.0,
                                      std::numeric_limits<double>::infinity(),
                                      std::numeric_limits<double>::denorm_min(),
                                      0.0,
                                      std::bit_cast<double>(std::uint64_t{0x7FF8000000000123})};
  Points points;
  for (std::size_t i = 0; i < values.size(); ++i)
    points.emplace_back(kNow + static_cast<std::int64_t>(i), values[i]);
  add({{"__name__", "m"}}, points);
  EXPECT_EQ(send().status, 204);
  const std::vector<tsdb::Sample> samples = stored({{"__name__", "m"}});
  ASSERT_EQ(samples.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(samples[i].v), std::bit_cast<std::uint64_t>(values[i]))
        << i;
  }
}

TEST_F(RemoteWrite, AcceptsNegativeAndZeroTimes) {
  add({{"__name__", "m"}}, {{-5, 1}, {0, 2}});
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(stored({{"__name__", "m"}}),
            (std::vector<tsdb::Sample>{{Timestamp{-5}, 1}, {Timestamp{0}, 2}}));
}

TEST_F(RemoteWrite, NeverAnswersNoContentForASampleAFasterRequestShutOut) {
  add({{"__name__", "up"}}, {{kNow, 1}});
  ASSERT_EQ(send().status, 204);
  head_.before_commit = [this] {
    const auto other = head_.appender();
    other->append(other->resolve({{"__name__", "up"}}).value(), {Timestamp{kNow + 20}, 3});
    ASSERT_TRUE(other->commit().ok());
  };
  add({{"__name__", "up"}}, {{kNow + 10, 2}, {kNow + 20, 3}, {kNow + 30, 4}});
  add({{"__name__", "calm"}}, {{kNow + 10, 1}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("out of order sample"), std::string::npos) << response.body;
  EXPECT_NE(response.body.find("up"), std::string::npos) << response.body;
  EXPECT_EQ(metric("tarsier_remote_write_samples_refused_total{reason=\"out_of_order\"}"), 1);
  EXPECT_EQ(stored({{"__name__", "up"}}).size(), 3u);
  EXPECT_EQ(stored({{"__name__", "calm"}}).size(), 1u) << "the others are stored";
}

TEST_F(RemoteWrite, AnswersOnlyAfterTheSync) {
  head_.hold_syncs = true;
  add({{"__name__", "up"}}, {{kNow, 1}});
  EXPECT_EQ(send().status, 0);
  EXPECT_EQ(head_.last_waited, tsdb::LogPosition{1});
  head_.release_syncs();
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(answer_->status, 204);
}

TEST_F(RemoteWrite, MayAnswerAfterTheReceiverIsGone) {
  head_.hold_syncs = true;
  add({{"__name__", "up"}}, {{kNow, 1}});
  send();
  receiver_.reset();
  head_.release_syncs();
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(answer_->status, 204);
}

TEST_F(RemoteWrite, NeverParsesAKnownSeriesTwice) {
  for (int i = 0; i < 3; ++i) {
    add({{"__name__", "up"}, {"job", "a"}}, {{kNow + i, 1}});
    EXPECT_EQ(send().status, 204);
  }
  EXPECT_EQ(head_.resolve_count, 1u);
  EXPECT_EQ(metric("tarsier_remote_write_series_cache_hits_total"), 2);
  EXPECT_EQ(metric("tarsier_remote_write_series_cache_misses_total"), 1);
}

TEST_F(RemoteWrite, ResolvesASeriesAgainThatStorageDropped) {
  const Labels labels{{"__name__", "up"}, {"job", "a"}};
  add({{"__name__", "up"}, {"job", "a"}}, {{kNow, 1}});
  send();
  head_.drop(labels);
  add({{"__name__", "up"}, {"job", "a"}}, {{kNow + 1, 2}, {kNow + 2, 3}});
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(stored(labels),
            (std::vector<tsdb::Sample>{{Timestamp{kNow + 1}, 2}, {Timestamp{kNow + 2}, 3}}));
  EXPECT_EQ(head_.resolve_count, 2u);
  add({{"__name__", "up"}, {"job", "a"}}, {{kNow + 3, 4}});
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(head_.resolve_count, 2u);  // The new number was learnt.
  EXPECT_EQ(metric("tarsier_remote_write_samples_total"), 4);
}

TEST_F(RemoteWrite, AcceptsARetryOfWhatIsStored) {
  for (int i = 0; i < 2; ++i) {
    add({{"__name__", "up"}}, {{kNow, 1}});
    EXPECT_EQ(send().status, 204);
  }
  EXPECT_EQ(stored({{"__name__", "up"}}).size(), 1u);
  EXPECT_EQ(metric("tarsier_remote_write_samples_repeated_total"), 1);
}

TEST_F(RemoteWrite, SortsLabelsAndDropsEmptyValues) {
  add({{"job", "a"}, {"gone", ""}, {"__name__", "up"}}, {{kNow, 1}});
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(stored({{"__name__", "up"}, {"job", "a"}}).size(), 1u);
}

TEST_F(RemoteWrite, StoresTheRestWhenOneSampleIsRefused) {
  add({{"__name__", "old"}}, {{kNow, 1}});
  send();
  add({{"__name__", "old"}}, {{kNow - 1000, 1}, {kNow - 500, 1}, {kNow + 5, 7}});
  add({{"__name__", "fresh"}}, {{kNow, 1}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(response.body,
            "out of order sample at timestamp 1699999999000 for series old; refused 2 of 4 samples "
            "(1 series), stored the rest\n");
  EXPECT_EQ(stored({{"__name__", "old"}}).size(), 2u);
  EXPECT_EQ(stored({{"__name__", "fresh"}}).size(), 1u);
  EXPECT_EQ(metric("tarsier_remote_write_samples_refused_total{reason=\"out_of_order\"}"), 2);
  EXPECT_TRUE(log_.contains("10.0.0.7:4711"));
}

TEST_F(RemoteWrite, SaysWhatStandsAgainstADuplicate) {
  add({{"__name__", "m"}, {"a", "b"}}, {{kNow, 1}, {kNow, 2.5}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(
      response.body,
      "duplicate sample for timestamp 1700000000000; overrides not allowed: new value 2.5 for "
      "series m{a=\"b\"}; refused 1 of 2 samples (1 series), stored the rest\n");
}

TEST_F(RemoteWrite, RefusesSamplesFromTheFarFuture) {
  const std::int64_t limit = kNow + 10 * 60 * 1000;
  add({{"__name__", "m"}}, {{limit, 1}, {limit + 1, 2}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_TRUE(response.body.starts_with("out of bounds at timestamp 1700000600001 for series m"))
      << response.body;
  EXPECT_EQ(stored({{"__name__", "m"}}).size(), 1u);
}

TEST_F(RemoteWrite, RefusesInvalidLabelsSeriesBySeries) {
  struct Case {
    LabelPairs labels;
    std::string error;
  };
  const std::vector<Case> cases = {
      {{}, "empty labelset: invalid sample for series {}"},
      {{{"job", "a"}}, "metric name label __name__ is missing for series {job=\"a\"}"},
      {{{"__name__", ""}}, "invalid metric name \"\" for series"},
      {{{"__name__", "m"}, {"", "x"}}, "invalid label name \"\" for series m{=\"x\"}"},
      {{{"__name__", "m"}, {"a", "1"}, {"a", "2"}},
       "label name \"a\" is not unique: invalid sample for series m{a=\"1\", a=\"2\"}"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.error);
    head_.drop_all();
    add(c.labels, {{kNow, 1}});
    add({{"__name__", "good"}}, {{kNow, 1}});
    const HttpResponse response = send();
    EXPECT_EQ(response.status, 400);
    EXPECT_TRUE(response.body.starts_with(c.error)) << response.body;
    EXPECT_EQ(head_.sample_count(), 1u);
  }
  EXPECT_EQ(metric("prometheus_api_remote_write_invalid_labels_samples_total"),
            static_cast<double>(cases.size()));
}

TEST_F(RemoteWrite, AppliesTheLegacyNameRulesWhenAsked) {
  add({{"__name__", "with.dots"}, {"also.dots", "1"}}, {{kNow, 1}});
  EXPECT_EQ(send().status, 204);
  restart({.name_validation = NameValidation::kLegacy});
  add({{"__name__", "with.dots"}}, {{kNow + 1, 1}});
  EXPECT_EQ(send().status, 400);
  add({{"__name__", "m"}, {"also.dots", "1"}}, {{kNow, 1}});
  EXPECT_EQ(send().status, 400);
}

TEST_F(RemoteWrite, NamesSeveralSeriesButNotWithoutEnd) {
  for (int i = 0; i < 1000; ++i) add({{"job", "j" + std::to_string(i)}}, {{kNow, 1}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_TRUE(response.body.starts_with(
      "metric name label __name__ is missing for series {job=\"j0\"}; refused 1000 of 1000 samples "
      "(1000 series), stored the rest\nmetric name label __name__ is missing for series "
      "{job=\"j1\"}\n"))
      << response.body;
  EXPECT_LT(response.body.size(), 1200u);
}

TEST_F(RemoteWrite, GoesOnWithKnownSeriesWhenTheHeadIsFull) {
  add({{"__name__", "a"}}, {{kNow, 1}});
  send();
  head_.series_max = 1;
  add({{"__name__", "a"}}, {{kNow + 1, 1}});
  add({{"__name__", "b"}}, {{kNow + 1, 1}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_TRUE(response.body.starts_with("the head may hold no more series for series b"))
      << response.body;
  EXPECT_EQ(stored({{"__name__", "a"}}).size(), 2u);
}

TEST_F(RemoteWrite, AsksToRetryWhenStorageCannotTakeAnything) {
  head_.resolve_status = unavailable("log stopped");
  add({{"__name__", "a"}}, {{kNow, 1}});
  HttpResponse response = send();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "log stopped\n");
  EXPECT_EQ(response.headers, (HttpHeaders{{"Retry-After", "5"}}));

  head_.resolve_status = {};
  head_.commit_status = io_error("disk full");
  add({{"__name__", "a"}}, {{kNow, 1}});
  response = send();
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(head_.sample_count(), 0u);

  head_.commit_status = {};
  head_.sync_status = io_error("fdatasync failed");
  add({{"__name__", "a"}}, {{kNow, 1}});
  response = send();
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body, "fdatasync failed\n");
}

TEST_F(RemoteWrite, StoresHistogramsAndExemplars) {
  prometheus::TimeSeries& series = add({{"__name__", "m"}}, {{kNow, 1}});
  prometheus::Exemplar& exemplar = *series.add_exemplars();
  exemplar.set_value(1);
  exemplar.set_timestamp(kNow);
  prometheus::Histogram& h = *add({{"__name__", "h"}}, {}).add_histograms();
  h.set_count_float(2.5);
  h.set_sum(1);
  h.set_timestamp(kNow);
  h.add_positive_spans()->set_length(1);
  h.add_positive_counts(2.5);
  h.set_reset_hint(prometheus::Histogram::GAUGE);
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(metric("tarsier_remote_write_exemplars_total"), 1);
  EXPECT_EQ(metric("tarsier_remote_write_histograms_total"), 1);
  const auto* stored_h = head_.find({{"__name__", "h"}});
  ASSERT_NE(stored_h, nullptr);
  ASSERT_EQ(stored_h->histograms.size(), 1u);
  const auto& got = std::get<tsdb::FloatHistogram>(stored_h->histograms[0].second);
  EXPECT_EQ(got.positive_counts, (std::vector<double>{2.5}));
  EXPECT_EQ(got.hint, tsdb::CounterResetHint::kGauge);
}

TEST_F(RemoteWrite, RefusesAHistogramThatMakesNoSenseAndStoresTheRest) {
  add({{"__name__", "h"}}, {}).add_histograms()->set_count_int(1);
  add({{"__name__", "m"}}, {{kNow, 1}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("for series h; refused 1 of 2 samples"), std::string::npos)
      << response.body;
  EXPECT_EQ(stored({{"__name__", "m"}}).size(), 1u);
}

TEST_F(RemoteWrite, AnExemplarNeverFailsARequest) {
  prometheus::TimeSeries& series = add({{"__name__", "m"}}, {{kNow, 1}});
  series.add_exemplars()->set_timestamp(5);
  series.add_exemplars()->set_timestamp(4);
  add({{"__name__", "unknown"}}, {}).add_exemplars()->set_value(1);
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(metric("tarsier_remote_write_exemplars_total"), 2) << "Prometheus sends them apart";
  EXPECT_EQ(metric("tarsier_remote_write_exemplars_skipped_total"), 1);
}

TEST_F(RemoteWrite, HandsMetadataToStorageWhicheverComesFirst) {
  const auto describe = [&](const std::string& family,
                            prometheus::MetricMetadata::MetricType type) {
    prometheus::MetricMetadata& metadata = *request_.add_metadata();
    metadata.set_metric_family_name(family);
    metadata.set_type(type);
    metadata.set_help("help of " + family);
    metadata.set_unit("seconds");
  };
  add({{"__name__", "up"}}, {{kNow, 1}});
  send();
  describe("up", prometheus::MetricMetadata::GAUGE);
  describe("latency", prometheus::MetricMetadata::HISTOGRAM);
  EXPECT_EQ(send().status, 204);
  add({{"__name__", "latency_bucket"}, {"le", "1"}}, {{kNow, 1}});
  EXPECT_EQ(send().status, 204);
  EXPECT_EQ(head_.find({{"__name__", "up"}})->metadata,
            (tsdb::Metadata{tsdb::MetricType::kGauge, "seconds", "help of up"}));
  EXPECT_EQ(head_.find({{"__name__", "latency_bucket"}, {"le", "1"}})->metadata,
            (tsdb::Metadata{tsdb::MetricType::kHistogram, "seconds", "help of latency"}));
}

TEST_F(RemoteWrite, JudgesTheHeadersBeforeTheBody) {
  struct Case {
    std::string method, type, encoding;
    int status;
  };
  const std::vector<Case> cases = {
      {"GET", "application/x-protobuf", "snappy", 405},
      {"PUT", "text/plain", "gzip", 405},
      {"POST", "text/plain", "snappy", 415},
      {"POST", "application/json", "", 415},
      {"POST", "application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy", 415},
      {"POST", "application/x-protobuf;proto=", "snappy", 415},
      {"POST", "application/x-protobuf", "gzip", 415},
      {"POST", "application/x-protobuf", "zstd", 415},
      // Right headers: now the garbage in the body counts.
      {"POST", "application/x-protobuf", "snappy", 400},
      {"POST", "application/x-protobuf; proto=prometheus.WriteRequest", "snappy", 400},
      {"POST", "Application/X-Protobuf ; proto=\"prometheus.WriteRequest\"", "Snappy", 400},
      {"POST", "", "", 400},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.method + " " + c.type + " " + c.encoding);
    HttpRequest request = post("garbage");
    request.method = c.method;
    request.headers = {{"content-type", c.type}, {"content-encoding", c.encoding}};
    EXPECT_EQ(send(request).status, c.status);
  }
}

TEST_F(RemoteWrite, TakesZstdFromTheAgentsThatSendIt) {
  add({{"__name__", "up"}}, {{kNow, 1}});
  std::string message;
  request_.SerializeToString(&message);
  std::string body;
  zstd_compress(as_bytes(message), 1, body);
  HttpRequest request = post(body);
  request.headers = {{"Content-Encoding", "zstd"}, {"X-VictoriaMetrics-Remote-Write-Version", "1"}};
  EXPECT_EQ(send(request).status, 204);
  EXPECT_EQ(stored({{"__name__", "up"}}).size(), 1u);
}

TEST_F(RemoteWrite, RefusesBodiesBeyondTheLimits) {
  restart({.body_bytes_max = 100, .decompressed_bytes_max = 1000, .samples_per_request_max = 3});
  EXPECT_EQ(send(post(std::string(101, 'x'))).status, 413);
  EXPECT_EQ(send(post(compressed(std::string(1001, 'x')))).status, 400);
  for (int i = 0; i < 4; ++i) add({{"__name__", "m"}}, {{kNow + i, 1}});
  const HttpResponse response = send();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body, "more than 3 samples in one request\n");
  EXPECT_EQ(head_.sample_count(), 0u);
}

TEST_F(RemoteWrite, RefusesARequestWithADamagedLabelWhole) {
  add({{"__name__", "good"}}, {{kNow, 1}});
  std::string message;
  request_.SerializeToString(&message);
  // TimeSeries{label: name with a length past the end; one sample of zeros}.
  message += std::string("\x0A\x07\x0A\x03\x0A\x09x\x12\x00", 9);
  EXPECT_EQ(send(post(compressed(message))).status, 400);
  EXPECT_EQ(head_.sample_count(), 0u);
}

TEST_F(RemoteWrite, FindsLabelsThatAreNotInOneRun) {
  // TimeSeries{label __name__=up, sample{t=7}, label job=a}
  const std::string series(
      "\x0A\x0E\x0A\x08__name__\x12\x02up\x12\x02\x10\x07\x0A\x08\x0A\x03job\x12\x01"
      "a",
      30);
  const std::string message = std::string("\x0A\x1E", 2) + series;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(send(post(compressed(message))).status, 204);
  EXPECT_EQ(stored({{"__name__", "up"}, {"job", "a"}}),
            (std::vector<tsdb::Sample>{{Timestamp{7}, 0}}));
  EXPECT_EQ(head_.resolve_count, 2u);  // Never cached: the run alone would be another series.
}

}  // namespace
}  // namespace tarsier::ingest
