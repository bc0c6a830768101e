#include "ingest/remote/write_request.h"

#include <algorithm>
#include <bit>
#include <random>
#include <string>

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include "ingest/remote/wire_labels.h"
#include "proto/remote.pb.h"
#include "tests/support/fleet.h"

namespace tarsier::ingest {
namespace {

constexpr DecodeLimits kLimits{.samples_max = 10'000, .metadata_max = 100};

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out.push_back(static_cast<char>(value));
  return out;
}
/// Tag and length around `content`: a length-delimited field.
std::string field(int number, const std::string& content) {
  return bytes({number << 3 | 2, static_cast<int>(content.size())}) + content;
}
std::string sample_of(std::int64_t t) {
  return field(2, bytes({0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x10, static_cast<int>(t)}));
}
const std::string kUp = field(1, field(1, "__name__") + field(2, "up"));

struct Decoded {
  Status status;
  WriteRequest request;
};
Decoded decode(const std::string& message, DecodeLimits limits = kLimits) {
  Decoded decoded;
  decoded.status = decode_write_request(message, limits, decoded.request);
  return decoded;
}

TEST(WriteRequest, AnEmptyMessageIsAnEmptyRequest) {
  const Decoded decoded = decode("");
  EXPECT_TRUE(decoded.status.ok());
  EXPECT_TRUE(decoded.request.series.empty());
}

TEST(WriteRequest, AcceptsEveryLegalSpelling) {
  struct Case {
    std::string name;
    std::string series;
    tsdb::Sample sample;
    bool one_run;
  };
  const std::vector<Case> cases = {
      {"as senders write it", kUp + sample_of(7), {Timestamp{7}, 1}, true},
      {"no value is zero", kUp + field(2, bytes({0x10, 7})), {Timestamp{7}, 0}, true},
      {"no time is zero",
       kUp + field(2, bytes({0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F})),
       {Timestamp{0}, 1},
       true},
      {"an empty sample is zero at zero", kUp + field(2, ""), {Timestamp{0}, 0}, true},
      {"time before value",
       kUp + field(2, bytes({0x10, 7, 0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F})),
       {Timestamp{7}, 1},
       true},
      {"the last time counts", kUp + field(2, bytes({0x10, 5, 0x10, 7})), {Timestamp{7}, 0}, true},
      {"a varint may be longer than needed",
       kUp + field(2, bytes({0x10, 0x87, 0x80, 0x00})),
       {Timestamp{7}, 0},
       true},
      {"unknown field in the sample",
       kUp + field(2, bytes({0x10, 7, 0x18, 1})),
       {Timestamp{7}, 0},
       true},
      {"unknown fields in the series",
       kUp + bytes({0x30, 1}) + sample_of(7) + field(9, "x") + bytes({0x55, 1, 2, 3, 4}),
       {Timestamp{7}, 1},
       true},
      {"labels after the sample", sample_of(7) + kUp, {Timestamp{7}, 1}, false},
      {"labels around the sample",
       kUp + sample_of(7) + field(1, field(1, "a") + field(2, "b")),
       {Timestamp{7}, 1},
       false},
      {"a negative time",
       kUp + field(2, bytes({0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01})),
       {Timestamp{-1}, 0},
       true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string message = field(1, c.series);
    const Decoded decoded = decode(message);
    ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
    ASSERT_EQ(decoded.request.series.size(), 1u);
    EXPECT_EQ(decoded.request.series[0].message, c.series);
    EXPECT_EQ(!decoded.request.label_runs[0].empty(), c.one_run);
    ASSERT_EQ(decoded.request.samples.size(), 1u);
    EXPECT_EQ(decoded.request.samples[0], c.sample);
  }
}

TEST(WriteRequest, SkipsUnknownFieldsOfEveryWireType) {
  const std::string unknown = bytes({0x78, 0x81, 0x01}) + bytes({0x79, 1, 2, 3, 4, 5, 6, 7, 8}) +
                              field(15, "anything") + bytes({0x7D, 1, 2, 3, 4}) +
                              field(2, "reserved");
  const std::string message = unknown + field(1, kUp + sample_of(7)) + unknown;
  const Decoded decoded = decode(message);
  EXPECT_TRUE(decoded.status.ok()) << decoded.status.message();
  EXPECT_EQ(decoded.request.samples.size(), 1u);
}

TEST(WriteRequest, RefusesDamageWithItsPlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"field number 0", bytes({0x02, 0x00})},
      {"a group", bytes({0x0B, 0x0C})},
      {"wire type 7", bytes({0x0F})},
      {"a tag beyond 32 bits", bytes({0xFA, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x00})},
      {"a varint of eleven bytes",
       bytes({0x78, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00})},
      {"a varint beyond 64 bits",
       bytes({0x78, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02})},
      {"a length past the end", bytes({0x0A, 0x05, 0x00})},
      {"a huge length", bytes({0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01})},
      {"series as a number", bytes({0x08, 0x01})},
      {"metadata as a number", bytes({0x18, 0x01})},
      {"label length past the series", field(1, bytes({0x0A, 0x7F, 0x00}))},
      {"label length without end", field(1, bytes({0x0A, 0x80}))},
      {"labels as a number", field(1, kUp + bytes({0x08, 0x01}))},
      {"samples as a number", field(1, kUp + bytes({0x10, 0x01}))},
      {"exemplars as a number", field(1, kUp + bytes({0x18, 0x01}))},
      {"value as a number", field(1, kUp + field(2, bytes({0x08, 0x01})))},
      {"value as a float", field(1, kUp + field(2, bytes({0x0D, 0, 0, 0, 0})))},
      {"value cut short", field(1, kUp + field(2, bytes({0x09, 0, 0})))},
      {"time as a double", field(1, kUp + field(2, bytes({0x11, 0, 0, 0, 0, 0, 0, 0, 0})))},
      {"time cut short",
       field(1, kUp + field(2, bytes({0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x80})))},
      {"family as a number", field(3, bytes({0x10, 0x01}))},
      {"type as a string", field(3, field(1, "counter"))},
  };
  for (const auto& [name, message] : cases) {
    SCOPED_TRACE(name);
    const Decoded decoded = decode(message);
    EXPECT_EQ(decoded.status.code(), Code::kCorruption);
    EXPECT_NE(decoded.status.message().find(" at byte "), std::string::npos)
        << decoded.status.message();
  }
}

TEST(WriteRequest, EveryTruncationIsAnErrorOrAShorterRequest) {
  testing::Fleet fleet({.series_count = 20});
  fleet.step();
  std::string message;
  fleet.write_request(0, fleet.size(), message);
  std::size_t whole_count = 0;
  for (std::size_t size = 0; size < message.size(); ++size) {
    const std::string cut =
        message.substr(0, size);  // Its own allocation: a sanitizer sees the end.
    prometheus::WriteRequest oracle;
    const bool is_whole = oracle.ParseFromString(cut);
    const Decoded decoded = decode(cut);
    EXPECT_EQ(decoded.status.ok(), is_whole) << size;
    whole_count += is_whole ? 1 : 0;
  }
  EXPECT_EQ(whole_count, fleet.size());  // Cuts between two series.
}

TEST(WriteRequest, StopsAtItsLimits) {
  const std::string message =
      field(1, kUp + sample_of(1) + sample_of(2)) + field(1, kUp + sample_of(3));
  EXPECT_TRUE(decode(message, {.samples_max = 3, .metadata_max = 0}).status.ok());
  EXPECT_EQ(decode(message, {.samples_max = 2, .metadata_max = 0}).status.code(), Code::kLimit);
  EXPECT_EQ(decode(field(3, ""), {.samples_max = 0, .metadata_max = 0}).status.code(),
            Code::kLimit);
}

TEST(WriteRequest, KeepsWhatBelongsToASeries) {
  const std::string message = field(1, kUp + field(3, "") + field(3, "") + sample_of(1)) +
                              field(1, kUp + field(4, "")) + field(1, kUp + field(3, "")) +
                              field(1, kUp);
  const Decoded decoded = decode(message);
  ASSERT_TRUE(decoded.status.ok());
  EXPECT_EQ(decoded.request.exemplars.size(), 3u) << "also of a series that has nothing else";
  EXPECT_EQ(decoded.request.exemplars[2].series, 2u);
  EXPECT_EQ(decoded.request.histograms.size(), 1u);
  EXPECT_EQ(decoded.request.histograms[0].series, 1u);
  EXPECT_EQ(decoded.request.series_without_samples_count, 1u);
  EXPECT_EQ(decoded.request.series.size(), 3u);
}

/// A random request, with some of everything the schema has.
prometheus::WriteRequest random_request(std::mt19937_64& random) {
  prometheus::WriteRequest request;
  const auto text = [&] {
    return std::string(random() % 200, static_cast<char>('a' + random() % 26));
  };
  for (std::uint64_t n = random() % 20; n > 0; --n) {
    prometheus::TimeSeries& series = *request.add_timeseries();
    for (std::uint64_t k = random() % 12; k > 0; --k) {
      prometheus::Label& label = *series.add_labels();
      label.set_name(text());
      label.set_value(text());
    }
    for (std::uint64_t k = random() % 4; k > 0; --k) {
      prometheus::Sample& sample = *series.add_samples();
      sample.set_value(random() % 4 == 0 ? 0 : static_cast<double>(random()) / 7);
      sample.set_timestamp(static_cast<std::int64_t>(random() >> (random() % 64)));
    }
    if (random() % 4 == 0) series.add_exemplars()->add_labels()->set_name(text());
    if (random() % 4 == 0) series.add_histograms()->add_positive_deltas(-3);
  }
  for (std::uint64_t n = random() % 3; n > 0; --n) {
    prometheus::MetricMetadata& metadata = *request.add_metadata();
    metadata.set_metric_family_name(text());
    metadata.set_help(text());
    metadata.set_unit(text());
    metadata.set_type(static_cast<prometheus::MetricMetadata::MetricType>(random() % 8));
  }
  return request;
}

TEST(WriteRequest, SaysWhatGeneratedProtobufSays) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const prometheus::WriteRequest expected = random_request(random);
    std::string message;
    expected.SerializeToString(&message);
    const Decoded decoded = decode(message);
    ASSERT_TRUE(decoded.status.ok()) << decoded.status.message();
    const WriteRequest& request = decoded.request;
    std::size_t at_series = 0;
    std::size_t at_sample = 0;
    for (const prometheus::TimeSeries& series : expected.timeseries()) {
      if (series.samples().empty() && series.histograms().empty() && series.exemplars().empty()) {
        continue;
      }
      ASSERT_LT(at_series, request.series.size());
      std::vector<tsdb::LabelView> labels;
      ASSERT_TRUE(read_wire_labels(request.series[at_series].message, labels).ok());
      ASSERT_EQ(static_cast<int>(labels.size()), series.labels_size());
      for (int i = 0; i < series.labels_size(); ++i) {
        EXPECT_EQ(labels[static_cast<std::size_t>(i)].name, series.labels(i).name());
        EXPECT_EQ(labels[static_cast<std::size_t>(i)].value, series.labels(i).value());
      }
      ASSERT_EQ(static_cast<int>(request.series[at_series].sample_count), series.samples_size());
      for (const prometheus::Sample& sample : series.samples()) {
        EXPECT_EQ(request.samples[at_sample++],
                  (tsdb::Sample{Timestamp{sample.timestamp()}, sample.value()}));
      }
      ++at_series;
    }
    EXPECT_EQ(at_series, request.series.size());
    ASSERT_EQ(static_cast<int>(request.metadata.size()), expected.metadata_size());
    for (int i = 0; i < expected.metadata_size(); ++i) {
      const WireMetadata& metadata = request.metadata[static_cast<std::size_t>(i)];
      EXPECT_EQ(metadata.family, expected.metadata(i).metric_family_name());
      EXPECT_EQ(metadata.help, expected.metadata(i).help());
      EXPECT_EQ(metadata.unit, expected.metadata(i).unit());
      EXPECT_EQ(static_cast<int>(metadata.type), static_cast<int>(expected.metadata(i).type()));
    }
  }
}

TEST(WriteRequest, NeverAcceptsWhatGeneratedProtobufRefuses) {
  const google::protobuf::LogSilencer silencer;  // It reports every string that is no UTF-8.
  std::size_t accepted_count = 0;
  for (std::uint64_t seed = 1; seed <= 3'000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::string message;
    random_request(random).SerializeToString(&message);
    if (message.empty()) continue;
    for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
      message[random() % message.size()] = static_cast<char>(random());
    }
    const Decoded decoded = decode(message);
    if (!decoded.status.ok()) continue;
    // What lies inside labels, exemplars and histograms is not looked into while decoding.
    std::vector<tsdb::LabelView> labels;
    bool labels_are_whole = true;
    for (const WireSeries& series : decoded.request.series) {
      labels_are_whole &= read_wire_labels(series.message, labels).ok();
    }
    const WriteRequest& request = decoded.request;
    if (!labels_are_whole || request.exemplars.size() + request.histograms.size() +
                                     request.series_without_samples_count !=
                                 0)
      continue;
    ++accepted_count;
    prometheus::WriteRequest oracle;
    // Generated code also refuses strings that are no UTF-8; that is the label check's business
    // here.
    if (!oracle.ParseFromString(message)) {
      EXPECT_TRUE(message.end() != std::find_if(message.begin(), message.end(),
                                                [](char c) { return (c & 0x80) != 0; }));
      continue;
    }
    int sample_count = 0;
    for (const prometheus::TimeSeries& series : oracle.timeseries())
      sample_count += series.samples_size();
    EXPECT_EQ(static_cast<int>(request.samples.size()), sample_count);
  }
  EXPECT_GT(accepted_count, 50u);
}

}  // namespace
}  // namespace tarsier::ingest
