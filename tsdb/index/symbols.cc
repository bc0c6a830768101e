#include "tsdb/index/symbols.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "tsdb/index/index_format.h"

namespace tarsier::tsdb {
namespace {

/// Reads a uvarint from trusted bytes and moves `p` past it.
inline std::size_t take_uvarint(const std::byte*& p) {
  std::size_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(*p++);
    value |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

}  // namespace

std::size_t SymbolSet::slot_of(std::string_view wanted) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = std::hash<std::string_view>{}(wanted)&mask;
  while (slots_[slot] != 0 && text(slots_[slot] - 1) != wanted) slot = (slot + 1) & mask;
  return slot;
}

void SymbolSet::rebuild_slots(std::size_t slot_count) {
  slots_.assign(slot_count, 0);
  for (std::size_t i = 0; i < starts_.size(); ++i) {
    slots_[slot_of(text(i))] = static_cast<std::uint32_t>(i + 1);
  }
}

void SymbolSet::add(std::string_view added) {
  CHECK(!sorted_);
  if ((starts_.size() + 1) * 2 > slots_.size()) {
    rebuild_slots(std::max<std::size_t>(64, slots_.size() * 2));
  }
  const std::size_t slot = slot_of(added);
  if (slots_[slot] != 0) return;
  starts_.push_back(arena_.size());
  sizes_.push_back(static_cast<std::uint32_t>(added.size()));
  arena_ += added;
  slots_[slot] = static_cast<std::uint32_t>(starts_.size());
}

void SymbolSet::add(const Labels& labels) {
  for (const LabelView& label : labels) {
    add(label.name);
    add(label.value);
  }
}

void SymbolSet::sort() {
  if (sorted_) return;
  sorted_ = true;
  std::vector<std::uint32_t> order(starts_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return text(a) < text(b); });
  std::vector<std::size_t> starts(order.size());
  std::vector<std::uint32_t> sizes(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    starts[i] = starts_[order[i]];
    sizes[i] = sizes_[order[i]];
  }
  starts_.swap(starts);
  sizes_.swap(sizes);
  rebuild_slots(slots_.size());
}

std::optional<std::uint32_t> SymbolSet::find(std::string_view wanted) const {
  CHECK(sorted_);
  if (slots_.empty()) return std::nullopt;
  const std::uint32_t found = slots_[slot_of(wanted)];
  if (found == 0) return std::nullopt;
  return found - 1;
}

Result<SymbolTable> SymbolTable::open(Bytes file, std::uint64_t offset, std::uint8_t version) {
  const auto damaged = [&](std::uint64_t at, std::string_view what) {
    return corruption(fmt::format("offset {}: symbols: {}", at, what));
  };
  if (offset > file.size() || file.size() - offset < 8) {
    return damaged(offset, "begin beyond the end of the file");
  }
  ByteReader header(file.subspan(static_cast<std::size_t>(offset)));
  const std::uint32_t size = header.be32();
  if (size < 4 || header.remaining() < std::uint64_t{size} + kCrcBytes) {
    return damaged(offset, fmt::format("length {} passes the end of the file", size));
  }
  const Bytes section = header.take(size);
  const std::uint32_t stored = header.be32();
  if (const std::uint32_t crc = crc32c(section); crc != stored) {
    return damaged(offset, fmt::format("checksum {:08x}, stored {:08x}", crc, stored));
  }

  SymbolTable table;
  table.file_ = file;
  table.version_ = version;
  table.begin_offset_ = offset + 8;
  table.end_offset_ = offset + 4 + size + kCrcBytes;
  ByteReader strings(section);
  table.count_ = strings.be32();
  if (table.count_ > strings.remaining()) return damaged(offset, "more strings than bytes");
  table.offsets_.reserve(table.count_ / kStride + 1);
  std::string_view previous;
  for (std::size_t i = 0; i < table.count_; ++i) {
    const std::size_t at = strings.offset() - 4;
    if (i % kStride == 0) table.offsets_.push_back(static_cast<std::uint32_t>(at));
    const std::string_view text = strings.string();
    if (!strings.ok() || (i > 0 && text <= previous)) {
      return damaged(table.begin_offset_ + at, "string out of bounds or out of order");
    }
    if (i == 0) table.first_is_empty_ = text.empty();
    previous = text;
  }
  return table;
}

std::string_view SymbolTable::read_at(std::size_t offset) const {
  const std::byte* p = file_.data() + begin_offset_ + offset;
  const std::size_t size = take_uvarint(p);
  return {reinterpret_cast<const char*>(p), size};
}

std::string_view SymbolTable::by_ordinal(std::size_t ordinal) const {
  const std::byte* p = file_.data() + begin_offset_ + offsets_[ordinal / kStride];
  for (std::size_t skip = ordinal % kStride; skip > 0; --skip) {
    const std::size_t size = take_uvarint(p);
    p += size;
  }
  const std::size_t size = take_uvarint(p);
  return {reinterpret_cast<const char*>(p), size};
}

std::string_view SymbolTable::at(std::uint64_t ref) const {
  if (version_ != kIndexVersion1) return ref < count_ ? by_ordinal(ref) : std::string_view();
  // A byte offset from a foreign file may point anywhere, so nothing is trusted here.
  if (ref < begin_offset_ || ref >= end_offset_ - kCrcBytes) return {};
  ByteReader reader(file_.subspan(static_cast<std::size_t>(ref),
                                  static_cast<std::size_t>(end_offset_ - kCrcBytes - ref)));
  return reader.string();
}

std::optional<std::uint32_t> SymbolTable::find(std::string_view wanted) const {
  // The last kept offset whose string is not greater.
  const auto after =
      std::upper_bound(offsets_.begin(), offsets_.end(), wanted,
                       [&](std::string_view w, std::uint32_t at) { return w < read_at(at); });
  if (after == offsets_.begin()) return std::nullopt;
  const auto first = static_cast<std::size_t>(after - offsets_.begin() - 1) * kStride;
  for (std::size_t i = first; i < std::min(first + kStride, count_); ++i) {
    const std::string_view text = by_ordinal(i);
    if (text != wanted) continue;
    if (version_ != kIndexVersion1) return static_cast<std::uint32_t>(i);
    std::string prefix;  // Version 1 counts from the length in front of the string.
    put_uvarint(prefix, text.size());
    const auto* at = reinterpret_cast<const std::byte*>(text.data()) - prefix.size();
    return static_cast<std::uint32_t>(at - file_.data());
  }
  return std::nullopt;
}

}  // namespace tarsier::tsdb
