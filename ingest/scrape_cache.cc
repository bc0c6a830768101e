#include "ingest/scrape_cache.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace tarsier::ingest {
namespace {

constexpr std::size_t kTableSizeMin = 64;

}  // namespace

void ScrapeCache::begin_scrape() {
  ++scrape_;
  expected_ = 0;
  seen_count_ = 0;
}

std::uint32_t ScrapeCache::find(const Hash128& hash) {
  if (expected_ < entries_.size() && entries_[expected_].hash == hash) return expected_++;
  if (table_.empty()) return kNone;
  for (std::size_t slot = slot_of(hash);; slot = (slot + 1) & (table_.size() - 1)) {
    const std::uint32_t index = table_[slot];
    if (index == kNone) return kNone;
    if (entries_[index].hash == hash) {
      expected_ = index + 1;
      return index;
    }
  }
}

std::uint32_t ScrapeCache::insert(const Hash128& hash) {
  CHECK(entries_.size() < kNone);
  const auto index = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back({.hash = hash});
  if (entries_.size() * 2 > table_.size()) {
    rebuild_table();
    return index;
  }
  std::size_t slot = slot_of(hash);
  while (table_[slot] != kNone) slot = (slot + 1) & (table_.size() - 1);
  table_[slot] = index;
  return index;
}

bool ScrapeCache::mark_seen(std::uint32_t index) {
  Entry& entry = entries_[index];
  if (entry.seen == scrape_) return false;
  entry.seen = scrape_;
  ++seen_count_;
  return true;
}

bool ScrapeCache::note_untimed_exemplar(tsdb::SeriesRef series, const tsdb::Exemplar& exemplar) {
  const std::uint64_t hash =
      exemplar.labels.hash() ^ (std::bit_cast<std::uint64_t>(exemplar.value) * 0x9E3779B97F4A7C15);
  const auto [known, is_new] = untimed_exemplars_.try_emplace(series.value, hash);
  return is_new || std::exchange(known->second, hash) != hash;
}

void ScrapeCache::succeed() {
  if (seen_count_ != entries_.size()) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.seen != scrape_; });
    untimed_exemplars_.clear();  // At worst one is stored once more.
    starts_.clear();             // Those that are asked for again are refused.
    rebuild_table();
  }
  last_good_size_ = entries_.size();
  shift_tracking();
}

bool ScrapeCache::fail() {
  for (Entry& entry : entries_) entry.was_tracked = entry.is_tracked = false;
  // Room for what the first scrapes of a failing target may bring.
  constexpr std::size_t kSpare = 1000;
  if (entries_.size() <= last_good_size_ * 2 + kSpare) return false;
  clear();
  return true;
}

void ScrapeCache::clear() {
  entries_.clear();
  entries_.shrink_to_fit();
  table_.clear();
  table_.shrink_to_fit();
  untimed_exemplars_.clear();
  starts_.clear();
  last_good_size_ = 0;
}

void ScrapeCache::shift_tracking() {
  for (Entry& entry : entries_) {
    entry.was_tracked = entry.is_tracked;
    entry.is_tracked = false;
  }
}

void ScrapeCache::rebuild_table() {
  table_.assign(std::max(kTableSizeMin, std::bit_ceil(entries_.size() * 2 + 1)), kNone);
  for (std::uint32_t index = 0; index < entries_.size(); ++index) {
    std::size_t slot = slot_of(entries_[index].hash);
    while (table_[slot] != kNone) slot = (slot + 1) & (table_.size() - 1);
    table_[slot] = index;
  }
}

}  // namespace tarsier::ingest
