#include "tsdb/block/tombstones.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint32_t kMagic = 0x0130BA30;
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 5;
constexpr std::size_t kCrcBytes = 4;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 30;

}  // namespace

void Tombstones::add(std::uint64_t series_ref, TimeRange range) {
  CHECK(range.min <= range.max);
  std::vector<TimeRange>& ranges = by_series_[series_ref];
  // The ranges that overlap or touch the new one are those from `first` up to `last`.
  const auto first = std::lower_bound(ranges.begin(), ranges.end(), range.min,
                                      [](const TimeRange& r, Timestamp t) {
                                        return r.max < kMaxTimestamp && r.max + milliseconds(1) < t;
                                      });
  auto last = first;
  while (last != ranges.end() &&
         (range.max == kMaxTimestamp || last->min <= range.max + milliseconds(1))) {
    range.min = std::min(range.min, last->min);
    range.max = std::max(range.max, last->max);
    ++last;
  }
  ranges.insert(ranges.erase(first, last), range);
}

void Tombstones::remove_before(Timestamp t) {
  for (auto& [ref, ranges] : by_series_) {
    std::erase_if(ranges, [&](TimeRange range) { return range.max < t; });
  }
  std::erase_if(by_series_, [](const auto& entry) { return entry.second.empty(); });
}

std::size_t Tombstones::range_count() const {
  std::size_t count = 0;
  for (const auto& [ref, ranges] : by_series_) count += ranges.size();
  return count;
}

std::span<const TimeRange> Tombstones::ranges(std::uint64_t series_ref) const {
  const auto at = by_series_.find(series_ref);
  if (at == by_series_.end()) return {};
  return at->second;
}

Result<Tombstones> Tombstones::decode(Bytes file) {
  ByteReader header(file);
  const std::uint32_t magic = header.be32();
  const std::uint8_t version = header.u8();
  if (!header.ok() || file.size() < kHeaderBytes + kCrcBytes) {
    return corruption(fmt::format("tombstones: {} bytes, want at least 9", file.size()));
  }
  if (magic != kMagic || version != kVersion) {
    return corruption(fmt::format("tombstones: magic {:08x}, version {}", magic, version));
  }
  const Bytes entries = file.subspan(kHeaderBytes, file.size() - kHeaderBytes - kCrcBytes);
  const auto stored = load_be<std::uint32_t>(file.data() + file.size() - kCrcBytes);
  if (const std::uint32_t crc = crc32c(entries); crc != stored) {
    return corruption(fmt::format("tombstones: checksum {:08x}, stored {:08x}", crc, stored));
  }
  Tombstones tombstones;
  ByteReader reader(entries);
  while (!reader.empty()) {
    const std::size_t offset = reader.offset() + kHeaderBytes;
    const std::uint64_t ref = reader.uvarint();
    const Timestamp min{reader.varint()};
    const Timestamp max{reader.varint()};
    if (!reader.ok() || max < min) {
      return corruption(fmt::format("tombstones, offset {}: damaged entry", offset));
    }
    tombstones.add(ref, {min, max});
  }
  return tombstones;
}

std::string Tombstones::encode() const {
  std::string out;
  put_be32(out, kMagic);
  put_u8(out, kVersion);
  for (const auto& [ref, ranges] : by_series_) {
    for (const TimeRange& range : ranges) {
      put_uvarint(out, ref);
      put_varint(out, range.min.ms);
      put_varint(out, range.max.ms);
    }
  }
  put_be32(out, crc32c(as_bytes(out).subspan(kHeaderBytes)));
  return out;
}

Result<Tombstones> read_tombstones(FileSystem& files, const std::string& directory) {
  const std::string path = join_path(directory, kTombstonesFileName);
  Result<std::string> bytes = read_file(files, path, kFileBytesMax);
  if (!bytes.ok() && bytes.status().code() == Code::kNotFound) return Tombstones();
  if (!bytes.ok()) return bytes.status();
  Result<Tombstones> tombstones = Tombstones::decode(as_bytes(*bytes));
  if (!tombstones.ok()) return std::move(tombstones).status().with_prefix(directory);
  return tombstones;
}

bool is_deleted(std::span<const TimeRange> deleted, TimeRange range) {
  // Ranges never touch, so only one can hold all of it.
  return std::any_of(deleted.begin(), deleted.end(), [&](TimeRange gone) {
    return gone.min <= range.min && range.max <= gone.max;
  });
}

namespace {

/// Calls `move(to, from)` for each position that stays; returns how many there are then.
template <typename Move>
std::size_t pack(std::span<const TimeRange> deleted, std::size_t from,
                 const std::vector<std::int64_t>& times_ms, const Move& move) {
  std::size_t kept = from;
  auto range = deleted.begin();
  for (std::size_t i = from; i < times_ms.size(); ++i) {
    const Timestamp t{times_ms[i]};
    while (range != deleted.end() && range->max < t) ++range;
    if (range != deleted.end() && range->contains(t)) continue;
    move(kept++, i);
  }
  return kept;
}

}  // namespace

void remove_deleted(std::span<const TimeRange> deleted, std::size_t from, SampleColumns& columns) {
  if (deleted.empty()) return;
  const std::size_t kept =
      pack(deleted, from, columns.times_ms, [&](std::size_t to, std::size_t i) {
        columns.times_ms[to] = columns.times_ms[i];
        columns.values[to] = columns.values[i];
      });
  columns.times_ms.resize(kept);
  columns.values.resize(kept);
}

void remove_deleted(std::span<const TimeRange> deleted, std::size_t from,
                    HistogramColumns& columns) {
  if (deleted.empty()) return;
  const std::size_t kept = pack(deleted, from, columns.times_ms,
                                [&](std::size_t to, std::size_t i) { columns.move_sample(to, i); });
  columns.truncate(kept);
}

}  // namespace tarsier::tsdb
