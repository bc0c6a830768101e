#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "ingest/remote/write_request.h"
#include "tsdb/appender.h"

namespace tarsier::ingest {

/// Remote write 2.0 repeats the metadata of a series with every request, and may begin to some time
/// after the series began. Hands to storage what is new. Forgets everything once it is full: then
/// storage finds that it has it. Any number of threads.
class ToldMetadata final {
 public:
  explicit ToldMetadata(std::size_t series_max) : series_max_(series_max) {}

  /// `metadata[i]` is of `series[i]`; those without a number are passed over.
  void tell(std::span<const tsdb::SeriesRef> series, const std::vector<WireMetadata>& metadata,
            tsdb::Appender& appender);
  /// After a commit that failed.
  void clear();

 private:
  const std::size_t series_max_;
  Mutex mutex_;
  std::unordered_map<std::uint64_t, std::size_t> hashes_ GUARDED_BY(mutex_);  // By series.
};

}  // namespace tarsier::ingest
