#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/time.h"

namespace tarsier::ingest {

/// What a destination says of failures: a receiver that fails does so for every shard and request,
/// so of each kind one line is written at once, and after that one every ten seconds with the
/// number of those left out. One thread.
class ForwardLog final {
 public:
  static constexpr Duration kPause = seconds(10);

  ForwardLog(Logger& log, std::string url) : log_(log), url_(std::move(url)) {}

  void retrying(Timestamp now, int attempt, const std::string& why) {
    if (!retries_.is_due(now)) return;
    log_.warn("Failed to send batch, retrying", {{"url", url_},
                                                 {"attempt", std::to_string(attempt)},
                                                 {"err", why},
                                                 {"not_told", retries_.take_left_out()}});
  }
  void refused(Timestamp now, std::size_t count, const std::string& why) {
    if (!refusals_.is_due(now)) return;
    log_.error("non-recoverable error while sending a batch",
               {{"url", url_},
                {"count", std::to_string(count)},
                {"err", why},
                {"not_told", refusals_.take_left_out()}});
  }
  void cannot_read(Timestamp now, const std::string& why) {
    if (!reads_.is_due(now)) return;
    log_.error("Following the log for remote write failed",
               {{"url", url_}, {"err", why}, {"not_told", reads_.take_left_out()}});
  }
  void cannot_store(Timestamp now, const std::string& why) {
    if (!stores_.is_due(now)) return;
    log_.error("Storing the position of remote write failed",
               {{"url", url_}, {"err", why}, {"not_told", stores_.take_left_out()}});
  }

 private:
  /// One kind of line.
  struct Kind {
    bool is_due(Timestamp now) {
      if (now < next) {
        ++left_out;
        return false;
      }
      next = now + kPause;
      return true;
    }
    std::string take_left_out() { return std::to_string(std::exchange(left_out, 0)); }
    Timestamp next = kMinTimestamp;
    std::uint64_t left_out = 0;
  };

  Logger& log_;
  const std::string url_;
  Kind retries_;
  Kind refusals_;
  Kind reads_;
  Kind stores_;
};

}  // namespace tarsier::ingest
