#include "tsdb/change_log.h"

#include <algorithm>
#include <cstddef>

namespace tarsier::tsdb {
namespace {

/// Beyond this, neighbours are united.
constexpr std::size_t kChangesMax = 1024;

}  // namespace

std::uint64_t ChangeLog::version() const {
  const MutexLock lock(mutex_);
  return version_;
}

Timestamp ChangeLog::oldest_since(std::uint64_t version) const {
  const MutexLock lock(mutex_);
  const auto first =
      std::ranges::upper_bound(changes_, version, std::ranges::less(), &Change::version);
  return first == changes_.end() ? kMaxTimestamp : first->oldest;
}

void ChangeLog::note(Timestamp oldest) {
  const MutexLock lock(mutex_);
  while (!changes_.empty() && changes_.back().oldest >= oldest) changes_.pop_back();
  changes_.push_back({++version_, oldest});
  if (changes_.size() <= kChangesMax) return;
  // Of two, the older time with the newer version: too early for some, too late for nobody.
  std::size_t kept = 0;
  for (std::size_t i = 0; i + 1 < changes_.size(); i += 2) {
    changes_[kept++] = {changes_[i + 1].version, changes_[i].oldest};
  }
  if (changes_.size() % 2 != 0) changes_[kept++] = changes_.back();
  changes_.resize(kept);
}

}  // namespace tarsier::tsdb
