#pragma once

#include <memory>

#include "ingest/discovery.h"

namespace tarsier::ingest {

/// The records of some names, asked for at each refresh. A name that does not exist loses its
/// targets; when nobody can say, it keeps them.
class DnsDiscovery final : public Discovery {
 public:
  DnsDiscovery(DnsDiscoveryConfig config, const DiscoveryDoor& door,
               std::shared_ptr<DiscoveryMetrics> metrics);
  Timestamp run_due(Timestamp now) override;

 private:
  const std::shared_ptr<const DnsDiscoveryConfig> config_;
  const DiscoveryDoor& door_;
  const std::shared_ptr<DiscoveryMetrics> metrics_;
  Timestamp due_ = kMinTimestamp;
};

}  // namespace tarsier::ingest
