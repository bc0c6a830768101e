#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/db.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// The lengths of blocks made from outside: two hours, or three times that and so on as long as it
/// is not above `longest`.
Duration backfill_block_duration(Duration longest);

/// Makes blocks of samples in any order of series, and of time between series: `add_series`,
/// `append`, `finish`. Samples gather compressed, by series and block; when they exceed a budget
/// they go to the disk, and `finish` merges what went. So memory is bounded by the budget, whatever
/// the size of the input, and the input is read once. Nothing appears in the directory before
/// `finish`. One thread.
class BlockBuilder final {
 public:
  struct Options {
    Duration block_duration = hours(2);
    std::size_t memory_bytes_max = std::size_t{256} << 20;
    std::uint64_t chunk_segment_bytes = std::uint64_t{512} << 20;
    Timestamp now;  ///< What the names of the blocks say of when they were made.
  };
  /// `directory` is made if it is missing.
  static Result<std::unique_ptr<BlockBuilder>> create(FileSystem& files, std::string directory,
                                                      const Options& options);
  ~BlockBuilder();

  /// A number for `append`, good until `append` says that it was the last.
  std::size_t add_series(Labels labels);
  enum class Appended : unsigned char {
    kGoOn,
    kForgotten,  ///< Stored, and every number is void: add the series again.
  };
  /// kInvalid, naming the series, for a sample that is not later than the last of its series in the
  /// same block; the same sample twice is fine.
  Result<Appended> append(std::size_t series, Sample sample);
  /// Publishes the blocks, in order of time.
  Result<std::vector<BlockSummary>> finish();

 private:
  struct Impl;
  explicit BlockBuilder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::tsdb
