#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/http.h"
#include "base/keyed_hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/time.h"
#include "ingest/relabel.h"
#include "tsdb/appender.h"

namespace tarsier::ingest {

struct RemoteWriteOptions {
  // What changes behaviour.

  NameValidation name_validation = NameValidation::kUtf8;
  /// Samples further ahead of our clock are out of bounds: one wrong clock must not block
  /// everything after it. Prometheus' value.
  Duration future_max = minutes(10);
  /// Prometheus' limits, before and after decompression.
  std::size_t body_bytes_max = std::size_t{32} << 20;
  std::size_t decompressed_bytes_max = std::size_t{32} << 20;
  /// A sample may be two bytes on the wire and needs 33 of ours while the request lasts.
  std::size_t samples_per_request_max = 1'000'000;
  std::size_t metadata_per_request_max = 100'000;
  /// What senders are asked to wait when storage cannot take anything.
  Duration retry_after = seconds(5);
  /// A zero where a sample of 2.0 says its series began (created-timestamp-zero-ingestion).
  bool injects_start_zeroes = false;

  // What changes cost only.

  /// Series beyond this many are parsed anew in every request. 21-43 bytes each.
  std::size_t series_cache_entries_max = 8'000'000;
  /// Metric names whose metadata is kept.
  std::size_t metadata_names_max = 20'000;
};

/// The two things the receiver needs of storage; tests pass their own.
struct WriteDoor {
  std::function<std::unique_ptr<tsdb::Appender>()> appender;
  /// As Db::when_synced.
  std::function<void(tsdb::LogPosition, std::function<void(Status)>)> when_synced;
};

/// POST /api/v1/write: remote write 1.0 and 2.0. Decodes by walking the wire, finds known series by
/// a keyed hash of their label bytes without parsing them, appends and commits the request as one
/// batch and answers when it is durable: 204 means that every sample is on disk (or was there
/// already, so a retry is harmless). A sample that cannot be stored does not take the others with
/// it: the rest is stored and the answer is 400, naming the series. 5xx says that nothing was
/// stored and a retry is worth it. Native histograms are samples like others; an exemplar that
/// cannot be stored is left out and fails a request of version 2 only. Answers of version 2 say how
/// many of each were written. One receiver is one set of rules. Any number of threads; waits for
/// nothing.
class RemoteWriteReceiver final {
 public:
  /// `log` must outlive the receiver. `key` is fresh for every process.
  RemoteWriteReceiver(WriteDoor door, const RemoteWriteOptions& options, const HashKey& key,
                      Logger& log);
  ~RemoteWriteReceiver();

  /// May answer after the receiver is gone, on the thread that syncs the log.
  void handle(HttpRequest request, HttpResponder respond);
  void collect(MetricWriter& out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::ingest
