#include "ingest/forwarder.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/compression.h"
#include "ingest/remote_write.h"
#include "proto/remote.pb.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/fake_http_client.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/table_appender.h"
#include "tsdb/db.h"

namespace tarsier::ingest {
namespace {

using testing::FaultyFileSystem;
using tsdb::Labels;

std::string header(const HttpFetch& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return {};
}

RelabelRule rule(const std::string& action, const std::string& source, const std::string& regex) {
  RelabelConfig config;
  config.action = action;
  config.source_labels = {source};
  config.regex = regex;
  return RelabelRule::create(config, NameValidation::kUtf8).value();
}

/// A database, a forwarder behind it, and a receiver that is really ours.
class ForwarderTest : public ::testing::Test {
 protected:
  ForwarderTest() {
    options_.wal_segment_bytes = 32 << 10;
    config_.url = "http://far/api/v1/write";
    config_.queue.batch_send_deadline = milliseconds(0);
    config_.metadata.send = false;
    receiver_ = std::make_unique<RemoteWriteReceiver>(
        WriteDoor{[this] { return far_.appender(); },
                  [this](tsdb::LogPosition position, std::function<void(Status)> done) {
                    far_.when_synced(position, std::move(done));
                  }},
        RemoteWriteOptions{}, HashKey{{1, 2, 3, 4}}, log_);
    client_.respond = [this](const HttpFetch& request) { return answer(request); };
    open();
  }
  ~ForwarderTest() override {
    forwarder_.reset();
    db_.reset();
  }

  void open() {
    db_ = tsdb::Db::open(*disk_, "data", options_, log_, nullptr).value();
    forwarder_ = std::make_unique<Forwarder>(ForwardDoor{
        .client = client_,
        .follow = [this](tsdb::FollowerOptions o) { return db_->follow(std::move(o)); },
        .stored_followers = [this] { return db_->stored_followers(); },
        .forget_follower = [this](const std::string& name) { return db_->forget_follower(name); },
        .metadata = [this] { return db_->metadata(); },
        .newest = [this] { return db_->newest_time(); },
        .wake = [] {},
        .log = log_});
    forwarder_->run_due(now_);  // A thread may be faster than the configuration.
    apply();
    run();
  }
  void apply() { forwarder_->apply({config_}, external_); }
  void crash() {
    auto survivor = disk_->after_process_crash();
    forwarder_.reset();
    db_.reset();
    disk_ = std::move(survivor);
    open();
  }
  /// What the far end does with a request.
  Result<HttpResponse> answer(const HttpFetch& fetch) {
    if (status_ != 0) {
      HttpResponse refused;
      refused.status = status_;
      refused.body = "no\n";
      if (retry_after_ > 0) refused.headers = {{"Retry-After", std::to_string(retry_after_)}};
      return refused;
    }
    if (before_) {
      if (auto instead = before_(fetch)) return *instead;
    }
    HttpRequest request;
    request.method = fetch.method;
    request.headers = fetch.headers;
    request.body = fetch.body;
    request.received = now_;
    HttpResponse out;
    receiver_->handle(std::move(request),
                      [&](HttpResponse response) { out = std::move(response); });
    return out;
  }
  void append(const Labels& labels, std::int64_t t, double v) {
    const auto appender = db_->appender();
    appender->append(appender->resolve(labels).value(), {Timestamp{t}, v});
    ASSERT_TRUE(appender->commit().ok());
  }
  void sync() {
    db_->interrupt_sync();
    db_->sync_due();
  }
  /// A few rounds of the forwarder's thread.
  void run(int rounds = 8) {
    for (int i = 0; i < rounds; ++i) {
      forwarder_->run_due(now_);
      now_ = now_ + milliseconds(100);
    }
  }
  std::vector<std::pair<std::int64_t, double>> received(const Labels& labels) {
    std::vector<std::pair<std::int64_t, double>> out;
    const auto* series = far_.find(labels);
    if (!series) return out;
    for (const tsdb::Sample& s : series->samples) out.emplace_back(s.t.ms, s.v);
    return out;
  }
  std::string metrics() {
    MetricWriter out;
    forwarder_->collect(out);
    return out.take();
  }
  double metric(const std::string& name) {
    const std::string text = metrics();
    const std::size_t at = text.find("\n" + name + "{");
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(text.find("} ", at) + 2));
  }

  std::unique_ptr<FaultyFileSystem> disk_ = std::make_unique<FaultyFileSystem>();
  testing::CapturingLogger log_;
  tsdb::Options options_;
  testing::TableHead far_;
  std::unique_ptr<RemoteWriteReceiver> receiver_;
  testing::FakeHttpClient client_;
  ForwardConfig config_;
  Labels external_;
  std::unique_ptr<tsdb::Db> db_;
  std::unique_ptr<Forwarder> forwarder_;
  Timestamp now_{1'700'000'000'000};
  int status_ = 0;
  int retry_after_ = 0;
  std::function<std::optional<HttpResponse>(const HttpFetch&)> before_;
};

constexpr std::int64_t kT = 1'700'000'000'000;

TEST_F(ForwarderTest, SendsWhatWasCommittedInBothVersions) {
  for (const WriteProtocol protocol : {WriteProtocol::kVersion1, WriteProtocol::kVersion2}) {
    config_.protocol = protocol;
    config_.name = protocol == WriteProtocol::kVersion1 ? "one" : "two";
    config_.send_exemplars = true;
    config_.send_native_histograms = true;
    external_ = {{"zone", "eu"}, {"job", "never"}};
    config_.write_relabel_rules = {rule("drop", "__name__", "secret.*")};
    apply();
    run();
    const std::string job = config_.name;
    append({{"__name__", "up"}, {"job", job}}, kT, 1);
    append({{"__name__", "secret_key"}, {"job", job}}, kT, 1);
    {
      const auto appender = db_->appender();
      const auto ref = appender->resolve({{"__name__", "h"}, {"job", job}}).value();
      tsdb::IntegerHistogram histogram;
      histogram.layout.schema = 1;
      histogram.layout.positive_spans = {{-2, 2}};
      histogram.layout.negative_spans = {{0, 1}, {3, 1}};
      histogram.positive_deltas = {1, 1};
      histogram.negative_deltas = {2, -1};
      histogram.zero_count = 1;
      histogram.layout.zero_threshold = 0.001;
      histogram.count = 7;
      histogram.sum = -4.5;
      appender->append_histogram(ref, Timestamp{kT}, histogram);
      const auto other = appender->resolve({{"__name__", "fh"}, {"job", job}}).value();
      tsdb::FloatHistogram custom;
      custom.layout.schema = tsdb::kCustomBucketsSchema;
      custom.layout.custom_bounds = {0.5, 1};
      custom.layout.positive_spans = {{0, 3}};
      custom.positive_counts = {1, 2, 0.5};
      custom.count = 3.5;
      custom.sum = 2;
      appender->append_float_histogram(other, Timestamp{kT}, custom);
      const auto up = appender->resolve({{"__name__", "up"}, {"job", job}}).value();
      appender->append_exemplar(up, {{{"trace_id", "x"}}, 2.5, Timestamp{kT}});
      ASSERT_TRUE(appender->commit().ok());
    }
    sync();
    run();
    EXPECT_EQ(received({{"__name__", "up"}, {"job", job}, {"zone", "eu"}}),
              (std::vector<std::pair<std::int64_t, double>>{{kT, 1}}));
    EXPECT_EQ(far_.find({{"__name__", "secret_key"}, {"job", job}, {"zone", "eu"}}), nullptr);
    const auto* h = far_.find({{"__name__", "h"}, {"job", job}, {"zone", "eu"}});
    ASSERT_NE(h, nullptr);
    ASSERT_EQ(h->histograms.size(), 1u);
    const auto& integer = std::get<tsdb::IntegerHistogram>(h->histograms[0].second);
    EXPECT_EQ(integer.negative_deltas, (std::vector<std::int64_t>{2, -1}));
    EXPECT_EQ(integer.layout.positive_spans[0].offset, -2);
    EXPECT_EQ(integer.sum, -4.5);
    EXPECT_EQ(integer.layout.zero_threshold, 0.001);
    const auto* fh = far_.find({{"__name__", "fh"}, {"job", job}, {"zone", "eu"}});
    ASSERT_NE(fh, nullptr);
    ASSERT_EQ(fh->histograms.size(), 1u);
    EXPECT_EQ(std::get<tsdb::FloatHistogram>(fh->histograms[0].second).layout.custom_bounds,
              (std::vector<double>{0.5, 1}));
    EXPECT_EQ(far_.find({{"__name__", "up"}, {"job", job}, {"zone", "eu"}})->exemplars.size(), 1u);
    EXPECT_EQ(header(client_.requests.back(), "X-Prometheus-Remote-Write-Version"),
              protocol == WriteProtocol::kVersion1 ? "0.1.0" : "2.0.0");
  }
}

TEST_F(ForwarderTest, CatchesUpWithoutLossOrDuplicateWhenTheReceiverComesBack) {
  config_.queue.capacity = 50;
  config_.queue.max_samples_per_send = 20;
  apply();
  run();
  status_ = 503;
  std::vector<std::pair<std::int64_t, double>> sent;
  for (int s = 0; s < 1000; ++s) {
    append({{"__name__", "up"}}, kT + s, s);
    sent.emplace_back(kT + s, s);
    if (s % 100 == 0) {
      sync();
      run(2);
    }
  }
  sync();
  run();
  EXPECT_TRUE(received({{"__name__", "up"}}).empty());
  EXPECT_LE(metric("prometheus_remote_storage_samples_pending"), 2100) << "memory is bounded";
  EXPECT_GT(metric("prometheus_remote_storage_samples_retried_total"), 0);
  status_ = 0;
  run(200);
  EXPECT_EQ(received({{"__name__", "up"}}), sent);
  EXPECT_EQ(metric("prometheus_remote_storage_samples_failed_total"), 0);
  EXPECT_EQ(metric("prometheus_remote_storage_samples_pending"), 0);
  EXPECT_EQ(metric("tarsier_remote_storage_log_bytes_behind"), 0);
}

TEST_F(ForwarderTest, GoesOnWhereItWasAfterACrash) {
  std::vector<std::pair<std::int64_t, double>> sent;
  // A receiver that, as Prometheus', refuses a whole request for one old sample.
  before_ = [this](const HttpFetch& fetch) -> std::optional<HttpResponse> {
    std::string plain;
    prometheus::WriteRequest request;
    EXPECT_TRUE(snappy_decompress(as_bytes(fetch.body), 1 << 20, plain).ok());
    EXPECT_TRUE(request.ParseFromString(plain));
    const auto* series = far_.find({{"__name__", "up"}});
    for (const auto& one : request.timeseries()) {
      if (series && one.samples(0).timestamp() < series->samples.back().t.ms) {
        HttpResponse refused;
        refused.status = 400;
        refused.body = "out of order sample";
        return refused;
      }
    }
    return std::nullopt;
  };
  for (int round = 0; round < 5; ++round) {
    for (int s = 0; s < 30; ++s) {
      const std::int64_t t = kT + round * 1000 + s;
      append({{"__name__", "up"}}, t, s);
      sent.emplace_back(t, s);
    }
    sync();
    // Some of it is sent, and killed before the position of that is stored.
    if (round > 0) forwarder_->run_due(now_);
    crash();
    run(100);
  }
  EXPECT_EQ(received({{"__name__", "up"}}), sent);
}

TEST_F(ForwarderTest, Obeys429OnlyWhenToldTo) {
  status_ = 429;
  append({{"__name__", "up"}}, kT, 1);
  sync();
  run();
  EXPECT_EQ(metric("prometheus_remote_storage_samples_failed_total"), 1);
  config_.queue.retry_on_http_429 = true;
  retry_after_ = 2;
  apply();
  run();
  append({{"__name__", "up"}}, kT + 1, 2);
  sync();
  client_.requests.clear();
  run(15);  // One and a half seconds.
  EXPECT_EQ(client_.requests.size(), 1u) << "before Retry-After is over";
  status_ = 0;
  run(20);
  EXPECT_EQ(client_.requests.size(), 2u);
  EXPECT_EQ(header(client_.requests.back(), "Retry-Attempt"), "1");
  EXPECT_EQ(received({{"__name__", "up"}}).size(), 1u);
}

TEST_F(ForwarderTest, KeepsItsPlaceWhenSettingsChangeAndForgetsWhoLeft) {
  status_ = 500;
  append({{"__name__", "up"}}, kT, 1);
  sync();
  run();
  status_ = 0;
  config_.queue.max_samples_per_send = 7;
  apply();
  run();
  EXPECT_EQ(received({{"__name__", "up"}}).size(), 1u);
  EXPECT_EQ(db_->stored_followers().value().size(), 1u);
  forwarder_->apply({}, {});
  run();
  EXPECT_TRUE(db_->stored_followers().value().empty());
  EXPECT_EQ(metrics(), "");
}

TEST_F(ForwarderTest, SendsMetadataOfItsOwnInVersion1) {
  config_.metadata.send = true;
  {
    const auto appender = db_->appender();
    const auto ref = appender->resolve({{"__name__", "up"}}).value();
    appender->append(ref, {Timestamp{kT}, 1});
    appender->set_metadata(ref, {tsdb::MetricType::kGauge, "", "Is it up."});
    ASSERT_TRUE(appender->commit().ok());
  }
  sync();
  apply();
  run();
  EXPECT_EQ(metric("prometheus_remote_storage_metadata_total"), 1);
  bool is_found = false;
  for (const HttpFetch& request : client_.requests) {
    std::string plain;
    prometheus::WriteRequest message;
    ASSERT_TRUE(snappy_decompress(as_bytes(request.body), 1 << 20, plain).ok());
    ASSERT_TRUE(message.ParseFromString(plain));
    for (const auto& one : message.metadata()) {
      is_found = true;
      EXPECT_EQ(one.metric_family_name(), "up");
      EXPECT_EQ(one.help(), "Is it up.");
      EXPECT_EQ(one.type(), prometheus::MetricMetadata::GAUGE);
    }
  }
  EXPECT_TRUE(is_found);
}

TEST_F(ForwarderTest, KeepsTheOrderOfASeriesWhateverTheNumberOfShards) {
  config_.queue.min_shards = 4;
  config_.queue.max_samples_per_send = 3;
  apply();
  run();
  for (int s = 0; s < 40; ++s) {
    for (int i = 0; i < 10; ++i) append({{"__name__", "up"}, {"i", std::to_string(i)}}, kT + s, s);
  }
  sync();
  run(200);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(received({{"__name__", "up"}, {"i", std::to_string(i)}}).size(), 40u);
  }
  EXPECT_EQ(metric("prometheus_remote_storage_samples_failed_total"), 0);
}

TEST_F(ForwarderTest, LeavesOutWhatIsTooOldToSend) {
  config_.queue.sample_age_limit = seconds(10);
  status_ = 503;
  apply();
  run();
  append({{"__name__", "up"}}, now_.ms - 60'000, 1);
  append({{"__name__", "up"}}, now_.ms, 2);
  sync();
  run(2);
  status_ = 0;
  run(20);
  EXPECT_EQ(received({{"__name__", "up"}}).size(), 1u);
  EXPECT_NE(metrics().find("samples_dropped_total{remote_name=\"" + forward_key(config_) +
                           "\",url=\"http://far/api/v1/write\",reason=\"too_old\"} 1"),
            std::string::npos)
      << metrics();
}

TEST_F(ForwarderTest, SaysWhenAReceiverDoesNotSpeakVersion2) {
  config_.protocol = WriteProtocol::kVersion2;
  before_ = [](const HttpFetch&) {
    HttpResponse taken;
    taken.status = 204;
    return std::optional(taken);
  };
  apply();
  run();
  append({{"__name__", "up"}}, kT, 1);
  sync();
  run();
  EXPECT_EQ(metric("prometheus_remote_storage_samples_failed_total"), 1);
  EXPECT_TRUE(log_.contains("does not speak remote write 2.0"));
}

TEST_F(ForwarderTest, AReceiverThatFailsDoesNotFloodTheLog) {
  const auto told = [&](const std::string& text) {
    std::size_t count = 0;
    for (const std::string& line : log_.lines()) count += line.find(text) != std::string::npos;
    return count;
  };
  config_.queue.max_samples_per_send = 1;
  config_.queue.min_shards = config_.queue.max_shards = 10;
  apply();
  run();
  // 200 batches refused within a few seconds.
  status_ = 400;
  for (int i = 0; i < 200; ++i) append({{"__name__", "x"}, {"i", std::to_string(i)}}, kT, 1);
  sync();
  run(80);
  EXPECT_EQ(metric("prometheus_remote_storage_samples_failed_total"), 200);
  EXPECT_EQ(told("non-recoverable error"), 1U);
  // Ten shards that try again all the time, for a minute.
  status_ = 503;
  for (int i = 0; i < 200; ++i) {
    append({{"__name__", "x"}, {"i", std::to_string(i)}}, kT + 1, 1);
  }
  sync();
  run(600);
  EXPECT_LE(told("retrying"), 7U);
  EXPECT_GE(told("not_told="), 3U) << "what was left out is counted";
}

TEST_F(ForwarderTest, StopsWithItsPositionStored) {
  append({{"__name__", "up"}}, kT, 1);
  sync();
  run(2);
  forwarder_->begin_stop();
  run(2);
  EXPECT_TRUE(forwarder_->is_idle());
  client_.requests.clear();
  crash();
  run();
  EXPECT_TRUE(client_.requests.empty()) << "sent again";
}

}  // namespace
}  // namespace tarsier::ingest
