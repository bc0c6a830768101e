#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tsdb/appender.h"
#include "tsdb/sample.h"

namespace tarsier::ingest {

/// One TimeSeries with at least one sample, histogram or exemplar, as views into the decompressed
/// body.
struct WireSeries {
  /// The whole message; labels are read from it when the series is not known yet.
  std::string_view message;
  std::uint32_t sample_count = 0;
  std::uint32_t histogram_count = 0;
};

/// A Histogram or Exemplar message, not looked into yet, and the series it belongs to.
struct WireAttachment {
  std::string_view message;
  std::uint32_t series = 0;
};

/// When the counter behind a sample began to count.
struct WireStart {
  std::uint32_t sample = 0;  ///< In WriteRequest::samples.
  Timestamp start;
};

struct WireMetadata {
  std::string_view family;
  std::string_view help;
  std::string_view unit;
  tsdb::MetricType type = tsdb::MetricType::kUnknown;
};

/// A write request of either version, flat: the samples of all series one after another in the
/// order of `series`. Made to be reused, so that decoding allocates nothing once it has grown.
/// Labels are found but not looked into: only a series that is not known needs that.
struct WriteRequest {
  std::vector<WireSeries> series;
  /// `label_runs[i]`: the bytes of the label fields of `series[i]` when they lie in one contiguous
  /// run, as every sender writes them: the key of the series cache. Empty when they do not.
  std::vector<std::string_view> label_runs;
  std::vector<tsdb::Sample> samples;
  /// 2.0 only: of the samples that have one.
  std::vector<WireStart> starts;
  std::vector<WireAttachment> histograms;
  std::vector<WireAttachment> exemplars;
  /// 1.0 only: apart from the series, by metric family.
  std::vector<WireMetadata> metadata;
  /// 2.0 only: `series_metadata[i]` is of `series[i]`, its `family` empty. Else no entries.
  std::vector<WireMetadata> series_metadata;
  std::size_t series_without_samples_count = 0;  ///< With nothing at all.
  /// 2.0 only: labels and exemplars as 1.0 would have sent them.
  std::string translated;

  void clear();
};

struct DecodeLimits {
  std::size_t samples_max = 0;  ///< Float samples and histograms, exemplars apart.
  std::size_t metadata_max = 0;
};

/// Replaces `out` with what `message`, a WriteRequest 1.0 (proto/remote.proto), says; its views
/// borrow from `message`. kCorruption with the byte offset when it is not a WriteRequest (a known
/// field of another wire type included; unknown fields are skipped), kLimit beyond `limits`. `out`
/// is undefined on error.
Status decode_write_request(std::string_view message, const DecodeLimits& limits,
                            WriteRequest& out);

/// The same for a Request 2.0 (io.prometheus.write.v2): labels are references to a table of symbols
/// there, and become the bytes 1.0 has for them, so that both versions share caches and everything
/// behind them. kInvalid when references make no sense; kLimit when the labels written out would be
/// larger than `translated_bytes_max`, which a small request can ask for.
Status decode_write_request_2(std::string_view message, const DecodeLimits& limits,
                              std::size_t translated_bytes_max, WriteRequest& out);

}  // namespace tarsier::ingest
