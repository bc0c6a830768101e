#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/protobuf_reader.h"
#include "base/result.h"
#include "tsdb/appender.h"
#include "tsdb/exemplar.h"
#include "tsdb/histogram.h"
#include "tsdb/sample.h"

namespace tarsier::ingest {

// The messages both versions of remote write spell alike.

inline constexpr char kSampleValueTag = 0x09;      // Sample.value, eight bytes
inline constexpr char kSampleTimestampTag = 0x10;  // Sample.timestamp, varint
inline constexpr std::size_t kUsualSampleBytesMin = 1 + 8 + 1 + 1;

/// Any Sample: fields in any order, unknown ones skipped, absent ones zero.
inline bool decode_sample_slowly(std::string_view message, tsdb::Sample& out) {
  out = {};
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.field() == 1) {
      if (fields.type() != ProtobufReader::kFixed64) return false;
      out.v = fields.real();
    } else if (fields.field() == 2) {
      if (fields.type() != ProtobufReader::kVarint) return false;
      out.t.ms = static_cast<std::int64_t>(fields.number());
    }
  }
  return fields.ok();
}

/// The shape every sender writes, value and then time, decoded in place; anything else slowly.
inline bool decode_sample(std::string_view message, tsdb::Sample& out) {
  if (message.size() >= kUsualSampleBytesMin && message[0] == kSampleValueTag &&
      message[9] == kSampleTimestampTag) [[likely]] {
    const char* p = message.data() + 10;
    std::uint64_t t = 0;
    if (!ProtobufReader::read_varint(p, message.data() + message.size(), t)) return false;
    if (p == message.data() + message.size()) [[likely]] {
      std::uint64_t bits = 0;
      std::memcpy(&bits, message.data() + 1, sizeof bits);
      out = {Timestamp{static_cast<std::int64_t>(t)}, std::bit_cast<double>(bits)};
      return true;
    }
  }
  return decode_sample_slowly(message, out);
}

/// The start time of a Sample of 2.0 that decode_sample() read, in ms; 0: unknown.
inline std::int64_t decode_sample_start(std::string_view message) {
  if (message.size() >= kUsualSampleBytesMin && message[0] == kSampleValueTag &&
      message[9] == kSampleTimestampTag) [[likely]] {
    const char* p = message.data() + 10;
    std::uint64_t t = 0;
    if (!ProtobufReader::read_varint(p, message.data() + message.size(), t)) return 0;
    if (p == message.data() + message.size()) return 0;
  }
  std::int64_t start = 0;
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.field() == 3 && fields.type() == ProtobufReader::kVarint) {
      start = static_cast<std::int64_t>(fields.number());
    }
  }
  return start;
}

/// A number from a later version is a type we do not know.
inline tsdb::MetricType metric_type_of_wire(std::uint64_t wire) {
  // The wire's numbers are ours.
  return wire <= static_cast<std::uint64_t>(tsdb::MetricType::kStateset)
             ? static_cast<tsdb::MetricType>(wire)
             : tsdb::MetricType::kUnknown;
}

/// A histogram as it came, with its time.
struct WireHistogram {
  Timestamp t;
  Timestamp start;  ///< Of its counting; 0: unknown.
  tsdb::AnyHistogram histogram;
};
/// Reads a Histogram message (both versions) and checks that its
/// parts agree. kCorruption when it is damaged, kInvalid in Prometheus' words when it makes no
/// sense.
Result<WireHistogram> read_wire_histogram(std::string_view message);

/// Reads an Exemplar message of 1.0. kCorruption when it is damaged, kInvalid for labels that are
/// no labels.
Result<tsdb::Exemplar> read_wire_exemplar(std::string_view message);

}  // namespace tarsier::ingest
