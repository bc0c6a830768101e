#include "ingest/histogram_wire.h"

#include <cstddef>
#include <cstring>

namespace tarsier::ingest {
namespace {

constexpr std::size_t kBucketsMax = 100'000;

}  // namespace

bool read_bucket_span(std::string_view message, std::vector<tsdb::BucketSpan>& out) {
  tsdb::BucketSpan span;
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.field() != 1 && fields.field() != 2) continue;
    if (fields.type() != ProtobufReader::kVarint) return false;
    if (fields.field() == 1) span.offset = static_cast<std::int32_t>(unzigzag(fields.number()));
    if (fields.field() == 2) span.length = static_cast<std::uint32_t>(fields.number());
  }
  out.push_back(span);
  return fields.ok() && out.size() <= kBucketsMax;
}

bool read_bucket_deltas(const ProtobufReader& field, std::vector<std::int64_t>& out) {
  if (field.type() == ProtobufReader::kVarint) {
    out.push_back(unzigzag(field.number()));
    return out.size() <= kBucketsMax;
  }
  if (field.type() != ProtobufReader::kBytes) return false;
  const char* p = field.bytes().data();
  const char* const end = p + field.bytes().size();
  while (p != end) {
    std::uint64_t value = 0;
    if (!ProtobufReader::read_varint(p, end, value) || out.size() >= kBucketsMax) return false;
    out.push_back(unzigzag(value));
  }
  return true;
}

bool read_bucket_reals(const ProtobufReader& field, std::vector<double>& out) {
  if (field.type() == ProtobufReader::kFixed64) {
    out.push_back(field.real());
    return out.size() <= kBucketsMax;
  }
  if (field.type() != ProtobufReader::kBytes) return false;
  const std::string_view bytes = field.bytes();
  if (bytes.size() % sizeof(double) != 0) return false;
  const std::size_t count = bytes.size() / sizeof(double);
  if (out.size() + count > kBucketsMax) return false;
  const std::size_t first = out.size();
  out.resize(first + count);
  if (count > 0) std::memcpy(out.data() + first, bytes.data(), bytes.size());
  return true;
}

}  // namespace tarsier::ingest
