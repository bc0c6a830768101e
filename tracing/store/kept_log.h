#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/time.h"
#include "tracing/kept_trace.h"

namespace tarsier::tracing {

// The log of kept traces that are in no block yet (FORMAT.md, "Log of kept traces").

/// Parts of one trace that were kept together. Views are into `bytes`, which it shares.
struct TraceFragment {
  TraceId id;
  Timestamp filed{0};
  std::shared_ptr<const std::string> bytes;
  std::vector<KeptSpan> spans;
};

/// One record's contents, before compression.
std::string encode_kept(std::span<const KeptTrace> traces, Timestamp filed);
/// kCorruption when the bytes are no record, or a span in it is damaged.
Result<std::vector<TraceFragment>> decode_kept(std::shared_ptr<const std::string> bytes);

/// Writes one segment after the other. One thread at a time. After a failed append (a full disk)
/// the next one begins a new segment; after a failed sync nothing more is taken.
class KeptLogWriter final {
 public:
  /// Begins a new segment. `segment` is its number.
  static Result<std::unique_ptr<KeptLogWriter>> open(FileSystem& files, std::string directory,
                                                     std::uint64_t segment);
  /// Appends a record of these contents.
  Status append(std::string_view contents);
  Status sync();
  /// Syncs and ends the segment and begins the next.
  Status cut();
  std::uint64_t segment() const { return segment_; }
  std::uint64_t segment_bytes() const { return segment_bytes_; }

 private:
  KeptLogWriter(FileSystem& files, std::string directory, std::uint64_t segment)
      : files_(files), directory_(std::move(directory)), segment_(segment) {}
  Status begin();
  /// Leaves a segment whose last record is not whole.
  Status leave_broken();

  FileSystem& files_;
  const std::string directory_;
  std::uint64_t segment_;
  std::uint64_t segment_bytes_ = 0;
  bool has_unsynced_ = false;
  bool is_broken_ = false;  ///< Or there is no segment.
  std::unique_ptr<WritableFile> file_;
  Status sync_failure_;
};

struct KeptLogReplay {
  std::uint64_t segment_next = 1;  ///< For the writer.
  std::uint64_t records = 0;
  std::uint64_t bytes_lost = 0;  ///< Behind damage that is no torn tail.
};

/// Calls `visit` with every record of the segments above `after`, in order. The tail of the last
/// segment may be torn: that is its end. Anything else that is damaged costs the rest of its
/// segment, is logged by name and counted.
Result<KeptLogReplay> replay_kept_log(FileSystem& files, const std::string& directory,
                                      std::uint64_t after, Logger& log,
                                      const std::function<void(std::vector<TraceFragment>)>& visit);
/// Removes the segments up to and with this one.
Status remove_kept_segments(FileSystem& files, const std::string& directory, std::uint64_t last);

/// What one record holds at most; foreign sizes beyond it are damage.
inline constexpr std::uint64_t kKeptRecordBytesMax = std::uint64_t{1} << 30;

}  // namespace tarsier::tracing
