#include "server/config_limits.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "server/config.h"

namespace tarsier::server {
namespace {

TEST(LimitsConfig, ReadsLimitsByTenantAndWhatTellsReplicas) {
  const Result<Config> config = parse_config(R"(
write_limits:
- {tenant: a, samples_per_second: 10, burst: 20, max_series: 3, max_labels: 4, max_label_name_length: 5, max_label_value_length: 6, max_body_size: 1MB}
- samples_per_second: 7
ha_dedup: {cluster_label: cluster, replica_label: __replica__, failover: 1m}
)",
                                             {.file = "p.yml"});
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_TRUE(config->warnings.empty());
  ASSERT_EQ(config->write_limits.size(), 2u);
  EXPECT_EQ(config->write_limits[0], (ingest::WriteLimit{.tenant = "a",
                                                         .samples_per_second = 10,
                                                         .burst = 20,
                                                         .series_max = 3,
                                                         .labels_max = 4,
                                                         .label_name_length_max = 5,
                                                         .label_value_length_max = 6,
                                                         .body_bytes_max = 1 << 20}));
  EXPECT_EQ(config->ha_dedup.failover, minutes(1));
  const Result<Config> again = parse_config(render_config(*config), {.file = "shown.yml"});
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->write_limits, config->write_limits);
  EXPECT_EQ(again->ha_dedup, config->ha_dedup);
}

TEST(LimitsConfig, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"write_limits: [null]", "empty or null section in write_limits"},
      {"write_limits: [{tenant: a}, {tenant: a}]", "more than one write limit of tenant \"a\""},
      {"write_limits: [{burst: 1}]", "burst of a write limit needs samples_per_second"},
      {"write_limits: [{nonsense: 1}]", "field nonsense not found in write_limits[0]"},
      {"ha_dedup: {cluster_label: c}", "ha_dedup needs both cluster_label and replica_label"},
      {"ha_dedup: {cluster_label: c, replica_label: r, failover: 0s}",
       "failover of ha_dedup must be positive"},
  };
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text);
    const Result<Config> config = parse_config(text, {.file = "p.yml"});
    ASSERT_FALSE(config.ok());
    EXPECT_NE(config.status().message().find(expected), std::string::npos)
        << config.status().message();
  }
}

}  // namespace
}  // namespace tarsier::server
