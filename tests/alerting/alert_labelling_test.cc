#include "alerting/alert_labelling.h"

#include <gtest/gtest.h>

#include "tests/alerting/rule_lab.h"

namespace tarsier::alerting {
namespace {

AlertBatch batch_of(std::vector<tsdb::Labels> labels) {
  AlertBatch batch{.source = "f;g", .at = {1000}, .position = {}, .alerts = {}};
  for (tsdb::Labels& one : labels)
    batch.alerts.push_back({.labels = std::move(one), .annotations = {}});
  return batch;
}

TEST(LabellingSink, TellsWhatAnAlertmanagerWouldBeTold) {
  testing::CapturingSink inner;
  CurrentLabelling labelling;
  LabellingSink sink(inner, labelling);
  const AlertBatch batch = batch_of({{{"alertname", "A"}, {"region", "us"}}, {{"alertname", "B"}}});
  ASSERT_TRUE(sink.deliver(batch).ok());
  EXPECT_EQ(inner.batches.back().alerts, batch.alerts);
  labelling.apply({.external_labels = {{"region", "eu"}, {"replica", "1"}},
                   .relabel = [](tsdb::LabelsBuilder& labels) {
                     labels.remove("replica");
                     return labels.get("alertname") != "Dropped";
                   }});
  ASSERT_TRUE(sink.deliver(batch).ok());
  ASSERT_EQ(inner.batches.back().alerts.size(), 2u);
  EXPECT_EQ(inner.batches.back().alerts[0].labels.to_string(), R"({alertname="A", region="us"})");
  EXPECT_EQ(inner.batches.back().alerts[1].labels.to_string(), R"({alertname="B", region="eu"})");
  EXPECT_EQ(inner.batches.back().source, "f;g");
  ASSERT_TRUE(sink.deliver(batch_of({{{"alertname", "Dropped"}}})).ok());
  EXPECT_EQ(inner.batches.size(), 2u);  // Nothing is left to tell.
}

TEST(LabellingSink, ARefusalIsTheInnerSinks) {
  testing::CapturingSink inner;
  inner.refuses = true;
  const CurrentLabelling labelling;
  LabellingSink sink(inner, labelling);
  EXPECT_FALSE(sink.deliver(batch_of({{{"alertname", "A"}}})).ok());
}

TEST(AlertId, IsTheFingerprintThatReceiversAreTold) {
  const AlertLabelling how{.external_labels = {{"region", "eu"}}, .relabel = [](auto& labels) {
                             return labels.get("alertname") != "Dropped";
                           }};
  const tsdb::Labels own = {{"alertname", "A"}};
  const Fingerprint outside = fingerprint_of({{"alertname", "A"}, {"region", "eu"}});
  EXPECT_EQ(alert_id(own, how), outside);
  EXPECT_TRUE(has_alert_id(own, how, outside));
  EXPECT_TRUE(has_alert_id(own, how, fingerprint_of(own)));  // As older pages and links have it.
  EXPECT_FALSE(has_alert_id(own, how, fingerprint_of({{"alertname", "B"}})));
  const tsdb::Labels dropped = {{"alertname", "Dropped"}};
  EXPECT_EQ(alert_id(dropped, how), fingerprint_of(dropped));
}

}  // namespace
}  // namespace tarsier::alerting
