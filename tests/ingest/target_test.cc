#include "ingest/target.h"

#include <gtest/gtest.h>

namespace tarsier::ingest {
namespace {

using tsdb::Labels;
using Kind = TargetOutcome::Kind;

ScrapeConfig job() {
  ScrapeConfig config;
  config.job_name = "node";
  config.scrape_interval = seconds(15);
  return config;
}

RelabelRule rule(RelabelConfig config) {
  auto created = RelabelRule::create(std::move(config), NameValidation::kUtf8);
  EXPECT_TRUE(created.ok()) << created.status().message();
  return *created;
}

RelabelRule set_label(std::string name, std::string value) {
  return rule({.target_label = std::move(name), .replacement = std::move(value)});
}

TEST(Target, GetsDefaultsAndAnInstance) {
  const TargetOutcome outcome = make_target(job(), {.labels = {{"env", "prod"}}}, "h:9100");
  ASSERT_EQ(outcome.kind, Kind::kActive) << outcome.error.message();
  EXPECT_EQ(outcome.target.discovered_labels,
            (Labels{{"__address__", "h:9100"},
                    {"__always_scrape_classic_histograms__", "false"},
                    {"__convert_classic_histograms_to_nhcb__", "false"},
                    {"__metrics_path__", "/metrics"},
                    {"__scheme__", "http"},
                    {"__scrape_interval__", "15s"},
                    {"__scrape_native_histograms__", "false"},
                    {"__scrape_timeout__", "10s"},
                    {"env", "prod"},
                    {"job", "node"}}));
  EXPECT_EQ(outcome.target.labels,
            (Labels{{"env", "prod"}, {"instance", "h:9100"}, {"job", "node"}}));
  EXPECT_EQ(outcome.target.url, "http://h:9100/metrics");
  EXPECT_EQ(outcome.target.interval, seconds(15));
  EXPECT_EQ(outcome.target.timeout, seconds(10));
}

TEST(Target, LabelsOfTheGroupComeBeforeDefaults) {
  const TargetGroup group{.labels = {{"job", "mine"},
                                     {"instance", "i"},
                                     {"__metrics_path__", "probe x"},
                                     {"__scheme__", "https"},
                                     {"__scrape_interval__", "1m"},
                                     {"__param_module", "b"},
                                     {"__meta_x", "y"}}};
  ScrapeConfig config = job();
  config.params = {{"match[]", {"a b", "&"}}, {"module", {"a", "c"}}};
  const TargetOutcome outcome = make_target(config, group, "h");
  ASSERT_EQ(outcome.kind, Kind::kActive) << outcome.error.message();
  EXPECT_EQ(outcome.target.labels, (Labels{{"instance", "i"}, {"job", "mine"}}));
  EXPECT_EQ(outcome.target.url,
            "https://h/probe%20x?match%5B%5D=a+b&match%5B%5D=%26&module=b&module=c");
  EXPECT_EQ(outcome.target.interval, minutes(1));
}

TEST(Target, RelabellingMayRewriteOrDropIt) {
  ScrapeConfig config = job();
  config.relabel_rules = {set_label("__address__", "other:1"), set_label("__param_x", "1")};
  EXPECT_EQ(make_target(config, {}, "h").target.url, "http://other:1/metrics?x=1");
  config.relabel_rules = {rule({.source_labels = {"__address__"}, .regex = "h", .action = "drop"})};
  const TargetOutcome dropped = make_target(config, {}, "h");
  EXPECT_EQ(dropped.kind, Kind::kDropped);
  EXPECT_EQ(dropped.target.discovered_labels.get("__address__"), "h");
  EXPECT_EQ(make_target(config, {}, "i").kind, Kind::kActive);
}

TEST(Target, WhatCannotBeScrapedSaysWhy) {
  struct Case {
    std::string label;
    std::string value;
    std::string want;
  };
  const std::vector<Case> cases = {
      {"__address__", "", "no address"},
      {"__address__", "http://x", "\"http://x\" is not a valid hostname"},
      {"__scrape_interval__", "15",
       "error parsing scrape interval: not a valid duration string: \"15\""},
      {"__scrape_interval__", "0s", "scrape interval cannot be 0"},
      {"__scrape_timeout__", "0s", "scrape timeout cannot be 0"},
      {"__scrape_timeout__", "20s",
       "scrape timeout cannot be greater than scrape interval (\"20s\" > \"15s\")"},
      {"x", "\xff", "invalid label value for \"x\": \"\\xff\""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.want);
    ScrapeConfig config = job();
    config.relabel_rules = {set_label(c.label, c.value)};
    const TargetOutcome outcome = make_target(config, {}, "h");
    EXPECT_EQ(outcome.kind, Kind::kFailed);
    EXPECT_EQ(outcome.error.message(), c.want);
  }
}

TEST(Target, EqualOnesAreMerged) {
  ScrapeConfig config = job();
  config.static_configs = {{.targets = {"a", "b", "a"}},
                           {.targets = {"b"}, .labels = {{"x", "y"}}}};
  const auto outcomes = make_targets(config, {});
  ASSERT_EQ(outcomes.size(), 3u);
  EXPECT_EQ(outcomes[2].target.labels.get("x"), "y");
}

TEST(Target, KeepsItsIdentityWhenOnlyTheIntervalChanges) {
  ScrapeConfig slow = job();
  slow.scrape_interval = minutes(5);
  EXPECT_EQ(make_target(slow, {}, "a").target.identity,
            make_target(job(), {}, "a").target.identity);
  EXPECT_NE(make_target(job(), {}, "b").target.identity,
            make_target(job(), {}, "a").target.identity);
}

TEST(Target, IsDueAtOneOffsetForEver) {
  const Duration interval = seconds(15);
  const Timestamp first = next_due(12345, 678, interval, Timestamp{1'700'000'000'000});
  EXPECT_GE(first.ms, 1'700'000'000'000);
  EXPECT_LT(first.ms, 1'700'000'015'000);
  EXPECT_EQ(next_due(12345, 678, interval, first), first);
  EXPECT_EQ(next_due(12345, 678, interval, first + milliseconds(1)), first + interval);
  EXPECT_EQ(next_due(12345, 678, interval, Timestamp{1'800'000'000'000}).ms % interval.ms,
            first.ms % interval.ms);
  EXPECT_NE(next_due(12345, 679 << 20, interval, Timestamp{0}),
            next_due(12345, 678, interval, Timestamp{0}));
}

TEST(Target, SpreadsByFnv1a) {
  EXPECT_EQ(fnv1a(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(fnv1a("bar", fnv1a("foo")), fnv1a("foobar"));
}

}  // namespace
}  // namespace tarsier::ingest
