#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/time.h"
#include "ingest/forward_config.h"
#include "ingest/forwarder/forward_log.h"
#include "ingest/forwarder/forward_metrics.h"
#include "ingest/forwarder/wire_writer.h"

namespace tarsier::ingest {

/// What a receiver's answer means for what was sent.
struct SendVerdict {
  enum class Kind : unsigned char { kDone, kRetry, kRefused };
  Kind kind = Kind::kDone;
  std::string why;                      ///< Of a failure.
  std::optional<Duration> retry_after;  ///< If the receiver said so.
  bool is_invalid = false;              ///< 400: some of it can never be stored.
};
/// `now` is for a Retry-After that is a date.
SendVerdict judge_answer(const Result<HttpResponse>& answer, const ForwardConfig& config,
                         Timestamp now);

/// One of the queues of a destination: samples in order, at most one request on its way, tried
/// again until it is taken or refused. One thread.
class ForwardShard final {
 public:
  /// `http` is the configuration's, in one place for all requests: connections are kept by it.
  ForwardShard(const ForwardConfig& config, std::shared_ptr<const HttpClientConfig> http,
               ForwardMetrics& metrics, ForwardLog& log)
      : config_(config), http_(std::move(http)), metrics_(metrics), log_(log) {}

  void add(ForwardEntry entry, Timestamp now) {
    if (queue_.empty()) oldest_since_ = now;
    queue_.push_back(std::move(entry));
  }
  std::size_t size() const { return queue_.size() + batch_.size(); }
  bool is_sending() const { return is_sending_; }

  /// The request that should go out now, if any. The caller sends it and tells the answer.
  /// `done(read)` is called for each entry that will not be sent.
  std::optional<HttpFetch> next_request(Timestamp now,
                                        const std::function<void(std::uint64_t)>& done);
  /// Whether something may have been stored before: then an entry that is refused must not take
  /// others with it. `replayed_until` is the last batch of which that holds.
  void on_answer(const Result<HttpResponse>& answer, Timestamp now, std::uint64_t replayed_until,
                 const std::function<void(std::uint64_t)>& done);
  /// When to ask again. kNever while a request is on its way or nothing is queued.
  Timestamp due(Timestamp now) const;
  /// Time spent on requests that were taken, since the last call.
  Duration take_busy(Timestamp now);

 private:
  void form_batch(Timestamp now, const std::function<void(std::uint64_t)>& done);
  void count(Counter ForwardMetrics::Kind::* counter) const;
  void finish_batch(const std::function<void(std::uint64_t)>& done);

  const ForwardConfig& config_;
  const std::shared_ptr<const HttpClientConfig> http_;
  ForwardMetrics& metrics_;
  ForwardLog& log_;
  std::deque<ForwardEntry> queue_;
  Timestamp oldest_since_;
  std::vector<ForwardEntry> batch_;  // Taken from the queue, not yet dealt with.
  std::string body_;                 // Of batch_.
  bool is_sending_ = false;
  Timestamp sent_at_;
  Timestamp retry_at_;
  Duration backoff_{0};
  int attempt_ = 0;
  std::size_t limit_ = 0;  // Of a batch, after a refusal; 0: as configured.
  Duration busy_{0};
};

/// The request itself. `body` is compressed already.
HttpFetch make_write_request(const ForwardConfig& config,
                             std::shared_ptr<const HttpClientConfig> http, std::string body,
                             int attempt);

}  // namespace tarsier::ingest
