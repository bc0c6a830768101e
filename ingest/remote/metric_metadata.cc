#include "ingest/remote/metric_metadata.h"

#include <utility>

#include "base/utf8.h"
#include "ingest/metric_family.h"

namespace tarsier::ingest {
namespace {

constexpr std::size_t kTextBytesMax = 4096;  // Help texts are sentences.

std::string text_of(std::string_view wire) {
  return is_valid_utf8(wire) && wire.size() <= kTextBytesMax ? std::string(wire) : std::string();
}

}  // namespace

MetricMetadata::Entry* MetricMetadata::entry_of(std::string_view metric_name) {
  const auto found = entries_.find(metric_name);
  if (found != entries_.end()) return &found->second;
  if (entries_.size() >= names_max_) return nullptr;
  return &entries_.emplace(metric_name, Entry()).first->second;
}

void MetricMetadata::add_series(std::string_view metric_name, tsdb::SeriesRef series,
                                tsdb::Appender& appender) {
  tsdb::Metadata to_write;
  {
    const MutexLock lock(mutex_);
    Entry* const entry = entry_of(metric_name);
    if (entry == nullptr || entry->series.value != 0) return;
    entry->series = series;
    if (!entry->has_metadata) return;
    entry->is_written = true;
    to_write = entry->metadata;
  }
  appender.set_metadata(series, to_write);
}

void MetricMetadata::add_metadata(const WireMetadata& metadata, tsdb::Appender& appender) {
  if (metadata.family.empty() || metadata.family.size() > kTextBytesMax) return;
  const tsdb::Metadata known{metadata.type, text_of(metadata.unit), text_of(metadata.help)};
  std::string name(metadata.family);
  const auto add = [&] {
    tsdb::SeriesRef series;
    {
      const MutexLock lock(mutex_);
      Entry* const entry = entry_of(name);
      if (entry == nullptr) return;
      if (!entry->has_metadata || !(entry->metadata == known)) {
        entry->metadata = known;
        entry->has_metadata = true;
        entry->is_written = false;
      }
      series = entry->series;
      if (series.value == 0) return;
    }
    // The series may have ended since; then the next new one of this name takes its place.
    const bool ended = appender.labels_of(series).empty();
    {
      const MutexLock lock(mutex_);
      Entry* const entry = entry_of(name);
      if (entry == nullptr || entry->series != series) return;
      if (ended) entry->series = {};
      if (ended || std::exchange(entry->is_written, true)) return;
    }
    appender.set_metadata(series, known);
  };
  add();
  for (const std::string_view suffix : family_suffixes(metadata.type)) {
    name.resize(metadata.family.size());
    name += suffix;
    add();
  }
}

void MetricMetadata::clear() {
  const MutexLock lock(mutex_);
  entries_.clear();
}

}  // namespace tarsier::ingest
