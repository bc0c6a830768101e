#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::tsdb {

/// Where blocks are shipped to: objects by name, whole or not there. Calls block until the bucket
/// has answered. One thread at a time.
class Bucket {
 public:
  virtual ~Bucket() = default;
  /// For people: "s3://blocks at minio:9000".
  virtual std::string description() const = 0;
  /// The objects whose names begin with `prefix`, at least the first thousand, and their sizes.
  virtual Result<std::map<std::string, std::uint64_t>> list(const std::string& prefix) = 0;
  /// Creates or replaces an object; it is safe when this returns.
  virtual Status put(const std::string& name, std::string_view content) = 0;
  virtual Status put_file(const std::string& name, const ReadableFile& file) = 0;
};

/// A directory as bucket: object `a/b` is the file `<directory>/a/b`.
std::unique_ptr<Bucket> make_directory_bucket(FileSystem& files, std::string directory);

struct ShipperOptions {
  std::string data_directory;
  /// The list of blocks that are shipped (ShippingOptions::list_path); kept by the shipper.
  std::string list_path;
  /// Before every name in the bucket, with its slash; or empty.
  std::string prefix;
  /// Tells the SHA-256 of every file in meta.json, which costs reading it once more.
  bool has_hashes = false;
};

/// What users want to know of a shipper.
struct ShipperStatus {
  std::string bucket;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::string> uploaded;  ///< Of the blocks still here.
  std::vector<std::string> waiting;
  std::string current;  ///< The block being uploaded; or empty.
  std::uint64_t uploaded_blocks = 0;
  std::uint64_t uploaded_bytes = 0;
  Timestamp last_upload = kMinTimestamp;
  std::string last_error;  ///< Of the last pass; empty if it went well.
};

/// Ships blocks of level 1 to a bucket, oldest first, as a Thanos sidecar does: chunks, index, and
/// meta.json with a `thanos` section last, so that a block without one is no block yet. A block
/// whose files are there in part is gone on with. After a failure the bucket is asked again later,
/// ever more seldom. `run_due` on one thread, everything else from any.
class Shipper final {
 public:
  Shipper(FileSystem& files, ShipperOptions options, Bucket& bucket, Logger& log);

  /// External labels, which name this server in the bucket. Without any nothing is shipped.
  void set_labels(std::vector<std::pair<std::string, std::string>> labels);
  /// One pass over the data directory, if it is due. Says when to call again.
  Timestamp run_due(Timestamp now);
  /// Ends a running pass after the object it is at.
  void cancel() { is_cancelled_.store(true); }

  ShipperStatus status() const;
  void collect(MetricWriter& out) const;

 private:
  struct Candidate;
  Result<std::vector<Candidate>> candidates();
  Status pass(Timestamp now);
  Status ship(const Candidate& block, Timestamp now);
  Status put_file(const std::string& name, const ReadableFile& file,
                  const std::map<std::string, std::uint64_t>& there);
  void note_error(const std::string& text);

  FileSystem& files_;
  const ShipperOptions options_;
  Bucket& bucket_;
  Logger& log_;
  std::atomic<bool> is_cancelled_{false};
  Timestamp due_ = kMinTimestamp;  // Of the shipper's thread, as the next.
  int failures_in_a_row_ = 0;

  struct Metrics {
    Counter syncs;
    Counter syncs_failed;
    Counter uploads;
    Counter uploads_failed;
    Counter bytes;
    Counter resumed;
  };
  Metrics metrics_;
  mutable Mutex mutex_;
  ShipperStatus status_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tsdb
