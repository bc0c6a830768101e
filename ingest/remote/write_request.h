#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tsdb/appender.h"
#include "tsdb/sample.h"

namespace tarsier::ingest {

/// One TimeSeries with at least one sample, as views into the decompressed body.
struct WireSeries {
  /// The whole message; labels are read from it when the series is not known yet.
  std::string_view message;
  std::uint32_t sample_count = 0;
};

struct WireMetadata {
  std::string_view family;
  std::string_view help;
  std::string_view unit;
  tsdb::MetricType type = tsdb::MetricType::kUnknown;
};

/// A WriteRequest 1.0 (proto/remote.proto), flat: the samples of all series one after another in
/// the order of `series`. Made to be reused, so that decoding allocates nothing once it has grown.
/// Labels are found but not looked into: only a series that is not known needs that.
struct WriteRequest {
  std::vector<WireSeries> series;
  /// `label_runs[i]`: the bytes of the label fields of `series[i]` when they lie in one contiguous
  /// run, as every sender writes them: the key of the series cache. Empty when they do not.
  std::vector<std::string_view> label_runs;
  std::vector<tsdb::Sample> samples;
  std::vector<WireMetadata> metadata;
  std::size_t exemplar_count = 0;
  std::size_t histogram_count = 0;
  std::size_t series_without_samples_count = 0;

  void clear();
};

struct DecodeLimits {
  std::size_t samples_max = 0;
  std::size_t metadata_max = 0;
};

/// Replaces `out` with what `message` says; its views borrow from `message`. kCorruption with the
/// byte offset when it is not a WriteRequest (a known field of another wire type included; unknown
/// fields are skipped), kLimit beyond `limits`. `out` is undefined on error.
Status decode_write_request(std::string_view message, const DecodeLimits& limits,
                            WriteRequest& out);

}  // namespace tarsier::ingest
