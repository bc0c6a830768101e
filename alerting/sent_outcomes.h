#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "alerting/alert.h"
#include "base/time.h"

namespace tarsier::alerting {

/// What an Alertmanager answered when it was sent an alert.
struct SentOutcome {
  Timestamp at;  ///< When the request began.
  std::string url;
  Fingerprint origin;        ///< Of the alert's own labels.
  Timestamp starts_at;       ///< Of the alert.
  bool is_resolved = false;  ///< Its end was told.
  int status = 0;            ///< 0: there was no answer.
  std::string problem;       ///< Empty: it was taken.
  bool is_retried = false;   ///< It was not taken, and is tried again.
  std::uint64_t count = 1;   ///< So often in a row, the first time at `at`.
  Timestamp last_at;         ///< The last of these times.
};

/// The last outcomes, oldest first: what was told again and answered the same is one of them. One
/// thread at a time.
class SentOutcomes final {
 public:
  explicit SentOutcomes(std::size_t capacity) : capacity_(capacity) {}
  void add(SentOutcome outcome);
  std::vector<SentOutcome> find(Fingerprint origin) const;

 private:
  const std::size_t capacity_;
  std::deque<SentOutcome> outcomes_;
  std::uint64_t first_number_ = 0;  ///< Of the front; the others follow.
  /// The newest of each alert at each place.
  std::map<std::pair<Fingerprint, std::string>, std::uint64_t> newest_;
};

}  // namespace tarsier::alerting
