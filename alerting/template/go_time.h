#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace tarsier::alerting {

/// 0001-01-01T00:00:00Z, Go's zero time, in Unix seconds.
inline constexpr std::int64_t kGoZeroSeconds = -62'135'596'800;

/// A moment as Go's time.Time shows it: nanoseconds and the zone it is printed in.
struct GoTime {
  std::int64_t unix_s = 0;
  std::int32_t ns = 0;  ///< 0 to 999999999.
  std::int32_t offset_s = 0;
  std::string zone = "UTC";
};

struct GoDuration {
  std::int64_t ns = 0;
};

/// A moment taken apart in its own zone.
struct CivilTime {
  std::int64_t year = 1970;
  int month = 1;    ///< From 1.
  int day = 1;      ///< From 1.
  int weekday = 4;  ///< 0 is Sunday.
  int year_day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

GoTime go_time(Timestamp t);
CivilTime civil_time(const GoTime& t);
GoTime add_to_time(GoTime t, GoDuration d);
/// `later` - `earlier`, saturating.
GoDuration time_between(const GoTime& earlier, const GoTime& later);

/// Go's Time.Format: `layout` shows how 2006-01-02 15:04:05 -0700 would be written.
std::string format_go_time(const GoTime& t, std::string_view layout);
/// `2015-06-23 13:13:04.128 +0000 UTC`
std::string go_time_text(const GoTime& t);
/// `1h30m0s`, `1.5s`, `100ms`, `0s`
std::string go_duration_text(GoDuration d);
/// RFC 3339 with as many digits of a second as there are, `0001-01-01T00:00:00Z` for Go's zero.
std::string go_rfc3339_nano(const GoTime& t);

}  // namespace tarsier::alerting
