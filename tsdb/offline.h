#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "tsdb/db.h"
#include "tsdb/options.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// A data directory looked at from outside: nothing is locked, written or repaired, so it may be
/// one that a server is using (what it writes meanwhile may or may not be seen). What cannot be
/// read is reported and left out. Any number of threads.
class OfflineDb final : public Queryable {
 public:
  enum class Scope : unsigned char { kBlocks, kBlocksAndLog };
  /// kNotFound when there is no such directory.
  static Result<std::unique_ptr<OfflineDb>> open(FileSystem& files, const std::string& directory,
                                                 Scope scope, Logger& log);
  ~OfflineDb() override;

  /// By time. Without those that were folded into another.
  std::vector<BlockSummary> blocks() const;
  Result<std::unique_ptr<Querier>> querier(TimeRange range) override;

 private:
  struct Impl;
  explicit OfflineDb(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::tsdb
