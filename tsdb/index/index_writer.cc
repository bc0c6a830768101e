#include "tsdb/index/index_writer.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint64_t kSectionBytesMax = std::numeric_limits<std::uint32_t>::max();
/// Label pairs in an entry of the postings offset table: always a name and a value.
constexpr std::uint64_t kKeyCount = 2;

void put_crc(std::string& out, std::size_t from) {
  put_be32(out, crc32c(as_bytes(out).subspan(from)));
}

std::uint64_t distance(Timestamp from, Timestamp to) {
  return static_cast<std::uint64_t>(to.ms) - static_cast<std::uint64_t>(from.ms);
}

void put_chunks(std::string& out, std::span<const ChunkMeta> chunks) {
  put_uvarint(out, chunks.size());
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const ChunkMeta& chunk = chunks[i];
    CHECK(chunk.min_time <= chunk.max_time);
    if (i == 0) {
      put_varint(out, chunk.min_time.ms);
    } else {
      CHECK(chunks[i - 1].max_time < chunk.min_time, "chunks must not overlap");
      put_uvarint(out, distance(chunks[i - 1].max_time, chunk.min_time));
    }
    put_uvarint(out, distance(chunk.min_time, chunk.max_time));
    if (i == 0) {
      put_uvarint(out, chunk.ref);
    } else {
      put_varint(out, static_cast<std::int64_t>(chunk.ref - chunks[i - 1].ref));
    }
  }
}

}  // namespace

IndexWriter::IndexWriter(FileSystem& files, std::string path, SymbolSet symbols, OutputFile out)
    : files_(files), path_(std::move(path)), symbols_(std::move(symbols)), out_(std::move(out)) {}

Result<std::unique_ptr<IndexWriter>> IndexWriter::create(FileSystem& files, std::string path,
                                                         SymbolSet symbols) {
  symbols.sort();
  OutputFile out = TRY(OutputFile::create(files, path));
  std::unique_ptr<IndexWriter> writer(
      new IndexWriter(files, std::move(path), std::move(symbols), std::move(out)));
  TRY(writer->write_symbols());
  return writer;
}

Status IndexWriter::write_symbols() {
  put_be32(scratch_, kIndexMagic);
  put_u8(scratch_, kIndexVersion);
  TRY(out_.append(scratch_));
  toc_.symbols = out_.offset();

  std::string& section = scratch_;
  section.clear();
  put_be32(section, static_cast<std::uint32_t>(symbols_.size()));
  for (std::uint32_t i = 0; i < symbols_.size(); ++i) put_string(section, symbols_.at(i));
  if (section.size() > kSectionBytesMax) {
    return limit_exceeded(path_ + ": the label names and values of a block exceed 4 GiB");
  }
  std::string size;
  put_be32(size, static_cast<std::uint32_t>(section.size()));
  put_crc(section, 0);
  TRY(out_.append(size));
  TRY(out_.append(section));
  toc_.series = out_.offset();
  toc_.series_end = toc_.series;
  pair_counts_.assign(symbols_.size(), 0);
  return {};
}

Result<std::uint32_t> IndexWriter::add_series(const Labels& labels,
                                              std::span<const ChunkMeta> chunks) {
  CHECK(last_labels_ < labels, "series must be added in label order: " + labels.to_string());
  CHECK(!chunks.empty(), "a series without chunks has no place in an index");
  CHECK(chunks.front().ref >= last_chunk_ref_, "chunks must lie in the order of series");
  last_chunk_ref_ = chunks.back().ref;

  std::string& body = scratch_;
  body.clear();
  put_uvarint(body, labels.count());
  for (const LabelView& label : labels) {
    const std::optional<std::uint32_t> name = symbols_.find(label.name);
    const std::optional<std::uint32_t> value = symbols_.find(label.value);
    CHECK(name && value, "unknown symbol in " + labels.to_string());
    put_uvarint(body, *name);
    put_uvarint(body, *value);
    ++pair_counts_[*name];
  }
  put_chunks(body, chunks);

  TRY(out_.pad_to(kSeriesAlignment));
  const std::uint64_t ref = out_.offset() / kSeriesAlignment;
  if (ref > std::numeric_limits<std::uint32_t>::max()) {
    return limit_exceeded(path_ + ": an index cannot exceed 64 GiB");
  }
  entry_.clear();
  put_uvarint(entry_, body.size());
  entry_ += body;
  put_be32(entry_, crc32c(as_bytes(body)));
  TRY(out_.append(entry_));
  toc_.series_end = out_.offset();
  last_labels_ = labels;
  series_refs_.push_back(static_cast<std::uint32_t>(ref));
  return static_cast<std::uint32_t>(ref);
}

Status IndexWriter::finish() {
  TRY(write_all_postings());
  TRY(write_offset_table());
  TRY(write_toc());
  return out_.sync();
}

Status IndexWriter::write_all_postings() {
  // The list of every series comes first, under the empty name and value.
  sorted_.clear();
  for (const std::uint32_t ref : series_refs_) sorted_.push_back({0, ref});
  TRY(write_list("", "", sorted_));
  TRY(out_.flush());
  const auto file = TRY(files_.open_readable(path_, Access::kMap));
  std::string copy;
  Bytes bytes = file->mapped();
  if (bytes.empty()) {
    copy.resize(static_cast<std::size_t>(toc_.series_end));
    TRY(file->read_at(0, std::as_writable_bytes(std::span(copy))));
    bytes = as_bytes(copy);
  }

  std::vector<std::uint32_t> names;
  std::uint64_t pair_count = 0;
  for (std::uint32_t name = 0; name < pair_counts_.size(); ++name) {
    if (pair_counts_[name] == 0) continue;
    if (!names.empty() && pair_count + pair_counts_[name] > kPassPairs) {
      TRY(write_name_postings(names, bytes));
      names.clear();
      pair_count = 0;
    }
    names.push_back(name);
    pair_count += pair_counts_[name];
  }
  return write_name_postings(names, bytes);
}

/// One pass over the series section for all of `names` (ascending ordinals).
Status IndexWriter::write_name_postings(std::span<const std::uint32_t> names, Bytes file) {
  if (names.empty()) return {};
  std::vector<std::vector<Posting>> postings(names.size());
  std::vector<std::uint32_t> position_of(names.back() + 1,
                                         std::numeric_limits<std::uint32_t>::max());
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    position_of[names[i]] = i;
    postings[i].reserve(static_cast<std::size_t>(pair_counts_[names[i]]));
  }
  for (const std::uint32_t ref : series_refs_) {
    ByteReader reader(file.subspan(static_cast<std::size_t>(ref * kSeriesAlignment)));
    reader.uvarint();  // The length of the entry.
    for (std::uint64_t n = reader.uvarint(); n > 0; --n) {
      const std::uint64_t name = reader.uvarint();
      const auto value = static_cast<std::uint32_t>(reader.uvarint());
      if (name >= position_of.size() || position_of[name] >= names.size()) continue;
      postings[position_of[name]].push_back({value, ref});
    }
    if (!reader.ok()) return corruption(path_ + ": what was written does not read back");
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    sort_by_value(postings[i]);
    const std::span<const Posting> all = postings[i];
    std::size_t begin = 0;
    while (begin < all.size()) {
      std::size_t end = begin;
      while (end < all.size() && all[end].value == all[begin].value) ++end;
      TRY(write_list(symbols_.at(names[i]), symbols_.at(all[begin].value),
                     all.subspan(begin, end - begin)));
      begin = end;
    }
    std::vector<Posting>().swap(postings[i]);
  }
  return {};
}

/// Stable, so that references stay ascending within a value.
void IndexWriter::sort_by_value(std::vector<Posting>& postings) {
  if (postings.size() < symbols_.size() / 16) {
    std::stable_sort(postings.begin(), postings.end(),
                     [](const Posting& a, const Posting& b) { return a.value < b.value; });
    return;
  }
  value_starts_.assign(symbols_.size() + 1, 0);
  for (const Posting& posting : postings) ++value_starts_[posting.value + 1];
  for (std::size_t i = 1; i < value_starts_.size(); ++i) value_starts_[i] += value_starts_[i - 1];
  sorted_.resize(postings.size());
  for (const Posting& posting : postings) sorted_[value_starts_[posting.value]++] = posting;
  postings.swap(sorted_);
}

Status IndexWriter::write_list(std::string_view name, std::string_view value,
                               std::span<const Posting> postings) {
  TRY(out_.pad_to(kPostingsAlignment));
  put_uvarint(offset_table_, kKeyCount);
  put_string(offset_table_, name);
  put_string(offset_table_, value);
  put_uvarint(offset_table_, out_.offset());
  ++list_count_;

  std::string& list = scratch_;
  list.clear();
  put_be32(list, static_cast<std::uint32_t>(4 + 4 * postings.size()));
  put_be32(list, static_cast<std::uint32_t>(postings.size()));
  for (const Posting& posting : postings) put_be32(list, posting.series_ref);
  put_crc(list, 4);
  return out_.append(list);
}

Status IndexWriter::write_offset_table() {
  if (offset_table_.size() + 4 > kSectionBytesMax) {
    return limit_exceeded(path_ + ": the postings offset table of a block exceeds 4 GiB");
  }
  toc_.offset_table = out_.offset();
  std::string& head = scratch_;
  head.clear();
  put_be32(head, static_cast<std::uint32_t>(4 + offset_table_.size()));
  put_be32(head, list_count_);
  const std::uint32_t crc = crc32c(as_bytes(offset_table_), crc32c(as_bytes(head).subspan(4)));
  TRY(out_.append(head));
  TRY(out_.append(offset_table_));
  std::string tail;
  put_be32(tail, crc);
  return out_.append(tail);
}

Status IndexWriter::write_toc() {
  std::string& toc = scratch_;
  toc.clear();
  put_be64(toc, toc_.symbols);
  put_be64(toc, toc_.series);
  put_be64(toc, toc_.series_end);    // Label indices: none are written any more.
  put_be64(toc, toc_.offset_table);  // Their offset table: likewise.
  put_be64(toc, toc_.series_end);    // Postings, before their padding.
  put_be64(toc, toc_.offset_table);
  put_crc(toc, 0);
  return out_.append(toc);
}

}  // namespace tarsier::tsdb
