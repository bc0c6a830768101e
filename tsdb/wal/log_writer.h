#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "tsdb/options.h"
#include "tsdb/wal/log_format.h"

namespace tarsier::tsdb {

/// A record as it will be stored: compressed, unless that does not make it smaller. Made outside of
/// any lock by whoever appends, and meant to be used again: its buffer keeps its capacity. One
/// thread at a time.
class EncodedRecord final {
 public:
  /// Borrows `record`, which must stay as it is until this was appended or encoded anew.
  void encode(Bytes record, WalCompression compression);
  /// What the fragments will hold.
  Bytes stored() const { return is_compressed_ ? as_bytes(compressed_) : plain_; }
  std::size_t plain_bytes() const { return plain_.size(); }
  /// kSnappyFlag, kZstdFlag or 0.
  std::uint8_t flags() const { return flags_; }

 private:
  Bytes plain_;
  std::string compressed_;
  bool is_compressed_ = false;
  std::uint8_t flags_ = 0;
};

/// Bytes on their way into segment files: `bytes` goes to the end of the file that is open, and at
/// each cut the file is finished and another begun.
struct LogOutput {
  struct Cut {
    std::size_t at = 0;         ///< The bytes from here on ...
    std::uint32_t segment = 0;  ///< ... belong to this new segment.
  };
  std::string bytes;
  std::vector<Cut> cuts;
  std::uint64_t fragment_count = 0;
  std::uint64_t completed_page_count = 0;

  bool empty() const { return bytes.empty() && cuts.empty(); }
  /// Keeps the capacity.
  void clear();
};

/// Lays records out as fragments, pages and segments, byte for byte as Prometheus does. Only ever
/// adds to the end of its output, so whatever prefix of it reached a file, the records wholly in it
/// can be read. Does no I/O. One thread at a time.
class LogWriter final {
 public:
  /// Begins at the start of `segment`. REQUIRES: `segment_bytes` is a positive multiple of the page
  /// size.
  LogWriter(std::uint32_t segment, std::size_t segment_bytes);

  /// Adds the fragments of `record` to `out`, after a cut if they do not fit into this segment.
  /// Returns where the record ends. REQUIRES: at most kLogRecordBytesMax bytes.
  LogPosition append(const EncodedRecord& record, LogOutput& out);
  /// Begins the next segment unless this one has room for `record_count` more records that hold so
  /// many bytes together, or is empty.
  void make_room(std::size_t record_count, std::size_t stored_bytes, LogOutput& out);
  /// Fills the page with zeros and begins the next segment, unless this one is empty.
  void cut(LogOutput& out);
  /// Where the next fragment would begin.
  LogPosition position() const { return log_position(segment_, offset_); }

 private:
  std::size_t page_bytes_left() const { return kLogPageBytes - offset_ % kLogPageBytes; }
  bool fits_segment(std::size_t stored_bytes) const;
  void pad_page(LogOutput& out);

  const std::size_t segment_bytes_;
  std::uint32_t segment_;
  std::uint64_t offset_ = 0;  // In the segment.
};

}  // namespace tarsier::tsdb
