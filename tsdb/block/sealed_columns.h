#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/aggregate_rows.h"
#include "tsdb/block/chunk_files.h"
#include "tsdb/block/chunk_source.h"
#include "tsdb/chunk/packed_column.h"
#include "tsdb/index/output_file.h"

namespace tarsier::tsdb {

inline constexpr std::string_view kColumnsFileName = "columns";

// The records of a sealed block (FORMAT.md, "sealed block"): vectors of times, which series share;
// vectors of values, which point to one; and chunks kept as they are. A record's reference is its
// offset in the file.

/// Writes the file `columns`. One thread at a time; after an error it is good for nothing but
/// destruction.
class SealedColumnsWriter final {
 public:
  static Result<std::unique_ptr<SealedColumnsWriter>> create(FileSystem& files,
                                                             const std::string& directory,
                                                             ColumnProfile profile);
  /// 1 to kVectorSamplesMax samples of one series, times strictly increasing. The times are written
  /// only if no vector written before has them in a row. Returns the reference.
  Result<std::uint64_t> append_floats(std::span<const std::int64_t> times_ms,
                                      std::span<const double> values);
  /// Rows of a downsampled series, as append_floats.
  Result<std::uint64_t> append_aggregates(const AggregateRows& rows, std::size_t first,
                                          std::size_t count);
  /// Chunks as they are, at least one.
  Result<std::uint64_t> append_chunks(std::span<const StoredChunk> chunks);
  Status finish() { return out_.sync(); }
  std::uint64_t bytes_written() const { return out_.offset(); }

 private:
  SealedColumnsWriter(OutputFile out, ColumnProfile profile)
      : out_(std::move(out)), profile_(profile) {}
  struct TimeRun {
    std::uint64_t ref;
    std::size_t first;
  };
  Result<TimeRun> find_or_append(std::span<const std::int64_t> times_ms);
  std::optional<TimeRun> find(std::span<const std::int64_t> times_ms) const;
  Result<std::uint64_t> append_record(std::uint8_t kind);

  OutputFile out_;
  const ColumnProfile profile_;
  std::string body_;  // Of the record being made.
  std::string frame_;

  /// Time vectors written so far, as long as memory allows.
  struct KnownTimes {
    std::uint64_t ref;
    std::vector<std::int64_t> times_ms;
  };
  std::vector<KnownTimes> known_;
  std::size_t known_count_ = 0;
  /// Positions in known_ by their first and by their last time.
  std::unordered_multimap<std::int64_t, std::size_t> by_first_;
  std::unordered_multimap<std::int64_t, std::size_t> by_last_;
};

/// Reads the file `columns`, mapped. Any number of threads. Errors are kCorruption with file and
/// offset.
class SealedColumnsReader final {
 public:
  static Result<std::unique_ptr<SealedColumnsReader>> open(FileSystem& files,
                                                           const std::string& directory);

  std::uint64_t size_bytes() const { return bytes_.size(); }

  /// Where samples go; `histograms` may be null.
  struct Target {
    TimeRange range;
    SampleColumns& floats;
    HistogramColumns* histograms;
  };
  /// Appends the samples of one record within the target's range. Returns how many chunks it had to
  /// pass over because nobody knows their encoding.
  Result<std::size_t> read(std::uint64_t ref, const Target& target) const;
  /// Whether the record holds rows, and then appends them. Columns whose bit is not in `wanted` are
  /// left as they are.
  Result<bool> read_aggregates(std::uint64_t ref, AggregateRows& rows,
                               std::uint32_t wanted = ~std::uint32_t{0}) const;
  /// Whether the record holds chunks, and then these. They live as long as this and `copy`.
  Result<bool> read_chunks(std::uint64_t ref, std::string& copy,
                           std::vector<StoredChunk>& chunks) const;

 private:
  struct Record {
    std::uint8_t kind = 0;
    Bytes body;
  };
  SealedColumnsReader();
  Result<Record> record(std::uint64_t ref) const;
  /// What values and rows begin with: the times they point to.
  Result<std::span<const std::int64_t>> read_times(std::uint64_t ref, ByteReader& in) const;
  Status read_floats(std::uint64_t ref, Bytes body, TimeRange range, SampleColumns& out) const;
  Result<std::span<const std::int64_t>> times(std::uint64_t ref) const;
  Status damaged(std::uint64_t ref, std::string_view what) const;

  const std::uint64_t id_;  // Of all readers of the process: caches outlive readers.
  std::string path_;
  std::unique_ptr<ReadableFile> file_;
  std::string loaded_;  // The file, if it cannot be mapped.
  Bytes bytes_;
};

}  // namespace tarsier::tsdb
