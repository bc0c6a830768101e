#include "ingest/remote_reader.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/compression.h"
#include "base/crc32c.h"
#include "base/protobuf_reader.h"
#include "base/protobuf_writer.h"
#include "ingest/remote/read_answer.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/fake_http_client.h"
#include "tests/support/table_storage.h"
#include "tsdb/encoded_chunk.h"
#include "tsdb/select_warnings.h"
#include "tsdb/wire_messages.h"

namespace tarsier::ingest {
namespace {

using tsdb::Matcher;

tsdb::Labels labels(const std::vector<std::pair<std::string, std::string>>& pairs) {
  tsdb::LabelsBuilder builder;
  for (const auto& [name, value] : pairs) builder.set(name, value);
  return builder.build();
}

tsdb::SampleColumns floats(std::initializer_list<std::pair<std::int64_t, double>> samples) {
  tsdb::SampleColumns out;
  for (const auto& [t, v] : samples) out.push_back(Timestamp{t}, v);
  return out;
}

/// A QueryResult of one series.
std::string sampled(const tsdb::Labels& of, const tsdb::SampleColumns& samples) {
  std::string series;
  tsdb::append_wire_labels(series, 1, of);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    std::string one;
    tsdb::append_wire_sample(one, Timestamp{samples.times_ms[i]}, samples.values[i]);
    ProtobufWriter(series).bytes(2, one);
  }
  std::string out;
  ProtobufWriter(out).bytes(1, series);
  return out;
}

HttpResponse sampled_answer(const std::string& series) {
  std::string message;
  ProtobufWriter(message).bytes(1, series);
  HttpResponse response{.content_type = "application/x-protobuf"};
  snappy_compress(as_bytes(message), response.body);
  return response;
}

/// One frame of an answer in chunks.
std::string frame(const tsdb::Labels& of, const tsdb::SampleColumns& samples,
                  const tsdb::HistogramColumns& histograms = {}) {
  std::string series;
  tsdb::append_wire_labels(series, 1, of);
  for (const tsdb::TransferChunk& chunk : tsdb::encode_chunks(samples, histograms)) {
    std::string one;
    ProtobufWriter fields(one);
    fields.integer(1, chunk.min_time_ms);
    fields.integer(2, chunk.max_time_ms);
    fields.varint(3, chunk.encoding);
    fields.bytes(4, chunk.data);
    ProtobufWriter(series).bytes(2, one);
  }
  std::string message;
  ProtobufWriter(message).bytes(1, series);
  std::string out;
  put_uvarint(out, message.size());
  put_be32(out, crc32c(as_bytes(message)));
  return out + message;
}

HttpResponse chunked_answer(std::string frames) {
  return {.content_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse",
          .body = std::move(frames)};
}

class RemoteReaderTest : public ::testing::Test {
 protected:
  void configure(RemoteReadConfig config) {
    if (config.url.empty()) config.url = "http://far/api/v1/read";
    reader.apply({std::move(config)}, labels({{"cluster", "c1"}}));
  }
  std::unique_ptr<tsdb::SeriesSet> select(std::vector<Matcher> matchers, std::int64_t from = 0,
                                          std::int64_t to = 100'000) {
    const TimeRange range{Timestamp{from}, Timestamp{to}};
    auto querier = reader.querier(range);
    CHECK(querier.ok(), querier.status().message());
    tsdb::SelectHints hints;
    hints.range = range;
    hints.step = Duration{15};
    hints.function = "rate";
    auto set = (*querier)->select(matchers, hints, nullptr);
    CHECK(set.ok(), set.status().message());
    return std::move(*set);
  }
  static std::string shown(const tsdb::SeriesSet& set) {
    std::string out;
    for (std::size_t i = 0; i < set.size(); ++i) {
      out += set.labels(i).to_string() + ":";
      tsdb::SampleColumns columns;
      tsdb::HistogramColumns histograms;
      const Status read =
          set.read_mixed(i, {Timestamp{0}, Timestamp{1'000'000}}, columns, histograms);
      CHECK(read.ok(), read.message());
      for (std::size_t k = 0; k < columns.size(); ++k) {
        out += " " + std::to_string(columns.times_ms[k]) + "=" +
               std::to_string(static_cast<int>(columns.values[k]));
      }
      for (std::size_t k = 0; k < histograms.size(); ++k) {
        out += " " + std::to_string(histograms.times_ms[k]) + "=h" +
               std::to_string(static_cast<int>(histograms.counts[k]));
      }
      out += "\n";
    }
    return out;
  }
  /// The matchers and the range of the newest question.
  std::string asked() const {
    std::string message;
    CHECK(snappy_decompress(as_bytes(http.requests.back().body), 1 << 20, message).ok(), "snappy");
    std::string out;
    ProtobufReader request(message);
    while (request.next()) {
      if (request.field() != 1) continue;
      ProtobufReader query(request.bytes());
      while (query.next()) {
        if (query.type() == ProtobufReader::kVarint) out += std::to_string(query.number()) + " ";
        if (query.field() != 3) continue;
        ProtobufReader matcher(query.bytes());
        while (matcher.next()) {
          if (matcher.type() == ProtobufReader::kBytes) out += std::string(matcher.bytes()) + " ";
        }
      }
    }
    return out;
  }

  testing::FakeHttpClient http;
  testing::TableStorage local;
  testing::CapturingLogger log;
  Timestamp start{50'000};
  RemoteReader reader{RemoteReader::Doors{.client = http,
                                          .local = local,
                                          .local_start = [this] { return start; },
                                          .monotonic_ns = [] { return std::int64_t{0}; },
                                          .log = log,
                                          .user_agent = "Prometheus/3"},
                      RemoteReaderOptions{.start_margin = milliseconds(1000)}};
  const std::vector<Matcher> up{Matcher::equal("__name__", "up")};
};

TEST_F(RemoteReaderTest, WhatIsElsewhereIsMergedWithWhatWeHave) {
  local.add(labels({{"__name__", "up"}, {"job", "a"}}), Timestamp{50'000}, 2);
  local.add(labels({{"__name__", "up"}, {"job", "a"}}), Timestamp{60'000}, 3);
  local.add(labels({{"__name__", "up"}, {"job", "c"}}), Timestamp{60'000}, 9);
  const tsdb::Labels a = labels({{"__name__", "up"}, {"cluster", "c1"}, {"job", "a"}});
  const tsdb::Labels b = labels({{"__name__", "up"}, {"cluster", "c1"}, {"job", "b"}});
  configure({});
  const std::string wanted =
      "up{job=\"a\"}: 10000=1 50000=2 60000=3\n"
      "up{job=\"b\"}: 20000=7\n"
      "up{job=\"c\"}: 60000=9\n";
  const auto of_a = floats({{10'000, 1}, {50'000, 100}, {200'000, 1}});  // The last: not asked for.
  const auto of_b = floats({{20'000, 7}});
  http.respond = [&](const HttpFetch&) {
    return sampled_answer(sampled(a, of_a) + sampled(b, of_b));
  };
  EXPECT_EQ(shown(*select(up)), wanted);
  EXPECT_EQ(asked(), "0 51000 __name__ up cluster c1 ")
      << "nothing that ours covers, and our external labels";
  // A series may come in several frames.
  http.respond = [&](const HttpFetch&) {
    return chunked_answer(frame(a, floats({{10'000, 1}})) + frame(a, floats({{50'000, 100}})) +
                          frame(b, of_b));
  };
  EXPECT_EQ(shown(*select(up)), wanted);
  EXPECT_TRUE(tsdb::warnings_of(*select(up)).empty());
}

TEST_F(RemoteReaderTest, NativeHistogramsComeInBothForms) {
  configure({.read_recent = true, .filter_external_labels = false});
  tsdb::FloatHistogram histogram;
  histogram.layout.positive_spans = {{0, 2}};
  histogram.positive_counts = {1, 2};
  histogram.count = 3;
  histogram.sum = 4;
  tsdb::HistogramColumns columns;
  columns.push_back(Timestamp{20'000}, histogram);
  const tsdb::Labels of = labels({{"__name__", "h"}});
  http.respond = [&](const HttpFetch&) {
    return chunked_answer(frame(of, floats({{10'000, 5}}), columns));
  };
  EXPECT_EQ(shown(*select(up)), "h: 10000=5 20000=h3\n");
  http.respond = [&](const HttpFetch&) {
    std::string series;
    tsdb::append_wire_labels(series, 1, of);
    std::string one;
    tsdb::append_wire_histogram(one, Timestamp{20'000}, histogram);
    ProtobufWriter(series).bytes(4, one);
    std::string result;
    ProtobufWriter(result).bytes(1, series);
    return sampled_answer(result);
  };
  EXPECT_EQ(shown(*select(up)), "h: 20000=h3\n");
}

TEST_F(RemoteReaderTest, IsAskedOnlyForWhatItIsFor) {
  configure({.required_matchers = {{"env", "prod"}}});
  http.respond = [](const HttpFetch&) { return sampled_answer(""); };
  select(up);
  EXPECT_TRUE(http.requests.empty());
  select({up[0], Matcher::equal("env", "prod")});
  EXPECT_EQ(http.requests.size(), 1U);
  select({up[0], Matcher::equal("env", "prod")}, 51'001);
  EXPECT_EQ(http.requests.size(), 1U) << "ours covers all of it";
  configure({.read_recent = true});
  select(up, 51'001);
  EXPECT_EQ(http.requests.size(), 2U);
  EXPECT_EQ(asked(), "51001 100000 __name__ up cluster c1 ");
  // Whoever asks for an external label knows what it wants.
  select({up[0], Matcher::equal("cluster", "other")}, 51'001);
  EXPECT_EQ(asked(), "51001 100000 __name__ up cluster other ");
  start = kMaxTimestamp;
  configure({});
  select(up, 90'000);
  EXPECT_EQ(asked(), "90000 100000 __name__ up cluster c1 ") << "we have nothing at all";
}

TEST_F(RemoteReaderTest, AFailureIsAWarningAndCostsOnlyItsSeries) {
  local.add(labels({{"__name__", "up"}}), Timestamp{60'000}, 3);
  configure({.name = "far"});
  const auto warning = [&](Result<HttpResponse> answer) {
    http.respond = [&](const HttpFetch&) { return answer; };
    const auto set = select(up);
    EXPECT_EQ(shown(*set), "up: 60000=3\n");
    const auto warnings = tsdb::warnings_of(*set);
    return warnings.size() == 1 ? warnings[0] : std::to_string(warnings.size()) + " warnings";
  };
  EXPECT_EQ(warning(HttpResponse{.status = 500, .body = "no disk\nmore"}),
            "remote_read: remote server http://far/api/v1/read returned http status 500 Internal "
            "Server Error: no disk");
  EXPECT_EQ(warning(unavailable("connection refused")),
            "remote_read: error sending request: connection refused");
  EXPECT_EQ(warning(HttpResponse{.content_type = "text/html", .body = "<p>"}),
            "remote_read: unsupported content type: text/html");
  std::string frames = frame(labels({{"__name__", "x"}}), floats({{1, 1}}));
  EXPECT_EQ(warning(chunked_answer(frames.substr(0, frames.size() - 1))),
            "remote_read: error reading response: the answer ends within a frame");
  frames.back() ^= 1;
  EXPECT_EQ(warning(chunked_answer(frames)),
            "remote_read: error reading response: a frame with a wrong checksum");
  EXPECT_EQ(warning(sampled_answer(sampled(labels({{"__name__", "x"}}), floats({{2, 1}, {1, 1}})))),
            "remote_read: the samples of a series are out of order");
  EXPECT_EQ(log.lines().size(), 1U) << "the log need not tell every one";
  MetricWriter out;
  reader.collect(out);
  EXPECT_NE(std::move(out).take().find(
                "prometheus_remote_read_client_queries_total{code=\"500\",remote_name=\"far\""),
            std::string::npos);
}

TEST_F(RemoteReaderTest, AnswersAreBounded) {
  const std::string frames = frame(labels({{"__name__", "x"}}), floats({{1, 1}, {2, 1}}));
  const TimeRange all{kMinTimestamp, kMaxTimestamp};
  EXPECT_EQ(read_chunked_answer(frames, all, {.frame_bytes_max = 5}).status().code(), Code::kLimit);
  EXPECT_EQ(read_chunked_answer(frames, all, {.samples_max = 1}).status().code(), Code::kLimit);
  EXPECT_TRUE(read_chunked_answer(frames, all, {.samples_max = 2}).ok());
}

TEST_F(RemoteReaderTest, WithoutEndpointsItIsTheStorage) {
  local.add(labels({{"__name__", "up"}}), Timestamp{60'000}, 3);
  reader.apply({}, {});
  EXPECT_EQ(shown(*select(up)), "up: 60000=3\n");
  EXPECT_TRUE(http.requests.empty());
}

}  // namespace
}  // namespace tarsier::ingest
