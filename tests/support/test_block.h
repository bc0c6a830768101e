#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/block.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::testing {

using Samples = std::vector<tsdb::Sample>;
/// What a block should hold.
using BlockModel = std::map<tsdb::Labels, Samples>;

/// The same number, the same name; greater numbers, later names.
tsdb::Ulid test_ulid(int number);

struct BlockShape {
  std::size_t samples_per_chunk = 120;
  std::uint64_t segment_bytes_max = std::uint64_t{512} << 20;
  std::vector<tsdb::BlockParent> parents = {};
  bool deletable = false;
};

/// Writes a level-1 block of the model's time. No value if the model is empty.
Result<std::optional<tsdb::BlockMeta>> try_write_block(FileSystem& files, const std::string& data,
                                                       const tsdb::Ulid& ulid,
                                                       const BlockModel& model,
                                                       const BlockShape& shape);
/// The same; dies when it fails.
tsdb::BlockMeta write_block(FileSystem& files, const std::string& data, const tsdb::Ulid& ulid,
                            const BlockModel& model, const BlockShape& shape = {});

/// Everything a query finds in the block.
BlockModel read_block(const std::shared_ptr<const tsdb::Block>& block);

/// Samples every `step` from `min` to before `max`; the value is the time.
Samples samples_between(std::int64_t min, std::int64_t max, std::int64_t step);

}  // namespace tarsier::testing
