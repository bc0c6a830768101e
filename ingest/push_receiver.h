#pragma once

#include <functional>
#include <memory>

#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "ingest/relabel.h"
#include "ingest/remote_write.h"

namespace tarsier::ingest {

struct PushOptions {
  NameValidation name_validation = NameValidation::kUtf8;
  /// As RemoteWriteOptions::future_max.
  Duration future_max = minutes(10);
  /// Of a body, decompressed (gzip and zstd are taken).
  std::size_t body_bytes_max = std::size_t{64} << 20;
  std::size_t samples_per_request_max = 1'000'000;
  /// Of one series, the name included.
  std::size_t labels_max = 100;
  Duration retry_after = seconds(5);
};

/// Line formats that agents push: InfluxDB's line protocol, VictoriaMetrics' JSON lines, the
/// Prometheus text format. What can be stored is stored and answered when it is durable: 204 says
/// that this was everything, 400 names the first line or sample that was not. 503 says that nothing
/// was and a retry is worth it. Any number of threads.
class PushReceiver final {
 public:
  /// `log` must outlive the receiver.
  PushReceiver(WriteDoor door, const PushOptions& options, Logger& log);
  ~PushReceiver();

  /// May answer after the receiver is gone.
  void handle_influx(HttpRequest request, HttpResponder respond);      ///< Versions 1 and 2.
  void handle_json_lines(HttpRequest request, HttpResponder respond);  ///< /api/v1/import
  /// /api/v1/import/prometheus, and /metrics/job/... below it, whose segments are labels.
  void handle_text(HttpRequest request, HttpResponder respond);
  /// What Influx clients ask before they write: enough that they do.
  static HttpResponse influx_ping();
  static HttpResponse influx_query(const HttpRequest& request);
  void collect(MetricWriter& out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::ingest
