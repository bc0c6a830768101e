#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "tsdb/block/ulid.h"

namespace tarsier::tsdb {

/// The block of that name in a list of shared pointers to blocks; null if there is none.
template <typename List>
typename List::value_type find_block(const List& blocks, const Ulid& ulid) {
  for (const auto& block : blocks) {
    if (block->meta().ulid == ulid) return block;
  }
  return nullptr;
}

inline bool contains(const std::vector<Ulid>& ulids, const Ulid& ulid) {
  return std::find(ulids.begin(), ulids.end(), ulid) != ulids.end();
}

/// Appends what `block` replaces, each after what that replaces itself: the order in which they may
/// be deleted. Who says that a block is replaced must not go before it. Leaves out what is in
/// `seen`, and adds to it.
template <typename List>
void append_replaced(const typename List::value_type& block, const List& blocks,
                     std::set<Ulid>& seen, std::vector<Ulid>& out) {
  for (const Ulid& ulid : block->meta().replaces) {
    if (!seen.insert(ulid).second) continue;
    if (const auto replaced = find_block(blocks, ulid)) {
      append_replaced(replaced, blocks, seen, out);
    }
    out.push_back(ulid);
  }
}

}  // namespace tarsier::tsdb
