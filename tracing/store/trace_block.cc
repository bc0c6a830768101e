#include "tracing/store/trace_block.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/compression.h"
#include "base/crc32c.h"
#include "tracing/store/bloom_filter.h"

namespace tarsier::tracing {
namespace {

constexpr std::string_view kMagic = "TSRTRC01";
constexpr std::string_view kSuffix = ".traces";
constexpr std::size_t kIdsPerPage = 256;
constexpr std::size_t kPlaceSize = 24;
constexpr std::size_t kTrailerSize = 8 + 8 + 4 + 8;  // Offset, size and checksum of meta, magic.
constexpr std::uint64_t kMetaSizeMax = std::uint64_t{1} << 30;
constexpr std::uint64_t kSummarySizeMax = std::uint64_t{1} << 28;
constexpr int kZstdLevel = 3;

void put_id(std::string& out, TraceId id) {
  put_be64(out, id.high);
  put_be64(out, id.low);
}

TraceId take_id(ByteReader& in) {
  TraceId id;
  id.high = in.be64();
  id.low = in.be64();
  return id;
}

std::uint64_t id_hash(TraceId id) {
  std::string bytes;
  append_bytes(bytes, id);
  return filter_hash(bytes);
}

bool place_less(const TracePlace& a, const TracePlace& b) {
  return std::tie(a.id, a.group, a.ordinal) < std::tie(b.id, b.group, b.ordinal);
}

void put_group(std::string& out, const GroupInfo& g) {
  put_uvarint(out, g.offset);
  put_uvarint(out, g.size);
  put_uvarint(out, g.directory_size);
  put_uvarint(out, g.directory_raw_size);
  put_be32(out, g.directory_crc);
  put_uvarint(out, g.row_count);
  put_uvarint(out, g.trace_count);
  put_be64(out, g.start_min_ns);
  put_be64(out, g.end_max_ns);
}

GroupInfo take_group(ByteReader& in) {
  GroupInfo g;
  g.offset = in.uvarint();
  g.size = in.uvarint();
  g.directory_size = in.uvarint();
  g.directory_raw_size = in.uvarint();
  g.directory_crc = in.be32();
  g.row_count = static_cast<std::uint32_t>(in.uvarint());
  g.trace_count = static_cast<std::uint32_t>(in.uvarint());
  g.start_min_ns = in.be64();
  g.end_max_ns = in.be64();
  return g;
}

}  // namespace

void encode_block_meta(const TraceBlockMeta& meta, std::string& out) {
  put_uvarint(out, meta.sequence);
  put_uvarint(out, meta.log_segment_max);
  put_uvarint(out, meta.replaces.size());
  for (const std::uint64_t sequence : meta.replaces) put_uvarint(out, sequence);
  put_varint(out, meta.filed_min.ms);
  put_varint(out, meta.filed_max.ms);
  put_be64(out, meta.start_min_ns);
  put_be64(out, meta.end_max_ns);
  put_uvarint(out, meta.row_count);
  put_uvarint(out, meta.trace_count);
  put_uvarint(out, meta.groups.size());
  for (const GroupInfo& group : meta.groups) put_group(out, group);
  put_uvarint(out, meta.ids_offset);
  put_uvarint(out, meta.id_pages.size());
  for (const IdPage& page : meta.id_pages) {
    put_id(out, page.first);
    put_be32(out, page.crc);
  }
  put_string(out, meta.id_filter);
  put_uvarint(out, meta.late.size());
  for (const TraceId id : meta.late) put_id(out, id);
  put_uvarint(out, meta.summary.offset);
  put_uvarint(out, meta.summary.size);
  put_uvarint(out, meta.summary.raw_size);
  put_be32(out, meta.summary.crc);
}

Result<TraceBlockMeta> decode_block_meta(std::string_view bytes) {
  ByteReader in(as_bytes(bytes));
  TraceBlockMeta meta;
  const auto repeat = [&](auto body) {
    for (std::uint64_t n = in.uvarint(); n > 0 && in.ok(); --n) body();
  };
  meta.sequence = in.uvarint();
  meta.log_segment_max = in.uvarint();
  repeat([&] { meta.replaces.push_back(in.uvarint()); });
  meta.filed_min.ms = in.varint();
  meta.filed_max.ms = in.varint();
  meta.start_min_ns = in.be64();
  meta.end_max_ns = in.be64();
  meta.row_count = in.uvarint();
  meta.trace_count = in.uvarint();
  repeat([&] { meta.groups.push_back(take_group(in)); });
  meta.ids_offset = in.uvarint();
  repeat([&] {
    const TraceId first = take_id(in);
    meta.id_pages.push_back({.first = first, .crc = in.be32()});
  });
  meta.id_filter = in.string();
  repeat([&] { meta.late.push_back(take_id(in)); });
  meta.summary.offset = in.uvarint();
  meta.summary.size = in.uvarint();
  meta.summary.raw_size = in.uvarint();
  meta.summary.crc = in.be32();
  const bool is_sane = in.ok() && in.empty() && meta.summary.raw_size <= kSummarySizeMax &&
                       meta.id_pages.size() == (meta.trace_count + kIdsPerPage - 1) / kIdsPerPage &&
                       std::all_of(meta.groups.begin(), meta.groups.end(), [](const GroupInfo& g) {
                         return g.size <= kGroupBytesMax && g.directory_size <= g.size &&
                                g.row_count <= kGroupRowsMax;
                       });
  if (!is_sane) return corruption(fmt::format("damaged meta near byte {}", in.offset()));
  return meta;
}

Result<std::unique_ptr<TraceBlockWriter>> TraceBlockWriter::create(FileSystem& files,
                                                                   std::string directory,
                                                                   std::uint64_t sequence) {
  std::unique_ptr<TraceBlockWriter> writer(new TraceBlockWriter(files, std::move(directory)));
  writer->meta_.sequence = sequence;
  writer->meta_.start_min_ns = std::numeric_limits<std::uint64_t>::max();
  writer->temporary_ = join_path(writer->directory_, block_file_name(sequence) + ".tmp");
  writer->file_ = TRY(files.open_writable(writer->temporary_, OpenMode::kTruncate));
  TRY(writer->append(kMagic));
  return writer;
}

Status TraceBlockWriter::append(std::string_view bytes) {
  TRY(file_->append(as_bytes(bytes)));
  offset_ += bytes.size();
  return {};
}

Status TraceBlockWriter::add_group(std::string_view bytes, GroupInfo info,
                                   const std::vector<TraceId>& ids) {
  CHECK(bytes.size() == info.size && ids.size() == info.trace_count);
  info.offset = offset_;
  const auto index = static_cast<std::uint32_t>(meta_.groups.size());
  for (std::uint32_t i = 0; i < ids.size(); ++i) {
    places_.push_back({.id = ids[i], .group = index, .ordinal = i});
  }
  meta_.groups.push_back(info);
  meta_.row_count += info.row_count;
  meta_.start_min_ns = std::min(meta_.start_min_ns, info.start_min_ns);
  meta_.end_max_ns = std::max(meta_.end_max_ns, info.end_max_ns);
  return append(bytes);
}

Result<std::string> TraceBlockWriter::finish(const TraceBlockMeta& wanted,
                                             const BlockSummary& summary) {
  meta_.log_segment_max = wanted.log_segment_max;
  meta_.replaces = wanted.replaces;
  meta_.filed_min = wanted.filed_min;
  meta_.filed_max = wanted.filed_max;
  meta_.late = wanted.late;
  meta_.trace_count = places_.size();
  meta_.ids_offset = offset_;
  std::sort(places_.begin(), places_.end(), place_less);
  std::vector<std::uint64_t> hashes;
  for (std::size_t begin = 0; begin < places_.size(); begin += kIdsPerPage) {
    std::string page;
    for (std::size_t i = begin; i < std::min(begin + kIdsPerPage, places_.size()); ++i) {
      put_id(page, places_[i].id);
      put_be32(page, places_[i].group);
      put_be32(page, places_[i].ordinal);
      hashes.push_back(id_hash(places_[i].id));
    }
    meta_.id_pages.push_back({.first = places_[begin].id, .crc = crc32c(as_bytes(page))});
    TRY(append(page));
  }
  meta_.id_filter = build_filter(hashes);
  std::string raw;
  encode_summary(summary, raw);
  std::string packed;
  zstd_compress(as_bytes(raw), kZstdLevel, packed);
  meta_.summary = {.offset = offset_,
                   .size = packed.size(),
                   .raw_size = raw.size(),
                   .crc = crc32c(as_bytes(packed))};
  TRY(append(packed));
  std::string end;
  encode_block_meta(meta_, end);
  const std::size_t meta_size = end.size();
  const std::uint32_t crc = crc32c(as_bytes(end));
  put_be64(end, offset_);
  put_be64(end, meta_size);
  put_be32(end, crc);
  end += kMagic;
  TRY(append(end));
  TRY(file_->sync());
  file_.reset();
  std::string path = join_path(directory_, block_file_name(meta_.sequence));
  TRY(files_.rename(temporary_, path));
  TRY(files_.sync_directory(directory_));
  return path;
}

Result<std::shared_ptr<const TraceBlock>> TraceBlock::open(FileSystem& files, std::string path) {
  std::unique_ptr<ReadableFile> file = TRY(files.open_readable(path, Access::kRead));
  const std::uint64_t size = file->size();
  std::shared_ptr<TraceBlock> block(new TraceBlock(path, std::move(file)));
  const auto damaged = [&](std::string_view what) {
    return corruption(fmt::format("{}: {}", path, what));
  };
  if (size < kMagic.size() + kTrailerSize) return damaged("too short for a block");
  const std::string trailer = TRY(block->read(size - kTrailerSize, kTrailerSize));
  ByteReader in(as_bytes(trailer));
  const std::uint64_t meta_offset = in.be64();
  const std::uint64_t meta_size = in.be64();
  const std::uint32_t crc = in.be32();
  if (as_text(in.take(kMagic.size())) != kMagic) return damaged("the end of a block is missing");
  if (meta_size > kMetaSizeMax || meta_offset > size - kTrailerSize ||
      meta_size != size - kTrailerSize - meta_offset) {
    return damaged("meta lies outside the file");
  }
  const std::string meta = TRY(block->read(meta_offset, meta_size));
  if (crc32c(as_bytes(meta)) != crc) return damaged("wrong checksum of meta");
  Result<TraceBlockMeta> decoded = decode_block_meta(meta);
  if (!decoded.ok()) return damaged(decoded.status().message());
  block->meta_ = std::move(*decoded);
  for (const GroupInfo& group : block->meta_.groups) {
    if (group.offset > meta_offset || group.size > meta_offset - group.offset) {
      return damaged("a group lies outside the file");
    }
  }
  return std::shared_ptr<const TraceBlock>(std::move(block));
}

Result<std::string> TraceBlock::read(std::uint64_t offset, std::uint64_t size) const {
  if (offset > file_->size() || size > file_->size() - offset) {
    return corruption(fmt::format("{}: {} bytes at {} lie outside the file", path_, size, offset));
  }
  std::string out(size, '\0');
  TRY(file_->read_at(offset, std::as_writable_bytes(std::span(out))).with_prefix(path_));
  return out;
}

bool TraceBlock::may_hold(TraceId id) const {
  return filter_may_hold(meta_.id_filter, id_hash(id));
}

Result<std::vector<TracePlace>> TraceBlock::page(std::size_t index) const {
  const std::size_t first = index * kIdsPerPage;
  const std::size_t count =
      std::min<std::size_t>(kIdsPerPage, static_cast<std::size_t>(meta_.trace_count) - first);
  const std::string bytes = TRY(read(meta_.ids_offset + first * kPlaceSize, count * kPlaceSize));
  if (crc32c(as_bytes(bytes)) != meta_.id_pages[index].crc) {
    return corruption(fmt::format("{}: wrong checksum of page {} of trace ids", path_, index));
  }
  ByteReader in(as_bytes(bytes));
  std::vector<TracePlace> out(count);
  for (TracePlace& place : out) {
    place.id = take_id(in);
    place.group = in.be32();
    place.ordinal = in.be32();
    const bool is_sane =
        place.group < meta_.groups.size() && place.ordinal < meta_.groups[place.group].trace_count;
    if (!is_sane) return corruption(path_ + ": a trace outside its group");
  }
  return out;
}

Result<std::vector<TracePlace>> TraceBlock::find(TraceId id) const {
  std::vector<TracePlace> out;
  if (!may_hold(id)) return out;
  auto at = std::lower_bound(meta_.id_pages.begin(), meta_.id_pages.end(), id,
                             [](const IdPage& p, TraceId wanted) { return p.first < wanted; });
  // The trace may begin in the page before the first one that begins with it.
  if (at != meta_.id_pages.begin()) --at;
  for (; at != meta_.id_pages.end() && at->first <= id; ++at) {
    for (const TracePlace& place :
         TRY(page(static_cast<std::size_t>(at - meta_.id_pages.begin())))) {
      if (place.id == id) out.push_back(place);
    }
  }
  return out;
}

Result<std::vector<TracePlace>> TraceBlock::all_places() const {
  std::vector<TracePlace> out;
  for (std::size_t i = 0; i < meta_.id_pages.size(); ++i) {
    const std::vector<TracePlace> places = TRY(page(i));
    out.insert(out.end(), places.begin(), places.end());
  }
  return out;
}

Result<BlockSummary> TraceBlock::summary() const {
  const std::string packed = TRY(read(meta_.summary.offset, meta_.summary.size));
  if (crc32c(as_bytes(packed)) != meta_.summary.crc) {
    return corruption(path_ + ": wrong checksum of the summary");
  }
  std::string raw;
  TRY(zstd_decompress(as_bytes(packed), meta_.summary.raw_size, raw));
  Result<BlockSummary> out = decode_summary(raw);
  if (!out.ok()) return std::move(out).status().with_prefix(path_);
  return out;
}

std::string block_file_name(std::uint64_t sequence) {
  return fmt::format("{:016}{}", sequence, kSuffix);
}

std::optional<std::uint64_t> block_sequence_of(std::string_view file_name) {
  if (!file_name.ends_with(kSuffix)) return std::nullopt;
  const std::string_view digits = file_name.substr(0, file_name.size() - kSuffix.size());
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (digits.size() != 16 || error != std::errc{} || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return out;
}

}  // namespace tarsier::tracing
