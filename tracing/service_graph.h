#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"
#include "tracing/generated_series.h"
#include "tracing/span_door.h"

namespace tarsier::tracing {

/// The section `traces.service_graph`, as Tempo's generator names it.
struct ServiceGraphOptions {
  // What changes behaviour.

  bool enabled = true;
  /// How long half an edge waits for the other half.
  Duration wait = seconds(10);
  /// Attributes that become labels: as they are, or client_ and server_ before them, by the half.
  std::vector<std::string> dimensions;
  bool enable_client_server_prefix = false;
  bool enable_messaging_system_latency_histogram = false;
  bool enable_virtual_node_label = false;
  /// Of a client span without a server half: the first that is there names the server.
  std::vector<std::string> peer_attributes = {"peer.service", "db.name", "db.system",
                                              "db.system.name"};
  std::vector<double> histogram_buckets = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8};
  bool has_classic_histograms = true;
  bool has_native_histograms = false;
  Duration interval = seconds(15);
  Duration stale_after = minutes(15);

  // What bounds cost.

  /// Halves that wait; further ones are dropped and counted.
  std::size_t max_items = 100'000;
  /// Series of this family; beyond it new edges are counted under `__other__`.
  std::size_t active_series_max = 100'000;

  bool operator==(const ServiceGraphOptions&) const = default;
};

/// Who calls whom, how often, how long and with what errors: pairs the client span of a call with
/// its server span (and producer with consumer) and counts the edge when both are there. Calls of
/// databases are complete with the client span; a server span that is a root, and a client span
/// nobody answered but that names its peer, make an edge with a virtual node. Each edge adds the
/// exact weight of its spans. Any number of threads observe; run_due() is for one.
class ServiceGraph final : public SpanObserver {
 public:
  struct Doors {
    std::function<std::unique_ptr<tsdb::Appender>()> make_appender;
    HashKey hash_key;
    Logger* log = nullptr;
  };
  ServiceGraph(ServiceGraphOptions options, Doors doors, Timestamp now);
  ~ServiceGraph() override;

  void observe(const SpanBatch& batch, const SpanAdmission& admission, Timestamp now) override;
  /// Gives up halves that waited too long, and writes to storage once per interval; when next.
  Timestamp run_due(Timestamp now);
  /// Writes what there is: at the end.
  void write(Timestamp now);

  const ServiceGraphOptions& options() const { return options_; }
  void collect(MetricWriter& out) const;

 private:
  struct Half;
  struct Edge;
  struct EdgeKey {
    TraceId trace_id;
    SpanId client_span;  ///< Of the caller: the parent of the callee.
    bool operator==(const EdgeKey&) const = default;
  };
  struct EdgeKeyHash {
    std::size_t operator()(const EdgeKey& key) const noexcept {
      return TraceIdHash()(key.trace_id) ^ (key.client_span.value * 0x9E3779B97F4A7C15);
    }
  };
  struct Waiting {
    Timestamp until;
    EdgeKey key;
  };

  std::unique_ptr<Half> read_half(const SpanBatch& batch, const SpanRecord& span) const;
  Edge edge_alone(Half& half) const;
  static Edge edge_of(Half& client, Half& server);
  void count(const Edge& edge, Timestamp now);
  tsdb::Labels labels_of(const Edge& edge) const;
  void expire(Timestamp now);

  const ServiceGraphOptions options_;
  const Doors doors_;
  const KeyedHash hash_;
  std::vector<std::string> dimension_labels_;
  GeneratedSeries series_;
  Timestamp next_;

  mutable Mutex mutex_;
  std::unordered_map<EdgeKey, std::unique_ptr<Half>, EdgeKeyHash> halves_ GUARDED_BY(mutex_);
  std::deque<Waiting> queue_ GUARDED_BY(mutex_);  ///< In the order of coming; may name paired ones.

  Counter edges_;
  Counter unpaired_;
  Counter dropped_;
  Counter overflowed_;
  Counter failures_;
};

}  // namespace tarsier::tracing
