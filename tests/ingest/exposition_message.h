#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/protobuf_writer.h"

// Messages of io.prometheus.client, written field by field as clients write them.

namespace tarsier::ingest::message {

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

/// A message made by a function that writes its fields.
template <typename F>
std::string of(F write) {
  std::string out;
  ProtobufWriter writer(out);
  write(writer);
  return out;
}

inline void labels(ProtobufWriter& out, const Pairs& pairs) {
  for (const auto& pair : pairs) {
    out.bytes(1, of([&](ProtobufWriter& label) {
                label.bytes(1, pair.first);
                label.bytes(2, pair.second);
              }));
  }
}

inline std::string timestamp(std::int64_t ms) {
  return of([&](ProtobufWriter& out) {
    out.integer(1, ms / 1000);
    out.integer(2, ms % 1000 * 1'000'000);
  });
}

/// `ms` 0: without a time.
inline std::string exemplar(const Pairs& pairs, double value, std::int64_t ms) {
  return of([&](ProtobufWriter& out) {
    labels(out, pairs);
    out.real(2, value);
    if (ms != 0) out.bytes(3, timestamp(ms));
  });
}

inline std::string span(std::int32_t offset, std::uint32_t length) {
  return of([&](ProtobufWriter& out) {
    out.zigzag(1, offset);
    out.varint(2, length);
  });
}

inline std::string bucket(std::uint64_t cumulative, double bound, std::string_view with = {}) {
  return of([&](ProtobufWriter& out) {
    out.varint(1, cumulative);
    out.real(2, bound);
    if (!with.empty()) out.bytes(3, with);
  });
}

/// A Metric whose value, `value`, is in field `field`.
inline std::string metric(const Pairs& pairs, std::uint32_t field, std::string_view value,
                          std::int64_t time_ms = 0) {
  return of([&](ProtobufWriter& out) {
    labels(out, pairs);
    out.bytes(field, value);
    if (time_ms != 0) out.integer(6, time_ms);
  });
}

enum Type : std::uint64_t { kCounter, kGauge, kSummary, kUntyped, kHistogram, kGaugeHistogram };

/// A MetricFamily with its length in front.
inline std::string family(std::string_view name, Type type, const std::vector<std::string>& metrics,
                          std::string_view help = "Help.", std::string_view unit = {}) {
  const std::string body = of([&](ProtobufWriter& out) {
    out.bytes(1, name);
    if (!help.empty()) out.bytes(2, help);
    out.varint(3, type);
    for (const std::string& one : metrics) out.bytes(4, one);
    if (!unit.empty()) out.bytes(5, unit);
  });
  std::string out;
  put_uvarint(out, body.size());
  return out + body;
}

inline std::string real(double v) {
  return of([&](ProtobufWriter& out) { out.real(1, v); });
}

}  // namespace tarsier::ingest::message
