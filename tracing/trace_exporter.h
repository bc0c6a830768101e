#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "base/time.h"
#include "tracing/kept_trace.h"
#include "tracing/span_door.h"

namespace tarsier::tracing {

enum class ExportCompression : unsigned char { kNone, kGzip, kZstd };

/// `traces.export`: where traces are sent on, by OTLP/HTTP in protobuf.
struct TraceExportOptions {
  std::string url;      ///< Whole, with /v1/traces.
  bool is_all = false;  ///< Every span that is received, not only those of kept traces.
  ExportCompression compression = ExportCompression::kGzip;
  Duration timeout = seconds(10);
  /// On disk, of what the other side has not taken yet. What comes beyond is not sent on.
  std::uint64_t queue_bytes_max = std::uint64_t{1} << 30;
  HttpClientConfig http;
  bool operator==(const TraceExportOptions&) const = default;
};

/// Sends traces on to another backend, on their way to the store of kept traces or as they are
/// received. What is to be sent waits in a queue on disk (a span log, FORMAT.md), so that a backend
/// that is away for long and kill -9 lose nothing; what was sent just before an end may be sent
/// again. The order is that of arrival, one request at a time. Requests that fail, and answers 408,
/// 429 and 5xx, are repeated for ever, after what Retry-After says or growing pauses; other answers
/// are final: the request is given up and counted. keep() and observe() come from any thread,
/// apply() and run_due() from one.
class TraceExporter final : public KeptTraceSink, public SpanObserver {
 public:
  struct Doors {
    FileSystem& files;
    HttpClient& client;
    KeptTraceSink& store;        ///< Has everything first.
    std::function<void()> wake;  ///< Has run_due called soon. Any thread.
    Logger& log;
  };
  /// The queue lives in `directory`, which is made when it is needed. What is in it is sent once
  /// there are options.
  TraceExporter(Doors doors, std::string directory);
  ~TraceExporter() override;

  /// Nothing: what is queued stays, nothing is added or sent. The error is that of the disk; then
  /// traces are not sent on.
  Status apply(std::optional<TraceExportOptions> options);

  Status keep(std::span<const KeptTrace> traces, Timestamp now) override;
  Status sync() override;
  void observe(const SpanBatch& batch, const SpanAdmission& admission, Timestamp now) override;

  /// Sends what is due; says when to be called again.
  Timestamp run_due(Timestamp now);
  void collect(MetricWriter& out) const;

 private:
  struct State;
  /// Answers may come after this is gone.
  const std::shared_ptr<State> state_;
};

}  // namespace tarsier::tracing
