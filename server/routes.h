#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/http.h"
#include "base/thread_pool.h"
#include "ingest/api.h"
#include "server/router.h"
#include "tsdb/db.h"
#include "tsdb/opening.h"

namespace tarsier::query {
class Api;
class QueryMonitor;
}  // namespace tarsier::query
namespace tarsier::ingest {
class TenantWrites;
}  // namespace tarsier::ingest

namespace tarsier::server {

class AlertingWiring;
class EarlyReads;
class FairPool;
struct Config;
class Flags;
class Notifications;
class SamplingWiring;
class SelfMetrics;
class TraceStorage;
class TracingWiring;

/// What the routes serve from. The rooms exist once the router is kReady and until after the server
/// has drained; routes that need no readiness touch only the first group.
struct Doors {
  const Flags& flags;
  const SelfMetrics& self;
  std::function<std::string()> metrics;                   ///< /metrics, whatever exists by now.
  std::function<std::string()> config_yaml;               ///< The configuration in force.
  std::function<std::shared_ptr<const Config>()> config;  ///< The same as data.
  /// Reads the configuration again and tells how it went, later and on another thread.
  std::function<void(std::function<void(Status)>)> reload;
  std::function<void()> quit;
  /// Runs a task on the thread that maintains storage, after what it is doing now.
  std::function<void(std::function<void()>)> maintain;
  std::function<bool()> is_ready;
  /// The answer to whoever comes too early.
  std::function<HttpResponse()> unavailable;
  const tsdb::Opening* opening = nullptr;
  const EarlyReads* early = nullptr;
  ThreadPool* query_pool = nullptr;  ///< For whatever reads without running a query.
  FairPool* queries = nullptr;       ///< For queries.
  query::QueryMonitor* monitor = nullptr;
  /// Expires the token at that moment.
  std::function<void(const std::shared_ptr<CancelToken>&, Timestamp)> expire_at;
  Duration query_timeout{0};
  std::function<std::vector<std::pair<std::string, std::string>>()> external_labels;
  Notifications* notifications = nullptr;

  tsdb::Db* db = nullptr;
  const query::Api* query = nullptr;
  ingest::ScrapeManager* scrapes = nullptr;
  ingest::TenantWrites* writes = nullptr;
  const AlertingWiring* alerting = nullptr;
  const TraceStorage* traces = nullptr;
  const SamplingWiring* sampling = nullptr;
  TracingWiring* tracing = nullptr;
  ingest::ExternalAddress external;
  std::string external_path;  ///< Of the URL users reach us under: "" or "/p".
  std::string storage_retention;
  Duration longest_block{0};  ///< Compaction stops there.
};

/// Adds every route of the server. `doors` must outlive the router's last request.
void add_routes(Router& router, const Doors& doors);

}  // namespace tarsier::server
