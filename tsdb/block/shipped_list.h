#pragma once

#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "tsdb/block/block.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// What a list of shipped blocks says: `{"version": 1, "uploaded": ["01...", ...]}`, as Thanos'
/// shipper writes it. kInvalid for anything else.
Result<std::vector<Ulid>> parse_shipped_list(std::string_view json);
std::string format_shipped_list(const std::vector<Ulid>& uploaded);
/// Reads the file. kNotFound if there is none.
Result<std::vector<Ulid>> read_shipped_list(FileSystem& files, const std::string& path);

/// Which blocks are in a bucket, as whoever ships them notes (ShippingOptions). A block of level 1
/// that is not must stay as it is: what is made of it would never be shipped. All on the
/// maintenance thread, but for `waiting_count`.
class ShippedList final {
 public:
  ShippedList(FileSystem& files, ShippingOptions options, Logger& log);

  /// Reads the list again, and counts who of `blocks` waits. A list that cannot be read says that
  /// nothing new was shipped; reported once.
  void reload(const BlockList& blocks);
  /// Whether the block is still to be shipped. Blocks of higher levels and without samples never
  /// are.
  bool is_waiting(const BlockMeta& meta) const;
  std::uint64_t waiting_count() const { return waiting_count_.load(std::memory_order_relaxed); }

 private:
  FileSystem& files_;
  const ShippingOptions options_;
  Logger& log_;
  bool is_used_;
  bool was_readable_ = true;
  std::set<Ulid> uploaded_;
  std::atomic<std::uint64_t> waiting_count_{0};
};

}  // namespace tarsier::tsdb
