#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "tsdb/wal/log_format.h"

namespace tarsier::tsdb {

/// Reads the records of one segment file from its start. Trusts nothing: a record is only given out
/// when every fragment's checksum, length, order and flags are right. One thread at a time.
class SegmentReader final {
 public:
  enum class Step : unsigned char {
    kRecord,   ///< record() is the next one.
    kEnd,      ///< The file ends after a whole record, or in zeros.
    kTorn,     ///< Damaged, and nothing behind the damage looks like a record: a write that was cut
               ///< short.
    kDamaged,  ///< Damaged, with records behind it.
    kFailed,   ///< The disk refused; see status().
  };

  /// `record_bytes_max` bounds the plain size of a record, and so the memory.
  static Result<std::unique_ptr<SegmentReader>> open(FileSystem& files, const std::string& path,
                                                     std::size_t record_bytes_max);

  /// Reads the part of a segment from `begin`, where a record begins or the segment ends, to `end`,
  /// where a record ends: as if the file ended there. REQUIRES: begin <= end <= the file's size.
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  static Result<std::unique_ptr<SegmentReader>> open_range(std::unique_ptr<ReadableFile> file,
                                                           Range range,
                                                           std::size_t record_bytes_max);

  /// REQUIRES: no step but kRecord came before.
  Step next();

  /// The last record, decompressed. Lives until the next call of next().
  Bytes record() const { return record_; }
  /// Offsets of the first byte of the last record's fragments and of the byte after them.
  std::uint64_t record_begin() const { return record_begin_; }
  std::uint64_t record_end() const { return record_end_; }
  std::uint64_t file_bytes() const { return file_->size(); }

  /// Where and how the segment is damaged. Valid after kTorn and kDamaged.
  std::uint64_t damage_offset() const { return damage_offset_; }
  const std::string& damage_reason() const { return damage_reason_; }
  const Status& status() const { return status_; }

 private:
  struct Fragment {
    FragmentType type = FragmentType::kPageEnd;
    std::uint8_t flags = 0;
    Bytes data;
  };
  /// What one look at the current page found.
  enum class Found : unsigned char { kFragment, kPageDone, kCutShort, kBad };

  SegmentReader(std::unique_ptr<ReadableFile> file, std::size_t record_bytes_max);

  Status load_page(std::uint64_t offset);
  Found read_fragment(Fragment& out);
  Found read_padding();
  Step finish_record(const Fragment& last, Bytes stored);
  Step damaged(std::uint64_t offset, std::string reason);
  Step failed(Status status);
  Result<bool> records_follow(std::uint64_t offset);

  std::uint64_t position() const { return page_offset_ + page_position_; }

  const std::unique_ptr<ReadableFile> file_;
  const std::size_t record_bytes_max_;

  std::string block_;  // Pages are read many at a time.
  std::uint64_t block_offset_ = 0;
  Bytes page_;  // Into block_; shorter than a page only where the file ends.
  std::uint64_t page_offset_ = 0;
  std::size_t page_position_ = 0;

  std::string pieces_;  // Fragments of a record that has several.
  std::string plain_;   // Decompressed.
  bool ended_early_ = false;
  std::uint64_t early_end_offset_ = 0;
  std::string problem_;  // Of the last Found::kBad.

  Bytes record_;
  std::uint64_t record_begin_ = 0;
  std::uint64_t record_end_ = 0;
  std::uint64_t damage_offset_ = 0;
  std::string damage_reason_;
  Status status_;
};

}  // namespace tarsier::tsdb
