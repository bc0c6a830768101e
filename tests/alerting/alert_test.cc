#include "alerting/alert.h"

#include <gtest/gtest.h>

#include "alerting/alert_sink.h"

namespace tarsier::alerting {
namespace {

TEST(Fingerprint, IsAlertmanagers) {
  const Fingerprint id =
      fingerprint_of({{"severity", "critical"}, {"alertname", "DemoAlert"}, {"server", "ni3"}});
  EXPECT_EQ(id.to_string(), "8a07086b74f3ba78");
  EXPECT_EQ(parse_fingerprint("8a07086b74f3ba78"), id);
  EXPECT_EQ(parse_fingerprint("8a07086b74f3ba7"), std::nullopt);
  EXPECT_EQ(parse_fingerprint("8a07086b74f3ba7x"), std::nullopt);
}

class Refuses final : public AlertSink {
 public:
  Status deliver(const AlertBatch&) override {
    ++count;
    return unavailable("full");
  }
  int count = 0;
};

TEST(AlertFanOut, TellsEverybodyAndReportsTheFirstRefusal) {
  Refuses a;
  Refuses b;
  AlertFanOut both({&a, &b});
  EXPECT_EQ(both.deliver({}).code(), Code::kUnavailable);
  EXPECT_EQ(a.count, 1);
  EXPECT_EQ(b.count, 1);
}

}  // namespace
}  // namespace tarsier::alerting
