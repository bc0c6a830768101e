#include "tracing/service_graph.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "tracing/span_metrics.h"

namespace tarsier::tracing {
namespace {

constexpr std::string_view kOther = "__other__";
constexpr std::string_view kUnknownService = "unknown_service";
constexpr std::string_view kUser = "user";
constexpr std::string_view kSharedAttribute = "zipkin.shared";
/// How many halves are given up under one hold of the lock.
constexpr std::size_t kExpireBatch = 1024;
constexpr std::size_t kQueueSlack = 4096;
/// Gaps of this size between two looks for halves to give up.
constexpr Duration kExpirePeriod = seconds(1);

SeriesForm form_of(const ServiceGraphOptions& options) {
  SeriesForm form;
  form.counters = {"traces_service_graph_request_total",
                   "traces_service_graph_request_failed_total"};
  const LatencyBuckets buckets{
      .bounds = options.has_classic_histograms ? options.histogram_buckets : std::vector<double>(),
      .has_native = options.has_native_histograms};
  form.histograms.push_back({"traces_service_graph_request_server_seconds", buckets});
  form.histograms.push_back({"traces_service_graph_request_client_seconds", buckets});
  if (options.enable_messaging_system_latency_histogram) {
    form.histograms.push_back({"traces_service_graph_request_messaging_system_seconds", buckets});
  }
  return form;
}

GeneratedSeries::Options series_options(const ServiceGraphOptions& options) {
  SeriesForm form = form_of(options);
  const std::size_t rows_max = std::max<std::size_t>(
      options.active_series_max / std::max<std::size_t>(form.series_per_row(), 1), 1);
  return {.form = std::move(form), .rows_max = rows_max, .stale_after = options.stale_after};
}

bool is_caller(SpanKind kind) { return kind == SpanKind::kClient || kind == SpanKind::kProducer; }
bool is_callee(SpanKind kind) { return kind == SpanKind::kServer || kind == SpanKind::kConsumer; }

double seconds_of(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

void put(std::string& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out += text;
}

void keep_first(AttributeValue& kept, const AttributeValue& value) {
  if (kept.kind == AttributeValue::Kind::kEmpty) kept = value;
}

std::string label_text(const AttributeValue& value) {
  std::string out;
  append_text(value, out);
  return span_label_value(out);
}

/// What a client span's attributes say of the database it called, and where that is.
class Peer final {
 public:
  void read(std::string_view key, const AttributeValue& value) {
    if (key.starts_with("db.")) {
      if (key == "db.namespace") keep_first(databases_[0], value);
      if (key == "db.name") keep_first(databases_[1], value);
      if (key == "db.system") keep_first(databases_[2], value);
      if (key == "db.system.name") keep_first(databases_[3], value);
    } else if (key == "peer.service") {
      keep_first(service_, value);
    } else if (key == "server.address") {
      keep_first(server_address_, value);
    } else if (key == "network.peer.address") {
      keep_first(address_, value);
    } else if (key == "network.peer.port") {
      keep_first(port_, value);
    }
  }

  /// What the database is called: its service, else its address, else its own name; empty if the
  /// span called none.
  std::string database() const {
    std::string name;
    for (const AttributeValue& one : databases_) {
      if (name.empty()) name = label_text(one);
    }
    if (name.empty()) return name;
    for (const AttributeValue* where : {&service_, &server_address_, &address_}) {
      std::string text = label_text(*where);
      if (text.empty()) continue;
      const bool has_port = where == &address_ && port_.kind != AttributeValue::Kind::kEmpty;
      return has_port ? text + ":" + label_text(port_) : text;
    }
    return name;
  }

 private:
  std::array<AttributeValue, 4> databases_;  // In the order they count.
  AttributeValue service_;
  AttributeValue server_address_;
  AttributeValue address_;
  AttributeValue port_;
};

}  // namespace

/// One end of a call, read from its span.
struct ServiceGraph::Half {
  bool is_client = false;
  bool is_messaging = false;
  bool is_database = false;
  bool is_failed = false;
  bool has_known_weight = false;
  bool is_shared = false;  ///< A Zipkin server span that goes by its client's id.
  double weight = 1;
  UnixNanos start_ns = 0;
  UnixNanos end_ns = 0;
  std::string service;
  std::string peer;      ///< What the span says of the other end.
  std::string database;  ///< A call of a database: what the server is called.
  std::vector<std::string> dimensions;
  std::uint64_t duration_ns() const { return end_ns > start_ns ? end_ns - start_ns : 0; }
};

struct ServiceGraph::Edge {
  std::string client;
  std::string server;
  std::string_view connection_type;
  std::string_view virtual_node;  ///< "client" or "server": which end is one.
  bool is_failed = false;
  double weight = 1;
  std::optional<double> client_seconds;
  std::optional<double> server_seconds;
  std::optional<double> messaging_seconds;
  std::vector<std::string> client_dimensions;
  std::vector<std::string> server_dimensions;
};

ServiceGraph::ServiceGraph(ServiceGraphOptions options, Doors doors, Timestamp now)
    : options_(std::move(options)),
      doors_(std::move(doors)),
      hash_(doors_.hash_key),
      series_(series_options(options_), now),
      next_(now + options_.interval) {
  for (const std::string& attribute : options_.dimensions) {
    std::string name = span_label_name(attribute);
    for (const std::string_view taken : {"client", "server", "connection_type", "virtual_node"}) {
      if (name == taken) name = "__" + name;
    }
    while (std::find(dimension_labels_.begin(), dimension_labels_.end(), name) !=
           dimension_labels_.end()) {
      name = "__" + name;
    }
    dimension_labels_.push_back(std::move(name));
  }
}

ServiceGraph::~ServiceGraph() = default;

std::unique_ptr<ServiceGraph::Half> ServiceGraph::read_half(const SpanBatch& batch,
                                                            const SpanRecord& span) const {
  const SpanResource& resource = batch.resource_of(span);
  auto half = std::make_unique<Half>();
  Half& out = *half;
  out.is_client = is_caller(span.kind);
  out.is_messaging = span.kind == SpanKind::kProducer || span.kind == SpanKind::kConsumer;
  out.is_failed = span.status == StatusCode::kError;
  bool is_unknown = false;
  out.weight = span_weight(span, &is_unknown);
  out.has_known_weight = !is_unknown;
  out.start_ns = span.start_ns;
  out.end_ns = span.end_ns;
  out.service = resource.service_name.empty() ? std::string(kUnknownService)
                                              : span_label_value(resource.service_name);
  out.dimensions.resize(options_.dimensions.size());
  const auto gather = [&](std::string_view key, const AttributeValue& value) {
    for (std::size_t i = 0; i < options_.dimensions.size(); ++i) {
      if (out.dimensions[i].empty() && options_.dimensions[i] == key) {
        append_text(value, out.dimensions[i]);
      }
    }
  };
  if (!options_.dimensions.empty()) for_each_resource_attribute(resource.wire, gather);
  // What names the other end: only of halves that may stand alone.
  const bool asks_for_peer = out.is_client || span.is_root();
  // Most server spans have a parent, and nothing among their attributes that would be read.
  const bool may_be_shared = span.wire.find(kSharedAttribute) != std::string_view::npos;
  if (!asks_for_peer && !may_be_shared && options_.dimensions.empty()) return half;
  std::vector<AttributeValue> peers(asks_for_peer ? options_.peer_attributes.size() : 0);
  Peer named;
  for_each_span_attribute(span.wire, [&](std::string_view key, const AttributeValue& value) {
    gather(key, value);
    if (key == kSharedAttribute) out.is_shared = value.integer != 0;
    if (!asks_for_peer) return;
    for (std::size_t i = 0; i < peers.size(); ++i) {
      if (options_.peer_attributes[i] == key) keep_first(peers[i], value);
    }
    if (out.is_client) named.read(key, value);
  });
  for (std::string& value : out.dimensions) value = span_label_value(value);
  for (const AttributeValue& peer : peers) {
    if (out.peer.empty()) out.peer = label_text(peer);
  }
  if (span.kind == SpanKind::kClient) out.database = named.database();
  out.is_database = !out.database.empty();
  return half;
}

ServiceGraph::Edge ServiceGraph::edge_of(Half& client, Half& server) {
  Edge out;
  out.client = std::move(client.service);
  out.server = std::move(server.service);
  const bool is_messaging = client.is_messaging || server.is_messaging;
  out.connection_type = is_messaging ? "messaging_system" : "";
  out.is_failed = client.is_failed || server.is_failed;
  if (client.has_known_weight != server.has_known_weight) {
    out.weight = client.has_known_weight ? client.weight : server.weight;
  } else {
    out.weight = std::max(client.weight, server.weight);
  }
  out.client_seconds = seconds_of(client.duration_ns());
  out.server_seconds = seconds_of(server.duration_ns());
  if (is_messaging) {
    out.messaging_seconds =
        server.start_ns > client.end_ns ? seconds_of(server.start_ns - client.end_ns) : 0;
  }
  out.client_dimensions = std::move(client.dimensions);
  out.server_dimensions = std::move(server.dimensions);
  return out;
}

/// An edge that has one half only, which it takes apart. REQUIRES: it names its other end, or is a
/// server's.
ServiceGraph::Edge ServiceGraph::edge_alone(Half& half) const {
  Edge out;
  out.is_failed = half.is_failed;
  out.weight = half.weight;
  const double took = seconds_of(half.duration_ns());
  if (half.is_client) {
    out.client = std::move(half.service);
    out.client_seconds = took;
    out.client_dimensions = std::move(half.dimensions);
    if (half.is_database) {
      out.server = std::move(half.database);
      out.connection_type = "database";
      out.server_seconds = took;
      return out;
    }
    out.server = std::move(half.peer);
    out.virtual_node = "server";
  } else {
    out.client = half.peer.empty() ? std::string(kUser) : std::move(half.peer);
    out.server = std::move(half.service);
    out.server_seconds = took;
    out.server_dimensions = std::move(half.dimensions);
    out.virtual_node = "client";
  }
  out.connection_type = "virtual_node";
  return out;
}

void ServiceGraph::observe(const SpanBatch& batch, const SpanAdmission& admission, Timestamp now) {
  std::vector<Edge> complete;
  std::vector<std::pair<EdgeKey, std::unique_ptr<Half>>> halves;
  for_each_admitted(batch, admission, [&](const SpanRecord& span) {
    if (!is_caller(span.kind) && !is_callee(span.kind)) return;
    std::unique_ptr<Half> half = read_half(batch, span);
    if (half->is_database || (!half->is_client && span.is_root() && !half->is_shared)) {
      return complete.push_back(edge_alone(*half));
    }
    const SpanId caller = half->is_client || half->is_shared ? span.span_id : span.parent_id;
    halves.emplace_back(EdgeKey{span.trace_id, caller}, std::move(half));
  });
  if (!halves.empty()) {
    const MutexLock lock(mutex_);
    for (auto& [key, half] : halves) {
      const auto found = halves_.find(key);
      if (found != halves_.end() && found->second->is_client != half->is_client) {
        Half& other = *found->second;
        complete.push_back(half->is_client ? edge_of(*half, other) : edge_of(other, *half));
        halves_.erase(found);
      } else if (found != halves_.end()) {
        // A second server span under one client span: a retry behind the caller's back.
        unpaired_.add();
      } else if (halves_.size() >= options_.max_items) {
        dropped_.add();
      } else {
        halves_.emplace(key, std::move(half));
        queue_.push_back({now + options_.wait, key});
      }
    }
    // Most halves pair at once and leave their place in the queue behind.
    if (queue_.size() > 2 * halves_.size() + kQueueSlack) {
      std::erase_if(queue_, [&](const Waiting& one)
                                REQUIRES_LOCK(mutex_) { return !halves_.contains(one.key); });
    }
  }
  for (const Edge& edge : complete) count(edge, now);
}

void ServiceGraph::expire(Timestamp now) {
  for (bool is_done = false; !is_done;) {
    std::vector<Edge> complete;
    {
      const MutexLock lock(mutex_);
      for (std::size_t i = 0; i < kExpireBatch; ++i) {
        if (queue_.empty() || queue_.front().until > now) {
          is_done = true;
          break;
        }
        const auto found = halves_.find(queue_.front().key);
        queue_.pop_front();
        if (found == halves_.end()) continue;
        const std::unique_ptr<Half> half = std::move(found->second);
        halves_.erase(found);
        if (half->is_client && !half->peer.empty()) {
          complete.push_back(edge_alone(*half));
        } else {
          unpaired_.add();
        }
      }
    }
    for (const Edge& edge : complete) count(edge, now);
  }
}

void ServiceGraph::count(const Edge& edge, Timestamp now) {
  edges_.add();
  const auto apply = [&](const Hash128& key) {
    return series_.update(key, now, [&](SeriesRow& row) {
      row.counters[0] += edge.weight;
      if (edge.is_failed) row.counters[1] += edge.weight;
      if (edge.server_seconds) row.histograms[0].observe(*edge.server_seconds, edge.weight);
      if (edge.client_seconds) row.histograms[1].observe(*edge.client_seconds, edge.weight);
      if (row.histograms.size() > 2 && edge.messaging_seconds) {
        row.histograms[2].observe(*edge.messaging_seconds, edge.weight);
      }
    });
  };
  std::string bytes;
  put(bytes, edge.client);
  put(bytes, edge.server);
  put(bytes, edge.connection_type);
  if (options_.enable_virtual_node_label) put(bytes, edge.virtual_node);
  // What dimensions become depends on the prefix: their labels are the key.
  if (!dimension_labels_.empty()) put(bytes, labels_of(edge).encoded());
  const Hash128 key = hash_.hash(bytes);
  if (apply(key)) return;
  if (series_.create(key, labels_of(edge), now) != GeneratedSeries::Creation::kFull) {
    apply(key);
    return;
  }
  overflowed_.add();
  Edge rest;
  rest.client = kOther;
  rest.server = kOther;
  rest.connection_type = edge.connection_type;
  const Hash128 rest_key = hash_.hash("overflow" + std::string(edge.connection_type));
  series_.create(rest_key, labels_of(rest), now, GeneratedSeries::Bound::kExceed);
  apply(rest_key);
}

tsdb::Labels ServiceGraph::labels_of(const Edge& edge) const {
  tsdb::LabelsBuilder out;
  for (std::size_t i = 0; i < dimension_labels_.size(); ++i) {
    const std::string_view client =
        edge.client_dimensions.empty() ? std::string_view() : edge.client_dimensions[i];
    const std::string_view server =
        edge.server_dimensions.empty() ? std::string_view() : edge.server_dimensions[i];
    if (options_.enable_client_server_prefix) {
      out.set("client_" + dimension_labels_[i], client);
      out.set("server_" + dimension_labels_[i], server);
    } else {
      out.set(dimension_labels_[i], client.empty() ? server : client);
    }
  }
  out.set("client", edge.client);
  out.set("server", edge.server);
  out.set("connection_type", edge.connection_type);
  if (options_.enable_virtual_node_label) out.set("virtual_node", edge.virtual_node);
  return out.build();
}

Timestamp ServiceGraph::run_due(Timestamp now) {
  expire(now);
  if (now >= next_) {
    write(now);
    next_ = now + options_.interval;
  }
  return std::min(next_, now + kExpirePeriod);
}

void ServiceGraph::write(Timestamp now) {
  const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
  series_.write(*appender, now);
  const Status status = appender->commit().status();
  if (status.ok()) return;
  failures_.add();
  if (doors_.log != nullptr) {
    doors_.log->warn("Writing the service graph failed", {{"err", status.message()}});
  }
}

void ServiceGraph::collect(MetricWriter& out) const {
  const std::size_t waiting = [this] {
    const MutexLock lock(mutex_);
    return halves_.size();
  }();
  out.gauge("tarsier_service_graph_waiting_spans", "Halves of edges that wait for the other half.",
            static_cast<double>(waiting));
  out.gauge("tarsier_service_graph_rows", "Edges that metrics are kept for.",
            static_cast<double>(series_.row_count()));
  const auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    out.counter(name, help, static_cast<double>(value));
  };
  counter("tarsier_service_graph_edges_total", "Calls counted.", edges_.value());
  counter("tarsier_service_graph_overflow_total", "Calls counted under __other__.",
          overflowed_.value());
  counter("tarsier_service_graph_series_refused_total", "Series that storage refused.",
          series_.refused_count());
  counter("tarsier_service_graph_write_failures_total", "Writes that failed as a whole.",
          failures_.value());
  counter("traces_service_graph_unpaired_spans_total",
          "Spans of calls whose other half did not come.", unpaired_.value());
  counter("traces_service_graph_dropped_spans_total",
          "Spans of calls dropped because too many were waiting.", dropped_.value());
}

}  // namespace tarsier::tracing
