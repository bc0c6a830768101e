#include "tests/support/fleet.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "proto/remote.pb.h"

namespace tarsier::testing {
namespace {

constexpr FleetOptions kTwoUnits{.series_count = 5'200, .seed = 3};

TEST(Fleet, HasAsManyDistinctSeriesAsAskedFor) {
  const Fleet fleet(kTwoUnits);
  EXPECT_EQ(fleet.size(), 5'200u);
  std::set<tsdb::Labels> distinct;
  std::size_t bucket_count = 0;
  for (std::size_t i = 0; i < fleet.size(); ++i) {
    const tsdb::Labels labels = fleet.labels(i);
    distinct.insert(labels);
    bucket_count += labels.has("le") ? 1 : 0;
  }
  EXPECT_EQ(distinct.size(), fleet.size());
  EXPECT_NEAR(static_cast<double>(bucket_count) / static_cast<double>(fleet.size()), 0.44, 0.02);
}

TEST(Fleet, IsTheSameHoweverItIsSplit) {
  const auto two_scrapes = [](std::size_t part_count) {
    std::map<tsdb::Labels, std::vector<tsdb::Sample>> all;
    for (std::size_t part = 0; part < part_count; ++part) {
      Fleet fleet(kTwoUnits, part, part_count);
      for (int scrape = 0; scrape < 2; ++scrape) {
        fleet.step();
        for (std::size_t i = 0; i < fleet.size(); ++i)
          all[fleet.labels(i)].push_back(fleet.samples()[i]);
      }
    }
    return all;
  };
  const auto whole = two_scrapes(1);
  EXPECT_EQ(whole.size(), 5'200u);
  EXPECT_EQ(whole, two_scrapes(5));
}

TEST(Fleet, WritesRequestsThatProtobufReads) {
  Fleet fleet(kTwoUnits);
  fleet.step();
  std::string message;
  fleet.write_request(100, 200, message);
  prometheus::WriteRequest request;
  ASSERT_TRUE(request.ParseFromString(message));
  ASSERT_EQ(request.timeseries_size(), 200);
  for (int i = 0; i < 200; ++i) {
    const std::size_t series = 100 + static_cast<std::size_t>(i);
    const prometheus::TimeSeries& wire = request.timeseries(i);
    std::vector<tsdb::LabelView> labels;
    for (const prometheus::Label& label : wire.labels())
      labels.push_back({label.name(), label.value()});
    EXPECT_EQ(tsdb::Labels::from_sorted(labels), fleet.labels(series));
    ASSERT_EQ(wire.samples_size(), 1);
    EXPECT_EQ((tsdb::Sample{Timestamp{wire.samples(0).timestamp()}, wire.samples(0).value()}),
              fleet.samples()[series]);
  }
}

TEST(Fleet, CountersNeverFallAndBucketsAreCumulative) {
  Fleet fleet(kTwoUnits);
  std::vector<tsdb::Sample> before;
  for (int scrape = 0; scrape < 5; ++scrape) {
    fleet.step();
    for (std::size_t i = 0; i < fleet.size(); ++i) {
      const tsdb::Labels labels = fleet.labels(i);
      const tsdb::Sample now = fleet.samples()[i];
      if (!before.empty()) {
        EXPECT_GT(now.t, before[i].t);
        if (labels.get("__name__").ends_with("_total")) {
          EXPECT_GE(now.v, before[i].v) << labels.to_string();
        }
      }
      if (labels.has("le") && labels.get("le") != "0.005") {
        EXPECT_GE(now.v, fleet.samples()[i - 1].v) << labels.to_string();
      }
    }
    before.assign(fleet.samples().begin(), fleet.samples().end());
  }
}

}  // namespace
}  // namespace tarsier::testing
