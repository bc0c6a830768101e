#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ingest/discovery.h"
#include "ingest/discovery/kubernetes/watch.h"

namespace tarsier::ingest {

/// What Prometheus counts of this kind of discovery.
struct KubernetesMetrics final : DiscoveryKindMetrics {
  enum Event : unsigned char { kAdd, kDelete, kUpdate };
  Counter failures;  ///< Of lists and watches.
  std::array<std::array<Counter, 3>, kKubeKindCount> events;
  void collect(MetricWriter& out) const override;
};

/// Targets from the API of Kubernetes, which tells of each change at once. While the API cannot be
/// asked, what was known stays. What one object means is built again when it, or another one it
/// was built from, has changed.
class KubernetesDiscovery final : public Discovery {
 public:
  struct Limits {
    std::size_t store_bytes_max = std::size_t{1} << 30;
    KubeWatchOptions watch;
  };
  KubernetesDiscovery(KubernetesDiscoveryConfig config, const DiscoveryDoor& door,
                      const DiscoveryMetricsPtr& metrics, Limits limits);
  KubernetesDiscovery(KubernetesDiscoveryConfig config, const DiscoveryDoor& door,
                      const DiscoveryMetricsPtr& metrics)
      : KubernetesDiscovery(std::move(config), door, metrics, Limits()) {}
  Timestamp run_due(Timestamp now) override;
  bool has_news() const override;

 private:
  Status connect();
  void add_watches(KubeKind kind, bool is_namespaced);
  void apply(KubeChange change);
  void build(const std::string& key);
  void build_dirty();

  const KubernetesDiscoveryConfig config_;
  const DiscoveryDoor& door_;
  const std::shared_ptr<KubernetesMetrics> metrics_;
  const Limits limits_;
  const KubeKind main_kind_;
  std::optional<KubeAccess> access_;
  Timestamp connect_due_ = kMinTimestamp;
  std::vector<std::unique_ptr<KubeWatch>> watches_;
  std::uint64_t failures_told_ = 0;
  KubeStore store_;
  bool is_full_ = false;
  bool is_synced_ = false;
  // Objects of the main kind that are to be built, and by which other objects each is affected.
  std::set<std::string> dirty_;
  std::map<std::string, std::set<KubeId>> used_by_key_;
  std::map<KubeId, std::set<std::string>> users_;
};

}  // namespace tarsier::ingest
