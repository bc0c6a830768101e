#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

/// What clocks on the wall show somewhere: offsets from UTC by time, as TZif files hold them
/// (RFC 9636). Immutable, cheap to copy; any number of threads.
class TimeZone final {
 public:
  struct Offset {
    std::int32_t seconds = 0;  ///< East of UTC.
    std::string abbreviation = "UTC";
  };

  static TimeZone utc() { return TimeZone(nullptr); }
  /// The bytes of one TZif file. kCorruption when they are none.
  static Result<TimeZone> decode(Bytes bytes);
  /// `Europe/Berlin`, `UTC` or `Local` (UTC here: a server has no place) from the system's
  /// database. kInvalid, `unknown time zone X`, when it has none of that name.
  static Result<TimeZone> load(FileSystem& files, const std::string& name);

  Offset offset_at(std::int64_t unix_s) const;

 private:
  struct Rules;
  explicit TimeZone(std::shared_ptr<const Rules> rules) : rules_(std::move(rules)) {}
  std::shared_ptr<const Rules> rules_;
};

}  // namespace tarsier::alerting
