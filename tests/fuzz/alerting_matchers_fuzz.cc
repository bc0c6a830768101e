#include "alerting/matcher_text.h"
#include "alerting/notifier_config.h"
#include "alerting/time_interval.h"
#include "alerting/time_zone.h"
#include "base/check.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// Matchers, ranges of time and time zones: refused or understood.
void fuzz_one(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  if (const auto matchers = alerting::parse_alert_matchers(text); matchers.ok()) {
    for (const tsdb::Matcher& matcher : *matchers) (void)matcher.matches("value");
    (void)alerting::matchers_text(*matchers);
  }
  (void)alerting::parse_minute_of_day(text);
  (void)alerting::parse_weekday_range(text);
  (void)alerting::parse_day_of_month_range(text);
  (void)alerting::parse_month_range(text);
  (void)alerting::parse_year_range(text);
  if (const auto zone = alerting::TimeZone::decode(bytes); zone.ok()) {
    for (const std::int64_t t : {std::int64_t{-5'000'000'000}, std::int64_t{0},
                                 std::int64_t{1'700'000'000}, std::int64_t{9'000'000'000}}) {
      (void)zone->offset_at(t);
    }
  }
}

}  // namespace tarsier
