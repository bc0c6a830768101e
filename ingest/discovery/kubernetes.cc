#include "ingest/discovery/kubernetes.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "ingest/discovery/kubernetes/targets.h"

namespace tarsier::ingest {
namespace {

constexpr Duration kConnectRetry = seconds(10);

KubeKind kind_of(KubernetesRole role) {
  switch (role) {
    case KubernetesRole::kNode: return KubeKind::kNode;
    case KubernetesRole::kService: return KubeKind::kService;
    case KubernetesRole::kPod: return KubeKind::kPod;
    case KubernetesRole::kEndpoints: return KubeKind::kEndpoints;
    case KubernetesRole::kEndpointSlice: return KubeKind::kEndpointSlice;
    case KubernetesRole::kIngress: return KubeKind::kIngress;
  }
  return KubeKind::kPod;
}

std::string source_of(KubeKind kind, const std::string& key) {
  return fmt::format("{}/{}", kube_kind_name(kind), key);
}

}  // namespace

std::string_view kubernetes_role_name(KubernetesRole role) { return kube_kind_name(kind_of(role)); }

std::unique_ptr<Discovery> KubernetesDiscoveryConfig::make(
    const DiscoveryDoor& door, const DiscoveryMetricsPtr& metrics) const {
  return std::make_unique<KubernetesDiscovery>(*this, door, metrics);
}

void KubernetesMetrics::collect(MetricWriter& out) const {
  static constexpr std::string_view kEvents[] = {"add", "delete", "update"};
  // Those that are roles.
  static_assert(static_cast<std::size_t>(KubeKind::kIngress) == 5);
  for (std::size_t kind = 0; kind <= static_cast<std::size_t>(KubeKind::kIngress); ++kind) {
    for (std::size_t event = 0; event < 3; ++event) {
      out.counter(
          "prometheus_sd_kubernetes_events_total", "The number of Kubernetes events handled.",
          static_cast<double>(events[kind][event].value()),
          {{"event", kEvents[event]}, {"role", kube_kind_name(static_cast<KubeKind>(kind))}});
    }
  }
  out.counter("prometheus_sd_kubernetes_failures_total",
              "The number of failed WATCH/LIST requests.", static_cast<double>(failures.value()));
}

KubernetesDiscovery::KubernetesDiscovery(KubernetesDiscoveryConfig config,
                                         const DiscoveryDoor& door,
                                         const DiscoveryMetricsPtr& metrics, Limits limits)
    : config_(std::move(config)),
      door_(door),
      metrics_(metrics->of_kind<KubernetesMetrics>()),
      limits_(limits),
      main_kind_(kind_of(config_.role)),
      store_(limits.store_bytes_max) {}

/// One watch per namespace asked for.
void KubernetesDiscovery::add_watches(KubeKind kind, bool is_namespaced) {
  std::vector<std::string> spaces = is_namespaced ? config_.namespaces : std::vector<std::string>();
  if (is_namespaced && config_.own_namespace) spaces.push_back(access_->own_namespace);
  std::sort(spaces.begin(), spaces.end());
  spaces.erase(std::unique(spaces.begin(), spaces.end()), spaces.end());
  if (spaces.empty()) spaces.emplace_back();
  KubeResource resource{.kind = kind, .name_space = {}, .label_selector = {}, .field_selector = {}};
  for (const KubernetesSelector& selector : config_.selectors) {
    if (kind_of(selector.role) != kind) continue;
    resource.label_selector = selector.label;
    resource.field_selector = selector.field;
  }
  for (const std::string& space : spaces) {
    resource.name_space = space;
    watches_.push_back(std::make_unique<KubeWatch>(KubeWatch::Doors{.client = door_.client,
                                                                    .log = door_.log,
                                                                    .wake = door_.wake,
                                                                    .user_agent = door_.user_agent},
                                                   limits_.watch, resource));
  }
}

Status KubernetesDiscovery::connect() {
  access_ = TRY(kube_access(config_, door_));
  const bool is_node = main_kind_ == KubeKind::kNode;
  const bool has_pods = main_kind_ == KubeKind::kPod || main_kind_ == KubeKind::kEndpoints ||
                        main_kind_ == KubeKind::kEndpointSlice;
  add_watches(main_kind_, !is_node);
  if (has_pods && main_kind_ != KubeKind::kPod) {
    add_watches(KubeKind::kService, true);
    add_watches(KubeKind::kPod, true);
  }
  const auto& attach = config_.attach;
  if (has_pods && attach.node) add_watches(KubeKind::kNode, false);
  if (!is_node && attach.name_space) add_watches(KubeKind::kNamespace, false);
  if (has_pods && attach.deployment) add_watches(KubeKind::kReplicaSet, true);
  if (has_pods && attach.cron_job) add_watches(KubeKind::kJob, true);
  return {};
}

bool KubernetesDiscovery::has_news() const {
  return std::any_of(watches_.begin(), watches_.end(),
                     [](const auto& watch) { return watch->has_news(); });
}

void KubernetesDiscovery::apply(KubeChange change) {
  const KubeId id = change.id;
  auto& events = metrics_->events[static_cast<std::size_t>(id.first)];
  if (change.object) {
    const KubeStore::Outcome outcome = store_.put(std::move(*change.object));
    if (outcome == KubeStore::Outcome::kRefused) {
      if (!std::exchange(is_full_, true)) {
        door_.log.error("Kubernetes has more objects than are kept",
                        {{"discovery", "kubernetes"},
                         {"bytes", fmt::format("{}", store_.byte_count())},
                         {"first_refused", source_of(id.first, id.second)}});
      }
      return;
    }
    events[outcome == KubeStore::Outcome::kAdded ? KubernetesMetrics::kAdd
                                                 : KubernetesMetrics::kUpdate]
        .add();
  } else {
    if (!store_.erase(id)) return;
    is_full_ = false;
    events[KubernetesMetrics::kDelete].add();
  }
  if (id.first == main_kind_) dirty_.insert(id.second);
  const auto users = users_.find(id);
  if (users != users_.end()) dirty_.insert(users->second.begin(), users->second.end());
}

void KubernetesDiscovery::build(const std::string& key) {
  std::set<KubeId>& used = used_by_key_[key];
  for (const KubeId& id : used) {
    const auto users = users_.find(id);
    users->second.erase(key);
    if (users->second.empty()) users_.erase(users);
  }
  const KubeObject* const object = store_.find(main_kind_, key);
  KubeTargets built;
  if (object) built = kube_targets(*object, store_, config_.attach);
  for (const KubeId& id : built.used) users_[id].insert(key);
  used = std::move(built.used);
  if (!object) used_by_key_.erase(key);
  table()->set(source_of(main_kind_, key), std::move(built.groups));
}

void KubernetesDiscovery::build_dirty() {
  const bool is_complete = std::all_of(watches_.begin(), watches_.end(),
                                       [](const auto& watch) { return watch->is_synced(); });
  if (!is_complete) return;
  for (const std::string& key : std::exchange(dirty_, {})) build(key);
  if (!std::exchange(is_synced_, true)) table()->set_ready();
}

Timestamp KubernetesDiscovery::run_due(Timestamp now) {
  if (!access_) {
    if (now < connect_due_) return connect_due_;
    if (const Status status = connect(); !status.ok()) {
      metrics_->failures.add();
      door_.log.error("Kubernetes cannot be reached",
                      {{"discovery", "kubernetes"}, {"err", status.message()}});
      table()->set_error(status.message());
      table()->set_ready();
      return connect_due_ = now + kConnectRetry;
    }
  }
  Timestamp next = kNever;
  std::uint64_t failure_count = 0;
  for (const auto& watch : watches_) {
    for (KubeChange& change : watch->take()) apply(std::move(change));
    next = std::min(next, watch->run_due(now, *access_));
    // What a list found to be gone comes with its end.
    for (KubeChange& change : watch->take()) apply(std::move(change));
    failure_count += watch->failure_count();
  }
  metrics_->failures.add(failure_count - failures_told_);
  failures_told_ = failure_count;
  // Whoever cannot be asked must not hold up the other discoveries of a job.
  if (failure_count > 0) table()->set_ready();
  build_dirty();
  // Kept apart from what is set above: a target that changes says nothing about the other watches.
  std::string error;
  for (const auto& watch : watches_) {
    if (error.empty()) error = watch->last_error();
  }
  table()->set_error(std::move(error));
  return next;
}

}  // namespace tarsier::ingest
