#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"
#include "ingest/remote/write_request.h"
#include "tsdb/appender.h"

namespace tarsier::ingest {

/// Remote write 1.0 sends metadata by metric family and apart from the samples, storage keeps it by
/// series. So one series per metric name stands for all: the first seen since the last one ended.
/// Whatever comes first, the series or what is known of its family, waits here for the other.
/// Asked only when a series is new and when metadata arrives. Any number of threads.
class MetricMetadata final {
 public:
  explicit MetricMetadata(std::size_t names_max) : names_max_(names_max) {}

  /// A series of this metric name was resolved.
  void add_series(std::string_view metric_name, tsdb::SeriesRef series, tsdb::Appender& appender);
  /// The metadata of one family arrived. It holds for `family` itself and for the names that belong
  /// to it, see family_suffixes.
  void add_metadata(const WireMetadata& metadata, tsdb::Appender& appender);
  void clear();

 private:
  struct Entry {
    tsdb::SeriesRef series;
    tsdb::Metadata metadata;
    bool has_metadata = false;
    bool is_written = false;  // `series` carries `metadata` in storage.
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const {
      return std::hash<std::string_view>()(name);
    }
  };

  /// Null when there are too many names.
  Entry* entry_of(std::string_view metric_name) REQUIRES_LOCK(mutex_);

  const std::size_t names_max_;
  Mutex mutex_;
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::ingest
