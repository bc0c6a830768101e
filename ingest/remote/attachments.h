#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ingest/remote/refusals.h"
#include "ingest/remote/write_request.h"
#include "ingest/start_zeroes.h"
#include "tsdb/appender.h"

namespace tarsier::ingest {

/// What became of the histograms and exemplars of one request.
struct AttachmentCounts {
  std::size_t histograms_queued = 0;
  std::size_t histograms_repeated = 0;
  std::size_t histograms_refused = 0;
  std::size_t exemplars_queued = 0;
  std::size_t exemplars_refused = 0;       ///< Out of order, or damaged.
  std::size_t exemplars_out_of_order = 0;  ///< Of those.
};

/// What appending them needs of the receiver.
struct AttachmentDoor {
  tsdb::Appender& appender;
  /// By series of the request; zero: refused already.
  std::vector<tsdb::SeriesRef>& series;
  Timestamp newest_allowed;
  StartZeroes* zeroes = nullptr;  ///< Null: start times mean nothing.
  /// Finds a series again that storage dropped; its entry in `series` becomes zero if it is
  /// refused.
  std::function<Status(std::size_t i)> resolve;
  /// A series in words.
  std::function<std::string(std::size_t i)> describe;
};

/// Queues the native histograms of `request`. What cannot be stored becomes a refusal; an error is
/// damage or storage that can take nothing.
Status append_histograms(const WriteRequest& request, const AttachmentDoor& door,
                         Refusals& refusals, AttachmentCounts& counts);

/// Queues its exemplars, after everything else: they never fail a request. `first_error` tells of
/// the first one out of order.
void append_exemplars(const WriteRequest& request, const AttachmentDoor& door,
                      AttachmentCounts& counts, std::string& first_error);

/// "out of order sample at timestamp 5", "duplicate sample ...: new value 7".
std::string refusal_text(tsdb::AppendOutcome outcome, tsdb::Sample sample);

}  // namespace tarsier::ingest
