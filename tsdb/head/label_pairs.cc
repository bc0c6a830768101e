#include "tsdb/head/label_pairs.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

std::uint32_t hash_pair(NameId name, std::string_view value) {
  return static_cast<std::uint32_t>(XXH3_64bits_withSeed(value.data(), value.size(), name));
}

}  // namespace

LabelPairs::~LabelPairs() {
  for (std::size_t i = 0; i < pairs_used_; ++i) {
    const Pair& pair = pairs_[i];
    if (pair.value_size > Arena::kSmallMax)
      values_.free(const_cast<char*>(pair.value), pair.value_size);
  }
}

std::uint32_t LabelPairs::lookup(std::uint32_t hash, NameId name, std::string_view value) const {
  return table_.find(hash, [&](std::uint32_t id) {
    const Pair& pair = pairs_[id];
    return pair.name == name && std::string_view(pair.value, pair.value_size) == value;
  });
}

PairId LabelPairs::acquire(std::string_view name_text, std::string_view value) {
  CHECK(!value.empty());
  auto named = names_by_text_.find(name_text);
  if (named == names_by_text_.end()) {
    names_.grow_to(name_count_ + 1);
    names_[name_count_] = name_text;
    named = names_by_text_.emplace(name_text, static_cast<NameId>(name_count_)).first;
    ++name_count_;
  }
  const NameId name = named->second;
  const std::uint32_t hash = hash_pair(name, value);
  if (const std::uint32_t known = lookup(hash, name, value); known != IdTable::kNone) {
    ++pairs_[known].user_count;
    return known;
  }
  PairId id;
  if (!free_pairs_.empty()) {
    id = free_pairs_.back();
    free_pairs_.pop_back();
  } else {
    pairs_.grow_to(pairs_used_ + 1);
    id = static_cast<PairId>(pairs_used_++);
  }
  auto* const bytes = static_cast<char*>(values_.allocate(value.size()));
  std::memcpy(bytes, value.data(), value.size());
  pairs_[id] = {bytes, static_cast<std::uint32_t>(value.size()), name, 1, hash};
  table_.insert(hash, id);
  return id;
}

bool LabelPairs::release(PairId id) {
  Pair& pair = pairs_[id];
  CHECK(pair.user_count > 0);
  if (--pair.user_count > 0) return false;
  table_.erase(pair.hash, id);
  return true;
}

void LabelPairs::free(PairId id) {
  Pair& pair = pairs_[id];
  CHECK(pair.user_count == 0 && pair.value != nullptr);
  values_.free(const_cast<char*>(pair.value), pair.value_size);
  pair = {};
  free_pairs_.push_back(id);
}

std::optional<PairId> LabelPairs::find(std::string_view name, std::string_view value) const {
  const std::optional<NameId> id = find_name(name);
  if (!id) return std::nullopt;
  const std::uint32_t pair = lookup(hash_pair(*id, value), *id, value);
  if (pair == IdTable::kNone) return std::nullopt;
  return pair;
}

std::optional<NameId> LabelPairs::find_name(std::string_view name) const {
  const auto named = names_by_text_.find(name);
  if (named == names_by_text_.end()) return std::nullopt;
  return named->second;
}

std::size_t LabelPairs::bytes() const {
  return pairs_.bytes() + values_.bytes() + table_.bytes() + names_.bytes();
}

}  // namespace tarsier::tsdb
