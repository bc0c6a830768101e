#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/http.h"
#include "base/result.h"
#include "base/time.h"
#include "query/result_stream.h"
#include "tsdb/matcher.h"
#include "tsdb/querier.h"

namespace tarsier::query {

struct RemoteReadOptions {
  /// Of an answer with samples, 0 is no limit; streamed chunks know none.
  std::uint64_t samples_max = 50'000'000;
  /// Of one frame of chunks, labels included. A chunk that is larger has a frame of its own.
  std::uint64_t frame_bytes_max = std::uint64_t{1} << 20;
  /// Of a request, decompressed.
  std::uint64_t request_bytes_max = std::uint64_t{32} << 20;
};

using ExternalLabels = std::vector<std::pair<std::string, std::string>>;

/// What one query of a read request asks for.
struct ReadQuery {
  TimeRange range;
  std::vector<tsdb::Matcher> matchers;
};
struct ReadRequest {
  std::vector<ReadQuery> queries;
  std::vector<std::uint64_t> accepted_types;  ///< As sent: SAMPLES is 0, STREAMED_XOR_CHUNKS is 1.
};
/// Reads the decompressed message. kInvalid when it is damaged or a matcher is wrong.
Result<ReadRequest> parse_read_request(Bytes message);

/// /api/v1/read: raw samples for other servers, as one compressed message or as a stream of chunks.
/// Blocks while it reads the first part; the rest of a stream is read on `submit`'s threads while
/// it is sent. `storage` must outlive the answer. Any number of threads.
HttpResponse remote_read(const HttpRequest& request, tsdb::Queryable& storage,
                         const RemoteReadOptions& options, const ExternalLabels& external_labels,
                         const Submit& submit);

}  // namespace tarsier::query
