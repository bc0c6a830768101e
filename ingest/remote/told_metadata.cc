#include "ingest/remote/told_metadata.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace tarsier::ingest {
namespace {

std::size_t hash_of(const WireMetadata& metadata) {
  const std::hash<std::string_view> hash;
  constexpr std::size_t kOdd = 0x9e3779b97f4a7c15;
  return (hash(metadata.help) * kOdd ^ hash(metadata.unit)) * kOdd +
         static_cast<std::size_t>(metadata.type);
}

}  // namespace

void ToldMetadata::tell(std::span<const tsdb::SeriesRef> series,
                        const std::vector<WireMetadata>& metadata, tsdb::Appender& appender) {
  if (metadata.empty()) return;
  const MutexLock lock(mutex_);
  if (hashes_.size() >= series_max_) hashes_.clear();
  for (std::size_t i = 0; i < metadata.size(); ++i) {
    const WireMetadata& told = metadata[i];
    if (series[i].value == 0) continue;
    if (told.type == tsdb::MetricType::kUnknown && told.help.empty()) continue;
    const std::size_t hash = hash_of(told);
    const auto [known, is_new] = hashes_.try_emplace(series[i].value, hash);
    if (!is_new && std::exchange(known->second, hash) == hash) continue;
    appender.set_metadata(series[i], {told.type, std::string(told.unit), std::string(told.help)});
  }
}

void ToldMetadata::clear() {
  const MutexLock lock(mutex_);
  hashes_.clear();
}

}  // namespace tarsier::ingest
