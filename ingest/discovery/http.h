#pragma once

#include <memory>

#include "ingest/discovery.h"

namespace tarsier::ingest {

/// A target list from a server, asked for at each refresh. After any failure the last list stays.
class HttpDiscovery final : public Discovery {
 public:
  HttpDiscovery(HttpDiscoveryConfig config, const DiscoveryDoor& door,
                std::shared_ptr<DiscoveryMetrics> metrics);
  Timestamp run_due(Timestamp now) override;

 private:
  const std::shared_ptr<const HttpDiscoveryConfig> config_;
  const DiscoveryDoor& door_;
  const std::shared_ptr<DiscoveryMetrics> metrics_;
  Timestamp due_ = kMinTimestamp;
};

}  // namespace tarsier::ingest
