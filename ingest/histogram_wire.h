#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/protobuf_reader.h"
#include "tsdb/histogram.h"

// The parts of native histograms that remote write and the protobuf exposition spell alike. Each
// reader appends to `out` and says false for damage, or for more buckets than any schema can have
// in one message, which is an attack.

namespace tarsier::ingest {

/// A `sint32` or `sint64` as it travels.
inline std::int64_t unzigzag(std::uint64_t wire) {
  return static_cast<std::int64_t>(wire >> 1) ^ -static_cast<std::int64_t>(wire & 1);
}

/// A BucketSpan message: 1 offset sint32, 2 length uint32.
bool read_bucket_span(std::string_view message, std::vector<tsdb::BucketSpan>& out);
/// A repeated sint64, packed or one by one.
bool read_bucket_deltas(const ProtobufReader& field, std::vector<std::int64_t>& out);
/// A repeated double, packed or one by one.
bool read_bucket_reals(const ProtobufReader& field, std::vector<double>& out);

}  // namespace tarsier::ingest
