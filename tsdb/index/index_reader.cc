#include "tsdb/index/index_reader.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "tsdb/label_comparison.h"

namespace tarsier::tsdb {
namespace {

/// Label pairs in an entry of the postings offset table: always a name and a value.
constexpr std::uint64_t kKeyCount = 2;

/// A section of `be32 length | contents | crc`.
struct Section {
  Bytes contents;
  std::uint32_t stored_crc = 0;
  bool in_bounds = false;
};

Section section_at(Bytes file, std::uint64_t offset) {
  Section section;
  if (offset > file.size()) return section;
  ByteReader reader(file.subspan(static_cast<std::size_t>(offset)));
  section.contents = reader.take(reader.be32());
  section.stored_crc = reader.be32();
  section.in_bounds = reader.ok();
  return section;
}

}  // namespace

Status IndexReader::damaged(std::uint64_t offset, std::string_view what) const {
  return corruption(fmt::format("{}: offset {}: {}", path_, offset, what));
}

Result<std::unique_ptr<IndexReader>> IndexReader::open(FileSystem& files, std::string path) {
  std::unique_ptr<IndexReader> reader(new IndexReader(std::move(path)));
  reader->mapping_ = TRY(files.open_readable(reader->path_, Access::kMap));
  Bytes file = reader->mapping_->mapped();
  if (file.empty()) {
    reader->copy_.resize(static_cast<std::size_t>(reader->mapping_->size()));
    TRY(reader->mapping_->read_at(0, std::as_writable_bytes(std::span(reader->copy_))));
    file = as_bytes(reader->copy_);
  }
  TRY(reader->load(file));
  return reader;
}

Result<std::unique_ptr<IndexReader>> IndexReader::open_bytes(Bytes file, std::string name) {
  std::unique_ptr<IndexReader> reader(new IndexReader(std::move(name)));
  TRY(reader->load(file));
  return reader;
}

Status IndexReader::load(Bytes file) {
  file_ = file;
  if (file.size() < kIndexHeaderBytes + kIndexTocBytes) {
    return damaged(0, fmt::format("{} bytes are too few for an index", file.size()));
  }
  ByteReader header(file);
  const std::uint32_t magic = header.be32();
  version_ = header.u8();
  if (magic != kIndexMagic || (version_ != kIndexVersion && version_ != kIndexVersion1)) {
    return damaged(0, fmt::format("magic {:08x} version {}, want {:08x} and 1 or 2", magic,
                                  version_, kIndexMagic));
  }
  const std::size_t toc_offset = file.size() - kIndexTocBytes;
  const Bytes toc_bytes = file.subspan(toc_offset);
  ByteReader toc(toc_bytes);
  const std::uint64_t symbols = toc.be64();
  const std::uint64_t series = toc.be64();
  const std::uint64_t label_indices = toc.be64();
  toc.be64();  // The label offset table: legacy, never read.
  const std::uint64_t postings = toc.be64();
  const std::uint64_t offset_table = toc.be64();
  const std::uint32_t stored = toc.be32();
  if (const std::uint32_t crc = crc32c(toc_bytes.first(kIndexTocBytes - kCrcBytes));
      crc != stored) {
    return damaged(toc_offset, fmt::format("TOC checksum {:08x}, stored {:08x}", crc, stored));
  }
  series_begin_ = series;
  // Writers that leave label indices out put both at the end of the series.
  series_end_ = label_indices != 0 ? std::min(label_indices, postings) : postings;
  if (series_begin_ > series_end_ || series_end_ > toc_offset) {
    return damaged(toc_offset, "the series section passes the end of the file");
  }
  const Bytes sections = file.first(toc_offset);
  auto symbol_table = SymbolTable::open(sections, symbols, version_);
  if (!symbol_table.ok()) return std::move(symbol_table).status().with_prefix(path_);
  symbols_ = std::move(*symbol_table);
  return load_offset_table(offset_table);
}

Status IndexReader::load_offset_table(std::uint64_t offset) {
  const Section section = section_at(file_.first(file_.size() - kIndexTocBytes), offset);
  if (!section.in_bounds || section.contents.size() < 4) {
    return damaged(offset, "the postings offset table passes the end of the file");
  }
  if (const std::uint32_t crc = crc32c(section.contents); crc != section.stored_crc) {
    return damaged(offset, fmt::format("postings offset table checksum {:08x}, stored {:08x}", crc,
                                       section.stored_crc));
  }
  const auto entry_count = load_be<std::uint32_t>(section.contents.data());
  table_ = section.contents.subspan(4);
  if (version_ == kIndexVersion1) sort_table(entry_count);
  EntryCursor cursor{ByteReader(table_), entry_count};
  Entry previous;
  Entry entry;
  for (std::size_t i = 0; i < entry_count; ++i, previous = entry) {
    const std::size_t at = cursor.reader.offset();
    if (!next(cursor, entry)) return damaged(offset + 8 + at, "damaged postings offset entry");
    const bool same_name = i > 0 && entry.name == previous.name;
    if (i > 0 && (same_name ? entry.value <= previous.value : entry.name < previous.name)) {
      return damaged(offset + 8 + at, "postings offset entries are out of order");
    }
    if (entry.name.empty()) {
      if (!entry.value.empty()) return damaged(offset + 8 + at, "a label without a name");
      all_list_offset_ = entry.list_offset;
      continue;
    }
    if (!same_name) {
      const std::optional<std::uint32_t> symbol = symbols_.find(entry.name);
      if (!symbol) return damaged(offset + 8 + at, "a label name is not among the symbols");
      names_.push_back({.text = entry.name, .symbol = *symbol, .first_kept = kept_entries_.size()});
    }
    if (names_.back().value_count++ % kEntryStride == 0) {
      kept_entries_.push_back(static_cast<std::uint32_t>(at));
    }
  }
  return {};
}

void IndexReader::sort_table(std::size_t entry_count) {
  std::vector<Entry> entries;
  Entry entry;
  for (EntryCursor cursor{ByteReader(table_), entry_count}; next(cursor, entry);) {
    entries.push_back(entry);
  }
  if (entries.size() != entry_count) return;  // The caller meets the damaged entry, and reports it.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.name, a.value) < std::pair(b.name, b.value);
  });
  for (const Entry& e : entries) {
    put_uvarint(sorted_table_, kKeyCount);
    put_string(sorted_table_, e.name);
    put_string(sorted_table_, e.value);
    put_uvarint(sorted_table_, e.list_offset);
  }
  table_ = as_bytes(sorted_table_);
}

bool IndexReader::next(EntryCursor& cursor, Entry& entry) {
  if (cursor.left == 0) return false;
  --cursor.left;
  const std::uint64_t key_count = cursor.reader.uvarint();
  entry.name = cursor.reader.string();
  entry.value = cursor.reader.string();
  entry.list_offset = cursor.reader.uvarint();
  return cursor.reader.ok() && key_count == kKeyCount;
}

const IndexReader::Name* IndexReader::find_name(std::string_view name) const {
  const auto at = std::lower_bound(names_.begin(), names_.end(), name,
                                   [](const Name& n, std::string_view w) { return n.text < w; });
  return at != names_.end() && at->text == name ? &*at : nullptr;
}

IndexReader::EntryCursor IndexReader::seek(const Name& name, std::string_view value) const {
  const auto value_at = [&](std::uint32_t at) {
    EntryCursor cursor{ByteReader(table_.subspan(at)), 1};
    Entry entry;
    next(cursor, entry);
    return entry.value;
  };
  const auto first = kept_entries_.begin() + static_cast<std::ptrdiff_t>(name.first_kept);
  const auto last = first + (name.value_count + kEntryStride - 1) / kEntryStride;
  auto at = std::upper_bound(first, last, value, [&](std::string_view wanted, std::uint32_t kept) {
    return wanted < value_at(kept);
  });
  if (at != first) --at;
  const auto skipped = static_cast<std::size_t>(at - first) * kEntryStride;
  return {ByteReader(table_.subspan(*at)), name.value_count - skipped};
}

std::vector<std::string_view> IndexReader::label_names() const {
  std::vector<std::string_view> names;
  names.reserve(names_.size());
  for (const Name& name : names_) names.push_back(name.text);
  return names;
}

std::size_t IndexReader::value_count(std::string_view name) const {
  const Name* found = find_name(name);
  return found == nullptr ? 0 : found->value_count;
}

std::vector<std::string_view> IndexReader::label_values(std::string_view name) const {
  std::vector<std::string_view> values;
  const Name* found = find_name(name);
  if (found == nullptr) return values;
  values.reserve(found->value_count);
  Entry entry;
  for (EntryCursor cursor = seek(*found, {}); next(cursor, entry);) values.push_back(entry.value);
  return values;
}

Status IndexReader::append_postings(std::string_view name, std::string_view value,
                                    std::vector<Ref>& out) const {
  if (name.empty() && value.empty()) {
    return all_list_offset_ ? append_list(*all_list_offset_, out) : Status();
  }
  const Name* found = find_name(name);
  if (found == nullptr) return {};
  Entry entry;
  for (EntryCursor cursor = seek(*found, value); next(cursor, entry);) {
    if (entry.value < value) continue;
    return entry.value == value ? append_list(entry.list_offset, out) : Status();
  }
  return {};
}

Status IndexReader::append_list(std::uint64_t offset, std::vector<Ref>& out) const {
  const Section section = section_at(file_, offset);
  if (!section.in_bounds || section.contents.size() < 4) {
    return damaged(offset, "a postings list passes the end of the file");
  }
  if (const std::uint32_t crc = crc32c(section.contents); crc != section.stored_crc) {
    return damaged(offset, fmt::format("postings list checksum {:08x}, stored {:08x}", crc,
                                       section.stored_crc));
  }
  const auto count = load_be<std::uint32_t>(section.contents.data());
  if (section.contents.size() != 4 + std::uint64_t{4} * count) {
    return damaged(offset, fmt::format("a postings list of {} bytes says it has {} entries",
                                       section.contents.size(), count));
  }
  const std::size_t begin = out.size();
  out.resize(begin + count);
  const std::byte* refs = section.contents.data() + 4;
  bool ascending = true;
  for (std::size_t i = 0; i < count; ++i) {
    out[begin + i] = load_be<std::uint32_t>(refs + 4 * i);
    ascending &= i == 0 || out[begin + i - 1] < out[begin + i];
  }
  return ascending ? Status() : damaged(offset, "a postings list does not ascend");
}

Result<Bytes> IndexReader::series(Ref ref, Verify verify) const {
  const std::uint64_t offset = version_ == kIndexVersion1 ? ref : ref * kSeriesAlignment;
  if (offset < series_begin_ || offset >= series_end_) {
    return damaged(offset, "a series reference points outside the series section");
  }
  ByteReader reader(file_.subspan(static_cast<std::size_t>(offset),
                                  static_cast<std::size_t>(series_end_ - offset)));
  const Bytes body = reader.take(reader.uvarint());
  const std::uint32_t stored = reader.be32();
  if (!reader.ok()) return damaged(offset, "a series entry passes the end of its section");
  if (verify == Verify::kNo) return body;
  if (const std::uint32_t crc = crc32c(body); crc != stored) {
    return damaged(offset, fmt::format("series checksum {:08x}, stored {:08x}", crc, stored));
  }
  return body;
}

Status IndexReader::damaged_series(Bytes series) const {
  return damaged(static_cast<std::uint64_t>(series.data() - file_.data()),
                 "damaged labels or chunks of a series");
}

/// `reader` stands behind the labels of `series`. Stops when `at` returns false.
template <typename At>
Status IndexReader::for_each_chunk(ByteReader& reader, Bytes series, At at) const {
  const std::uint64_t count = reader.uvarint();
  std::uint64_t time = 0;  // Unsigned: sums of foreign numbers may wrap, and are checked after.
  std::uint64_t ref = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    time += i == 0 ? static_cast<std::uint64_t>(reader.varint()) : reader.uvarint();
    const Timestamp min{static_cast<std::int64_t>(time)};
    time += reader.uvarint();
    const Timestamp max{static_cast<std::int64_t>(time)};
    ref += i == 0 ? reader.uvarint() : static_cast<std::uint64_t>(reader.varint());
    if (!reader.ok() || max < min) return damaged_series(series);
    if (!at(ChunkMeta{min, max, ref})) return {};
  }
  return reader.ok() ? Status() : damaged_series(series);
}

Status IndexReader::append_chunks(Bytes series, TimeRange range,
                                  std::vector<ChunkMeta>& out) const {
  ByteReader reader(series);
  for (std::uint64_t n = reader.uvarint(); n > 0 && reader.ok(); --n) {
    reader.uvarint();
    reader.uvarint();
  }
  return for_each_chunk(reader, series, [&](const ChunkMeta& chunk) {
    if (chunk.max_time < range.min) return true;
    if (chunk.min_time > range.max) return false;
    out.push_back(chunk);
    return true;
  });
}

Result<bool> IndexReader::overlaps(Bytes series, TimeRange range) const {
  ByteReader reader(series);
  std::uint64_t previous = 0;
  const std::uint64_t count = reader.uvarint();
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t name = reader.uvarint();
    const std::uint64_t value = reader.uvarint();
    // References grow with the strings, so ascending names are ascending references.
    const bool in_order = i == 0 || previous < name;
    if (!reader.ok() || !in_order || !symbols_.is_text(name) || !symbols_.is_text(value)) {
      return damaged_series(series);
    }
    previous = name;
  }
  bool found = false;
  TRY(for_each_chunk(reader, series, [&](const ChunkMeta& chunk) {
    found = range.overlaps(chunk.range());
    return !found && chunk.min_time <= range.max;
  }));
  return found;
}

Status IndexReader::decode_labels(Bytes series, std::vector<LabelView>& out) const {
  out.clear();
  ByteReader reader(series);
  std::uint64_t previous = 0;
  for (std::uint64_t n = reader.uvarint(); n > 0; --n) {
    const std::uint64_t name = reader.uvarint();
    const std::uint64_t value = reader.uvarint();
    const bool in_order = out.empty() || previous < name;
    if (!reader.ok() || !in_order || !symbols_.is_text(name) || !symbols_.is_text(value)) {
      return damaged_series(series);
    }
    out.push_back({symbols_.at(name), symbols_.at(value)});
    previous = name;
  }
  return {};
}

std::strong_ordering IndexReader::compare_labels(Bytes series, const Labels& labels) const {
  ByteReader reader(series);
  std::uint64_t left = reader.uvarint();
  const auto next = [&]() -> LabelView {
    if (left == 0) return {};
    --left;
    const std::uint64_t name = reader.uvarint();
    const std::uint64_t value = reader.uvarint();
    if (!reader.ok() || !symbols_.is_text(name) || !symbols_.is_text(value)) return {};
    return {symbols_.at(name), symbols_.at(value)};
  };
  return tsdb::compare_labels(next, labels);
}

std::optional<std::uint32_t> IndexReader::name_symbol(std::string_view name) const {
  const Name* found = find_name(name);
  if (found == nullptr) return std::nullopt;
  return found->symbol;
}

std::string_view IndexReader::find_value(Bytes series, std::uint32_t name_symbol) const {
  ByteReader reader(series);
  for (std::uint64_t n = reader.uvarint(); n > 0 && reader.ok(); --n) {
    const std::uint64_t name = reader.uvarint();
    const std::uint64_t value = reader.uvarint();
    if (name == name_symbol) return symbols_.at(value);
    if (name > name_symbol) break;
  }
  return {};
}

Result<std::string_view> IndexReader::label_value(Ref ref, std::string_view name) const {
  const std::optional<std::uint32_t> symbol = name_symbol(name);
  if (!symbol) return std::string_view();
  return find_value(TRY(series(ref)), *symbol);
}

}  // namespace tarsier::tsdb
