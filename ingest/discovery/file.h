#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ingest/discovery.h"

namespace tarsier::ingest {

/// Target lists in files: read when a watched directory changes and at each refresh. A broken file
/// keeps its last targets, one that is gone loses them.
class FileDiscovery final : public Discovery {
 public:
  FileDiscovery(FileDiscoveryConfig config, const DiscoveryDoor& door,
                std::shared_ptr<DiscoveryMetrics> metrics);
  Timestamp run_due(Timestamp now) override;
  void files_changed() override { due_ = kMinTimestamp; }
  std::vector<std::string> directories() const override;

 private:
  std::vector<std::string> matching_files() const;
  Result<std::vector<TargetGroup>> read(const std::string& path) const;

  const FileDiscoveryConfig config_;
  const DiscoveryDoor& door_;
  const std::shared_ptr<DiscoveryMetrics> metrics_;
  Timestamp due_ = kMinTimestamp;
};

}  // namespace tarsier::ingest
