#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/head/head.h"
#include "tsdb/head/head_chunk_files.h"
#include "tsdb/head/head_image.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// Where a database has what its images are of.
struct ImagePaths {
  std::string data_directory;
  std::string wal_directory;
};

/// The image of this head at this time of its life, or null: there is none, or it was made of
/// another log than the one that is there now, of other blocks (`served_until`), by other options.
/// Why is said in `reason`, empty if there is none. Head chunk files are judged by `matches`.
Result<std::unique_ptr<HeadImage>> find_head_image(FileSystem& files, const ImagePaths& paths,
                                                   const Options& options, Timestamp served_until,
                                                   ThreadPool* pool, std::string& reason);
/// Of every head chunk file the image knows: its number and bytes.
HeadChunkFiles::Known known_chunks(const ImageOrigin& origin);
/// Whether the files it relies on are there as they were.
bool matches(const ImageOrigin& origin, const HeadChunkFiles& chunks);

/// Writes images of the head now and then, and makes them known when the log can be relied on as
/// far as they reach. Of the maintenance thread.
class HeadImageKeeper final {
 public:
  HeadImageKeeper(FileSystem& files, ImagePaths paths, const Options& options, const Head& head,
                  const HeadChunkFiles& chunks, Logger& log)
      : files_(files),
        paths_(std::move(paths)),
        options_(options),
        head_(head),
        chunks_(chunks),
        log_(log) {}

  /// The head was made from this image.
  void begin_with(const ImageOrigin& origin) { newest_end_ = origin.log_end; }

  /// What an image needs to know of the rest of the database.
  struct Surroundings {
    Timestamp served_until;
    LogPosition appended;
    LogPosition followable;
  };
  /// Does what is due. Says when to call again.
  Timestamp run_due(Timestamp now, const Surroundings& around);
  /// What an image relies on was removed: the one on disk is good for nothing any more, and another
  /// is due.
  void invalidate();
  /// Writes an image at once. REQUIRES: the log can be relied on to its end.
  void write_last(const Surroundings& around);

  struct Metrics {
    Counter written;
    Counter failed;
    Counter discarded;
    Gauge bytes;
  };
  Metrics& metrics() { return metrics_; }
  void collect(MetricWriter& out) const;

 private:
  struct Pending {
    std::unique_ptr<HeadImageWriter> writer;
    ImageOrigin origin;
  };
  bool is_due(Timestamp now, LogPosition appended) const;
  Status begin(const Surroundings& around);
  Status publish();
  void note(const Status& status);

  FileSystem& files_;
  const ImagePaths paths_;
  const Options& options_;
  const Head& head_;
  const HeadChunkFiles& chunks_;
  Logger& log_;
  Metrics metrics_;
  std::optional<Pending> pending_;
  LogPosition newest_end_;               // Of the last image.
  std::optional<Timestamp> last_begin_;  // When one was begun last.
  std::uint64_t last_bytes_ = 0;
  bool is_invalid_ = false;
};

}  // namespace tarsier::tsdb
