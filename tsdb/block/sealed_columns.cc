#include "tsdb/block/sealed_columns.h"

#include <algorithm>
#include <array>
#include <atomic>

#include <fmt/format.h>

#include "base/check.h"
#include "base/compression.h"
#include "base/crc32c.h"
#include "tsdb/chunk/histogram_iterator.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint32_t kMagic = 0x7A5E41C1;
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 8;

// Kinds of records. Stored: never renumber.
constexpr std::uint8_t kTimes = 1;
constexpr std::uint8_t kFloats = 2;
constexpr std::uint8_t kChunks = 3;
constexpr std::uint8_t kAggregates = 4;  // No longer written.
constexpr std::uint8_t kSizedAggregates = 5;

constexpr std::uint64_t kBodyBytesMax = 128 << 20;
constexpr int kChunkCompressionLevel = 3;
/// Times kept to be found again: 64 MiB.
constexpr std::size_t kKnownTimesMax = 8 << 20;
/// Of vectors that begin or end at the same time, so many are compared.
constexpr int kCandidatesMax = 8;

/// A plain counter: nothing is published through it.
std::uint64_t next_reader_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

/// Time vectors decoded last, of any reader. One per thread.
struct TimesCache {
  struct Entry {
    std::uint64_t reader_id = 0;
    std::uint64_t ref = 0;
    std::vector<std::int64_t> times_ms;
  };
  static constexpr std::size_t kEntries = 64;
  std::array<Entry, kEntries> entries;

  Entry& at(std::uint64_t reader_id, std::uint64_t ref) {
    return entries[((ref * 0x9E3779B97F4A7C15u) ^ reader_id) >> 58];
  }
};
TimesCache& times_cache() {
  thread_local TimesCache cache;
  return cache;
}

}  // namespace

Result<std::unique_ptr<SealedColumnsWriter>> SealedColumnsWriter::create(
    FileSystem& files, const std::string& directory, ColumnProfile profile) {
  OutputFile out = TRY(OutputFile::create(files, join_path(directory, kColumnsFileName)));
  std::string header;
  put_be32(header, kMagic);
  put_u8(header, kVersion);
  header.append(kHeaderBytes - header.size(), '\0');
  TRY(out.append(header));
  return std::unique_ptr<SealedColumnsWriter>(new SealedColumnsWriter(std::move(out), profile));
}

Result<std::uint64_t> SealedColumnsWriter::append_record(std::uint8_t kind) {
  const std::uint64_t ref = out_.offset();
  frame_.clear();
  put_u8(frame_, kind);
  put_uvarint(frame_, body_.size());
  frame_ += body_;
  put_be32(frame_, crc32c(as_bytes(frame_)));
  TRY(out_.append(frame_));
  return ref;
}

std::optional<SealedColumnsWriter::TimeRun> SealedColumnsWriter::find(
    std::span<const std::int64_t> times_ms) const {
  const auto matches = [&](const KnownTimes& known, std::size_t first) {
    return std::equal(times_ms.begin(), times_ms.end(),
                      known.times_ms.begin() + static_cast<std::ptrdiff_t>(first));
  };
  int tried = 0;
  for (auto [it, end] = by_first_.equal_range(times_ms.front()); it != end; ++it) {
    const KnownTimes& known = known_[it->second];
    if (known.times_ms.size() >= times_ms.size() && matches(known, 0)) return {{known.ref, 0}};
    if (++tried == kCandidatesMax) break;
  }
  tried = 0;
  for (auto [it, end] = by_last_.equal_range(times_ms.back()); it != end; ++it) {
    const KnownTimes& known = known_[it->second];
    if (known.times_ms.size() >= times_ms.size()) {
      const std::size_t first = known.times_ms.size() - times_ms.size();
      if (matches(known, first)) return {{known.ref, first}};
    }
    if (++tried == kCandidatesMax) break;
  }
  return std::nullopt;
}

Result<SealedColumnsWriter::TimeRun> SealedColumnsWriter::find_or_append(
    std::span<const std::int64_t> times_ms) {
  if (const auto found = find(times_ms)) return *found;
  body_.clear();
  put_uvarint(body_, times_ms.size());
  encode_integers(times_ms, profile_, body_);
  const std::uint64_t ref = TRY(append_record(kTimes));
  if (known_count_ + times_ms.size() > kKnownTimesMax) {
    known_.clear();
    by_first_.clear();
    by_last_.clear();
    known_count_ = 0;
  }
  by_first_.emplace(times_ms.front(), known_.size());
  by_last_.emplace(times_ms.back(), known_.size());
  known_.push_back({ref, {times_ms.begin(), times_ms.end()}});
  known_count_ += times_ms.size();
  return TimeRun{ref, 0};
}

Result<std::uint64_t> SealedColumnsWriter::append_floats(std::span<const std::int64_t> times_ms,
                                                         std::span<const double> values) {
  CHECK(!values.empty() && values.size() == times_ms.size());
  const TimeRun run = TRY(find_or_append(times_ms));
  body_.clear();
  put_uvarint(body_, out_.offset() - run.ref);
  put_uvarint(body_, run.first);
  put_uvarint(body_, values.size());
  encode_values(values, profile_, body_);
  return append_record(kFloats);
}

Result<std::uint64_t> SealedColumnsWriter::append_aggregates(const AggregateRows& rows,
                                                             std::size_t first, std::size_t count) {
  const TimeRun run = TRY(find_or_append(std::span(rows.times_ms).subspan(first, count)));
  body_.clear();
  put_uvarint(body_, out_.offset() - run.ref);
  put_uvarint(body_, run.first);
  put_uvarint(body_, count);
  std::string encoded;
  for (const std::vector<double>& column : rows.columns) {
    encoded.clear();
    encode_values(std::span(column).subspan(first, count), profile_, encoded);
    put_uvarint(body_, encoded.size());
    body_ += encoded;
  }
  return append_record(kSizedAggregates);
}

Result<std::uint64_t> SealedColumnsWriter::append_chunks(std::span<const StoredChunk> chunks) {
  CHECK(!chunks.empty());
  std::string data;
  body_.clear();
  put_uvarint(body_, chunks.size());
  Timestamp last{0};
  for (const StoredChunk& chunk : chunks) {
    put_u8(body_, static_cast<std::uint8_t>(chunk.chunk.encoding));
    put_varint(body_, chunk.meta.min_time.ms - last.ms);
    put_uvarint(body_, static_cast<std::uint64_t>(chunk.meta.max_time.ms - chunk.meta.min_time.ms));
    put_uvarint(body_, chunk.chunk.data.size());
    last = chunk.meta.max_time;
    data += as_text(chunk.chunk.data);
  }
  std::string compressed;
  zstd_compress(as_bytes(data), kChunkCompressionLevel, compressed);
  const bool is_smaller = compressed.size() < data.size();
  put_u8(body_, is_smaller ? 1 : 0);
  body_ += is_smaller ? compressed : data;
  return append_record(kChunks);
}

SealedColumnsReader::SealedColumnsReader() : id_(next_reader_id()) {}

Result<std::unique_ptr<SealedColumnsReader>> SealedColumnsReader::open(
    FileSystem& files, const std::string& directory) {
  std::unique_ptr<SealedColumnsReader> reader(new SealedColumnsReader());
  reader->path_ = join_path(directory, kColumnsFileName);
  reader->file_ = TRY(files.open_readable(reader->path_, Access::kMap));
  reader->bytes_ = reader->file_->mapped();
  if (reader->bytes_.empty() && reader->file_->size() > 0) {
    reader->loaded_.resize(static_cast<std::size_t>(reader->file_->size()));
    TRY(reader->file_->read_at(0, std::as_writable_bytes(std::span(reader->loaded_))));
    reader->bytes_ = as_bytes(reader->loaded_);
  }
  ByteReader header(reader->bytes_);
  const std::uint32_t magic = header.be32();
  const unsigned version = header.u8();
  if (!header.ok() || magic != kMagic || version != kVersion) {
    return corruption(fmt::format("{}: magic {:08x} version {}, want {:08x} and 1", reader->path_,
                                  magic, version, kMagic));
  }
  return reader;
}

Status SealedColumnsReader::damaged(std::uint64_t ref, std::string_view what) const {
  return corruption(fmt::format("{}: offset {}: {}", path_, ref, what));
}

Result<SealedColumnsReader::Record> SealedColumnsReader::record(std::uint64_t ref) const {
  if (ref < kHeaderBytes || ref >= bytes_.size()) return damaged(ref, "is outside the file");
  const Bytes from = bytes_.subspan(static_cast<std::size_t>(ref));
  ByteReader in(from);
  Record found;
  found.kind = in.u8();
  const std::uint64_t size = in.uvarint();
  if (!in.ok() || size > kBodyBytesMax) return damaged(ref, "damaged length of a record");
  found.body = in.take(size);
  const std::size_t checked = in.offset();
  const std::uint32_t stored = in.be32();
  if (!in.ok()) return damaged(ref, "a record passes the end of the file");
  if (const std::uint32_t crc = crc32c(from.first(checked)); crc != stored) {
    return damaged(ref, fmt::format("record checksum {:08x}, stored {:08x}", crc, stored));
  }
  return found;
}

Result<std::span<const std::int64_t>> SealedColumnsReader::times(std::uint64_t ref) const {
  TimesCache::Entry& entry = times_cache().at(id_, ref);
  if (entry.reader_id == id_ && entry.ref == ref)
    return std::span<const std::int64_t>(entry.times_ms);
  const Record found = TRY(record(ref));
  ByteReader in(found.body);
  const std::uint64_t count = in.uvarint();
  if (found.kind != kTimes || !in.ok() || count == 0 || count > kVectorSamplesMax) {
    return damaged(ref, "is no vector of times");
  }
  entry.reader_id = 0;
  entry.times_ms.resize(static_cast<std::size_t>(count));
  if (!decode_integers(in, entry.times_ms)) return damaged(ref, "damaged times");
  for (std::size_t i = 1; i < entry.times_ms.size(); ++i) {
    if (entry.times_ms[i] <= entry.times_ms[i - 1]) return damaged(ref, "times do not increase");
  }
  entry.reader_id = id_;
  entry.ref = ref;
  return std::span<const std::int64_t>(entry.times_ms);
}

Result<std::span<const std::int64_t>> SealedColumnsReader::read_times(std::uint64_t ref,
                                                                      ByteReader& in) const {
  const std::uint64_t distance = in.uvarint();
  const std::uint64_t first = in.uvarint();
  const std::uint64_t count = in.uvarint();
  if (!in.ok() || distance > ref || count == 0 || count > kVectorSamplesMax) {
    return damaged(ref, "damaged vector of values");
  }
  const std::span<const std::int64_t> all = TRY(times(ref - distance));
  if (first > all.size() || count > all.size() - first) {
    return damaged(ref, "more values than times");
  }
  return all.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

Result<bool> SealedColumnsReader::read_aggregates(std::uint64_t ref, AggregateRows& rows,
                                                  std::uint32_t wanted) const {
  const Record found = TRY(record(ref));
  const bool is_sized = found.kind == kSizedAggregates;
  if (!is_sized && found.kind != kAggregates) return false;
  ByteReader in(found.body);
  const std::span<const std::int64_t> own = TRY(read_times(ref, in));
  const std::size_t had = rows.size();
  rows.times_ms.insert(rows.times_ms.end(), own.begin(), own.end());
  for (std::size_t c = 0; c < rows.columns.size(); ++c) {
    std::vector<double>& column = rows.columns[c];
    const bool is_wanted = (wanted >> c & 1) != 0;
    const std::uint64_t bytes = is_sized ? in.uvarint() : 0;
    if (is_sized && !is_wanted) {
      in.take(bytes);
      continue;
    }
    const std::size_t end = in.offset() + bytes;
    column.resize(had + own.size());
    const bool is_decoded = decode_values(in, std::span(column).subspan(had));
    if (!is_decoded || (is_sized && in.offset() != end)) return damaged(ref, "damaged rows");
    if (!is_wanted) column.resize(had);
  }
  if (!in.ok()) return damaged(ref, "damaged rows");
  return true;
}

Status SealedColumnsReader::read_floats(std::uint64_t ref, Bytes body, TimeRange range,
                                        SampleColumns& out) const {
  ByteReader in(body);
  const std::span<const std::int64_t> own = TRY(read_times(ref, in));
  const std::size_t count = own.size();
  const auto begin = std::lower_bound(own.begin(), own.end(), range.min.ms);
  const auto end = std::upper_bound(begin, own.end(), range.max.ms);
  if (begin == end) return {};
  out.times_ms.insert(out.times_ms.end(), begin, end);
  const std::size_t had = out.values.size();
  if (static_cast<std::size_t>(end - begin) == count) {
    out.values.resize(had + own.size());
    if (decode_values(in, std::span(out.values).subspan(had))) return {};
  } else {
    std::array<double, kVectorSamplesMax> room;
    const std::span<double> values = std::span(room).first(own.size());
    if (decode_values(in, values)) {
      out.values.insert(out.values.end(), values.begin() + (begin - own.begin()),
                        values.begin() + (end - own.begin()));
      return {};
    }
  }
  out.times_ms.resize(had);
  out.values.resize(had);
  return damaged(ref, "damaged values");
}

Result<std::size_t> SealedColumnsReader::read(std::uint64_t ref, const Target& target) const {
  const Record found = TRY(record(ref));
  if (found.kind == kFloats) {
    TRY(read_floats(ref, found.body, target.range, target.floats));
    return std::size_t{0};
  }
  std::string copy;
  std::vector<StoredChunk> chunks;
  if (!TRY(read_chunks(ref, copy, chunks))) return damaged(ref, "is no record of samples");
  std::size_t skipped = 0;
  for (const StoredChunk& chunk : chunks) {
    if (!chunk.meta.range().overlaps(target.range)) continue;
    const ChunkEncoding encoding = chunk.chunk.encoding;
    if (is_float_encoding(encoding)) {
      TRY(decode_float_chunk(encoding, chunk.chunk.data, target.range, target.floats));
    } else if (!is_histogram_encoding(encoding)) {
      ++skipped;
    } else if (target.histograms != nullptr) {
      TRY(decode_histogram_chunk(encoding, chunk.chunk.data, target.range, *target.histograms));
    }
  }
  return skipped;
}

Result<bool> SealedColumnsReader::read_chunks(std::uint64_t ref, std::string& copy,
                                              std::vector<StoredChunk>& chunks) const {
  chunks.clear();
  const Record found = TRY(record(ref));
  if (found.kind != kChunks) return false;
  ByteReader in(found.body);
  const std::uint64_t count = in.uvarint();
  if (!in.ok() || count > in.remaining()) return damaged(ref, "damaged count of chunks");
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  Timestamp last{0};
  for (std::uint64_t i = 0; i < count; ++i) {
    StoredChunk& chunk = chunks.emplace_back();
    chunk.chunk.encoding = static_cast<ChunkEncoding>(in.u8());
    chunk.meta.min_time = last + Duration{in.varint()};
    chunk.meta.max_time = chunk.meta.min_time + Duration{static_cast<std::int64_t>(in.uvarint())};
    last = chunk.meta.max_time;
    sizes.push_back(in.uvarint());
    if (!in.ok() || sizes.back() > kBodyBytesMax - total) return damaged(ref, "damaged chunk");
    total += sizes.back();
  }
  const bool is_compressed = in.u8() == 1;
  Bytes data = in.take(in.remaining());
  if (!in.ok()) return damaged(ref, "damaged chunks");
  if (is_compressed) {
    TRY(zstd_decompress(data, static_cast<std::size_t>(total), copy));
    data = as_bytes(copy);
  }
  if (data.size() != total) return damaged(ref, "chunks of another size");
  std::size_t begin = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    chunks[i].chunk.data = data.subspan(begin, static_cast<std::size_t>(sizes[i]));
    begin += static_cast<std::size_t>(sizes[i]);
  }
  return true;
}

}  // namespace tarsier::tsdb
