#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "tracing/kept_trace.h"
#include "tracing/span.h"
#include "tracing/trace_id.h"

namespace tarsier::tracing {

class TraceStore;

/// A moment range of spans, both ends inclusive.
struct NanosRange {
  UnixNanos begin_ns = 0;
  UnixNanos end_ns = std::numeric_limits<UnixNanos>::max();
};

/// A value as answers show it.
struct ShownValue {
  enum class Kind : unsigned char { kText, kInt, kDouble, kBool, kArray };
  Kind kind = Kind::kText;
  std::string text;
  std::int64_t integer = 0;  ///< Also of bools.
  double real = 0;
  std::vector<ShownValue> elements;
};
using ShownAttributes = std::vector<std::pair<std::string, ShownValue>>;

struct MatchedSpan {
  SpanId id;
  std::string name;
  UnixNanos start_ns = 0;
  std::uint64_t duration_ns = 0;
  ShownAttributes attributes;  ///< What the query mentions and the span has.
};

struct MatchedSet {
  std::vector<MatchedSpan> spans;  ///< The first ones.
  std::uint64_t matched = 0;       ///< All.
  ShownAttributes attributes;      ///< Of by() and aggregates.
};

struct ServiceCounts {
  std::uint32_t spans = 0;
  std::uint32_t errors = 0;
};

struct MatchedTrace {
  TraceId id;
  bool is_undecided = false;  ///< Still in the buffer: it may not be kept.
  bool has_root = false;
  std::string root_service;
  std::string root_name;
  UnixNanos start_ns = 0;
  std::uint64_t duration_ns = 0;
  std::vector<MatchedSet> sets;
  std::uint32_t orphans = 0;  ///< Spans whose parent is not held.
  std::map<std::string, ServiceCounts> services;
};

/// What a query looked at.
struct QueryCosts {
  std::uint64_t traces = 0;
  std::uint64_t spans = 0;
  std::uint64_t bytes = 0;   ///< As stored.
  std::uint64_t parts = 0;   ///< Opened.
  std::uint64_t pruned = 0;  ///< Passed over by their directory.
};

struct SearchRequest {
  std::string query = "{}";  ///< TraceQL.
  NanosRange range;
  std::size_t limit = 20;
  std::size_t spans_per_set = 3;  ///< 0: all.
};

struct SearchAnswer {
  std::vector<MatchedTrace> traces;  ///< The newest first.
  QueryCosts costs;
  std::string problem;  ///< Damage that was met; what could be read is in the answer.
};

/// What one label of a series is, and the series themselves.
struct SpanSeries {
  ShownAttributes labels;
  std::vector<std::pair<std::int64_t, double>> points;  ///< Timestamp in ms.
  struct Exemplar {
    std::string trace_id;
    double value = 0;
    std::int64_t timestamp_ms = 0;
  };
  std::vector<Exemplar> exemplars;
};

struct MetricsRequest {
  std::string query;
  std::int64_t start_ns = 0;
  std::int64_t end_ns = 0;
  std::int64_t step_ns = 0;  ///< 0: one value for the whole range.
  std::size_t exemplars_max = 0;
  std::size_t series_max = 1000;
  std::size_t bytes_max = std::size_t{256} << 20;  ///< Of what is counted; the rest is left out.
};

struct MetricsAnswer {
  std::vector<SpanSeries> series;
  QueryCosts costs;
  bool is_partial = false;
  std::string message;
};

/// A whole trace; the spans borrow from what it owns.
struct WholeTrace {
  TraceId id;
  bool is_undecided = false;
  std::vector<KeptSpan> spans;  ///< By start time.
  std::vector<std::shared_ptr<void>> owners;
  std::string problem;
};

struct TagNames {
  std::string scope;
  std::vector<std::string> names;
};

struct TagValue {
  std::string type;  ///< string, int, float, bool, duration, keyword
  std::string value;
  auto operator<=>(const TagValue&) const = default;
};

struct ServiceOperation {
  std::string name;
  SpanKind kind = SpanKind::kUnspecified;
  auto operator<=>(const ServiceOperation&) const = default;
};

struct ServiceCall {
  std::string caller;
  std::string callee;
  std::uint64_t count = 0;
};

/// Answers questions about stored traces, and about those still undecided: the core that the APIs
/// of Tempo, Jaeger and ourselves share. Any number of threads.
class TraceQueries final {
 public:
  /// `undecided` may be null. Both must outlive this.
  TraceQueries(const TraceStore& store, const UndecidedTraces* undecided)
      : store_(store), undecided_(undecided) {}

  /// kInvalid when the query is wrong, kCancelled when the asker is gone.
  Result<SearchAnswer> search(const SearchRequest& request, const CancelToken& cancel) const;
  Result<MetricsAnswer> metrics(const MetricsRequest& request, const CancelToken& cancel) const;
  /// Without spans when there is no such trace.
  WholeTrace find(TraceId id) const;
  Result<std::vector<TagNames>> tags(NanosRange range) const;
  /// `tag` as TraceQL writes it; `filter` narrows it (its readable conditions). At most `limit`.
  Result<std::vector<TagValue>> tag_values(const std::string& tag, const std::string& filter,
                                           NanosRange range, std::size_t limit,
                                           const CancelToken& cancel) const;
  Result<std::vector<std::string>> services(NanosRange range = {}) const;
  Result<std::vector<ServiceOperation>> operations(const std::string& service) const;
  Result<std::vector<ServiceCall>> dependencies(NanosRange range) const;

 private:
  const TraceStore& store_;
  const UndecidedTraces* undecided_;
};

/// The trace as OTLP protobuf (TracesData, which is Tempo's Trace): spans with the same resource
/// and scope side by side.
std::string encode_trace(const WholeTrace& trace);

}  // namespace tarsier::tracing
