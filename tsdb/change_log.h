#pragma once

#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "base/time.h"

namespace tarsier::tsdb {

/// From which moment of stored time on answers may have changed, for whoever keeps answers. Storage
/// notes every change once it can be seen and before it is acknowledged: appended samples by their
/// oldest time, deletions and blocks that come or go by where they begin. Any number of threads.
class ChangeLog final {
 public:
  /// Of everything noted so far. Take it before opening the querier whose answer will be kept.
  std::uint64_t version() const;
  /// The oldest time anything noted after `version` begins at: what was read of earlier times still
  /// holds. kMaxTimestamp if nothing was noted. Never later than the truth; earlier for versions
  /// long gone.
  Timestamp oldest_since(std::uint64_t version) const;
  void note(Timestamp oldest);

 private:
  struct Change {
    std::uint64_t version;
    Timestamp oldest;
  };

  mutable Mutex mutex_;
  std::uint64_t version_ GUARDED_BY(mutex_) = 0;
  /// Both fields ascend: a change makes those before it that begin no earlier superfluous.
  std::vector<Change> changes_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tsdb
