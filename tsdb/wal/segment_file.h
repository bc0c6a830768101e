#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace tarsier::tsdb {

/// Whether to remember what is not synced yet.
enum class KeepTail : unsigned char { kNo, kYes };

/// The segment of a log that is being written, and how it becomes whole again when the disk refused
/// (docs/decisions/0010): after a failed write the file is cut back to what was there before; after
/// a failed sync nobody knows what of the unsynced bytes is on the disk, and asking that file again
/// would be a lie, so it is replaced by a new one. One thread at a time.
class SegmentFile final {
 public:
  /// Begins an empty segment. `keep_tail` costs the memory of what is not synced yet; without it a
  /// failed sync can only be made good if the bytes can still be read.
  static Result<SegmentFile> open(FileSystem& files, const std::string& directory,
                                  std::uint32_t segment, KeepTail keep_tail);

  /// Adds bytes. REQUIRES: is_whole().
  Status append(Bytes bytes);
  /// Makes everything appended durable; nothing to do is success. REQUIRES: is_whole().
  Status sync();
  /// Goes on with another, empty segment. After an error it is still the old one; try again.
  /// REQUIRES: is_whole(), synced.
  Status begin(std::uint32_t segment);

  bool is_synced() const { return synced_bytes_ == bytes_; }
  /// False after a failed append or sync, until `repair` succeeds.
  bool is_whole() const { return harm_ == Harm::kNone; }
  /// Makes the file hold exactly what was appended with success. kCorruption: it cannot be done,
  /// now or later; with another error it may be tried again.
  Status repair();

 private:
  enum class Harm : unsigned char { kNone, kTorn, kUnsynced };

  SegmentFile(FileSystem& files, std::string directory, KeepTail keep_tail)
      : files_(&files), directory_(std::move(directory)), keep_tail_(keep_tail) {}
  Status cut_back();
  Status replace();
  Status copy_into(WritableFile& target) const;

  FileSystem* files_;
  std::string directory_;
  KeepTail keep_tail_;
  std::string path_;
  std::unique_ptr<WritableFile> file_;
  std::uint64_t bytes_ = 0;
  std::uint64_t synced_bytes_ = 0;
  std::string tail_;  // The bytes from synced_bytes_ on, if they are kept.
  Harm harm_ = Harm::kNone;
};

/// Makes all that a start has read from the segments of a log survive a power cut. The process
/// before may have ended after a sync that failed: the bytes still read back, a sync that is asked
/// again says they are on the disk, and they are not. Only the last segment can have such bytes
/// (each is synced before the next is begun), so that one is written anew; where the copy
/// cannot be written, it is synced like the others. REQUIRES: nobody writes to them; `segments` is
/// sorted.
Status make_segments_durable(FileSystem& files, const std::string& directory,
                             std::span<const std::uint32_t> segments);

/// Removes replacements that a crash left unfinished.
Status remove_unfinished_segments(FileSystem& files, const std::string& directory);

}  // namespace tarsier::tsdb
