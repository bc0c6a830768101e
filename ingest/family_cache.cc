#include "ingest/family_cache.h"

#include <algorithm>

namespace tarsier::ingest {
namespace {

constexpr std::uint32_t kScrapesRemembered = 10;

}  // namespace

void FamilyCache::begin_scrape() {
  ++scrape_;
  if (has_changed_) {
    for (auto& [name, family] : families_) family.has_changed = false;
  }
  has_changed_ = false;
}

const FamilyCache::Family* FamilyCache::set_type(std::string_view name, tsdb::MetricType type) {
  Family& family = touch(name);
  if (family.metadata.type != type) {
    family.metadata.type = type;
    note_change(family);
  }
  return &family;
}

const FamilyCache::Family* FamilyCache::set_help(std::string_view name, std::string_view help) {
  Family& family = touch(name);
  if (family.metadata.help != help) {
    family.metadata.help = help;
    note_change(family);
  }
  return &family;
}

const FamilyCache::Family* FamilyCache::set_unit(std::string_view name, std::string_view unit) {
  Family& family = touch(name);
  if (family.metadata.unit != unit) {
    family.metadata.unit = unit;
    note_change(family);
  }
  return &family;
}

void FamilyCache::succeed() {
  const std::size_t forgotten = std::erase_if(families_, [&](const auto& entry) {
    return scrape_ - entry.second.seen > kScrapesRemembered;
  });
  has_changed_ = has_changed_ || forgotten > 0;
}

void FamilyCache::clear() {
  families_.clear();
  has_changed_ = true;
}

std::vector<FamilyMetadata> FamilyCache::list() const {
  std::vector<FamilyMetadata> all;
  all.reserve(families_.size());
  for (const auto& [name, family] : families_) all.push_back({name, family.metadata});
  std::sort(all.begin(), all.end(),
            [](const FamilyMetadata& a, const FamilyMetadata& b) { return a.family < b.family; });
  return all;
}

FamilyCache::Family& FamilyCache::touch(std::string_view name) {
  auto at = families_.find(name);
  if (at == families_.end()) {
    at = families_.try_emplace(std::string(name)).first;
    at->second.name = at->first;
    note_change(at->second);
  }
  at->second.seen = scrape_;
  return at->second;
}

void FamilyCache::note_change(Family& family) {
  family.has_changed = true;
  has_changed_ = true;
}

}  // namespace tarsier::ingest
