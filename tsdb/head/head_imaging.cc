// How the head gets into an image of itself, and out of it.

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "tsdb/head/found_chunk.h"
#include "tsdb/head/head.h"
#include "tsdb/head/head_chunk_ranges.h"
#include "tsdb/head/head_image.h"

namespace tarsier::tsdb {
namespace {

/// Series copied per hold of the commit lock: some 100 us.
constexpr std::size_t kSliceSeries = 512;
constexpr std::size_t kPrefetchRecords = 16;
constexpr std::size_t kPrefetchChunks = 8;
/// What a chunk of floats that is open has at most; more is not ours.
constexpr std::size_t kOpenBytesMax = 1200;

/// The label pairs of some series, numbered in order of name and value.
class PairNumbers final {
 public:
  PairNumbers(const SeriesTable& table, std::span<const Slot> slots) {
    for (const Slot slot : slots) {
      for (const PairId pair : table.info(slot).pair_ids()) {
        if (pair >= numbers_.size()) numbers_.resize(std::size_t{pair} * 2 + 1);
        if (std::exchange(numbers_[pair], 1) == 0) pairs_.push_back(pair);
      }
    }
    std::sort(pairs_.begin(), pairs_.end(), [&](PairId a, PairId b) {
      const LabelView left = table.pairs().view(a);
      const LabelView right = table.pairs().view(b);
      return std::pair(left.name, left.value) < std::pair(right.name, right.value);
    });
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      numbers_[pairs_[i]] = static_cast<std::uint32_t>(i);
    }
  }
  std::span<const PairId> in_order() const { return pairs_; }
  std::uint32_t of(PairId pair) const { return numbers_[pair]; }

 private:
  std::vector<PairId> pairs_;
  std::vector<std::uint32_t> numbers_;  // By pair.
};

}  // namespace

// --- Writing

Status Head::write_image(HeadImageWriter& out, const HeadChunkFiles& files,
                         ImageOrigin& origin) const {
  const std::shared_ptr<const HeadGeneration> now = generation();
  std::vector<Slot> slots;
  SeriesTable::Unlogged unlogged;
  {
    MutexLock lock(commit_mutex_);
    origin.log_begin = log_end();
    // Others have their records behind that.
    unlogged = table_.unlogged();
  }
  {
    MutexLock lock(now->table.mutex());
    now->postings->append_all(slots);
  }
  std::erase_if(slots, [&](Slot slot) {
    const std::uint64_t ref = table_.info(slot).ref;
    return ref > unlogged.newest_ref ||
           std::binary_search(unlogged.refs.begin(), unlogged.refs.end(), ref);
  });
  now->table.sort_by_labels(now->order_epoch, slots);
  const PairNumbers numbers(table_, slots);
  for (const PairId pair : numbers.in_order()) {
    const LabelView view = table_.pairs().view(pair);
    TRY(out.add_pair(view.name, view.value));
  }

  struct Copy {
    SeriesRecord record;
    SeriesInfo info;
    ChunkEncoding encoding = ChunkEncoding::kXor;
    std::size_t open_begin = 0;
    std::size_t open_size = 0;
  };
  const HeadChunkRanges ranges(files);
  std::vector<Copy> copies;
  std::string open;  // Of the copies.
  ImageSeries series;
  for (std::span<const Slot> rest = slots; !rest.empty();) {
    const auto slice = rest.first(std::min(rest.size(), kSliceSeries));
    rest = rest.subspan(slice.size());
    copies.clear();
    open.clear();
    {
      MutexLock lock(commit_mutex_);
      for (std::size_t i = 0; i < slice.size(); ++i) {
        if (i + kPrefetchRecords < slice.size()) {
          __builtin_prefetch(&table_.record(slice[i + kPrefetchRecords]));
          __builtin_prefetch(&table_.info(slice[i + kPrefetchRecords]));
        }
        if (i + kPrefetchChunks < slice.size()) prefetch_open(slice[i + kPrefetchChunks]);
        Copy& copy = copies.emplace_back(Copy{table_.record(slice[i]), table_.info(slice[i]),
                                              ChunkEncoding::kXor, open.size(), 0});
        if (copy.record.newest_is_histogram()) {
          const HistogramEncoder& encoder = histograms_.at(copy.record.place.first).encoder;
          copy.encoding = encoder.encoding();
          if (copy.record.has_open_histogram()) open += as_text(encoder.bytes());
        } else if (copy.record.has_open_chunk()) {
          open.resize(open.size() + copy.record.chunk.byte_count());
          open_.copy(copy.record.place.first, copy.record.chunk.sample_count,
                     std::as_writable_bytes(std::span(open).subspan(copy.open_begin)));
        }
        copy.open_size = open.size() - copy.open_begin;
      }
    }
    for (const Copy& copy : copies) {
      series.ref = copy.info.ref;
      series.hash = copy.info.hash;
      series.pairs.clear();
      for (const PairId pair : copy.info.pair_ids()) series.pairs.push_back(numbers.of(pair));
      series.has_sample = copy.record.chunk.t != kNoSample;
      series.newest_is_histogram = copy.record.newest_is_histogram();
      series.has_histograms = copy.record.has_histograms != 0;
      series.chunk = series.has_sample ? copy.record.chunk : XorState{};
      series.chunk_start = copy.record.chunk_start;
      series.next_at = copy.record.next_at;
      series.open_encoding = static_cast<std::uint8_t>(copy.encoding);
      series.open = as_bytes(std::string_view(open).substr(copy.open_begin, copy.open_size));
      series.chunks.clear();
      for (SealedWalk walk = sealed_chunks(copy.info, now->min_time); walk; walk.next()) {
        ImageChunk& one = series.chunks.emplace_back();
        one.min_t = walk->min_t();
        one.max_t = walk->max_t();
        one.encoding = walk->encoding();
        one.data = walk->bytes();
        one.size = static_cast<std::uint32_t>(one.data.size());
        if (const auto place = ranges.find(walk->entry())) {
          one.file = place->file;
          one.offset = static_cast<std::uint32_t>(place->offset);
        }
      }
      std::reverse(series.chunks.begin(), series.chunks.end());
      if (series.chunks.empty() && series.open.empty()) {
        // All it had is in blocks.
        series.has_sample = series.newest_is_histogram = false;
        series.chunk = {};
      }
      TRY(out.add_series(series));
    }
  }

  if (const auto deleted = tombstones(); !deleted->empty()) {
    TRY(out.add_tombstones(deleted->encode()));
  }
  std::vector<RefMetadata> known;
  {
    MutexLock lock(metadata_mutex_);
    for (const auto& [metric, entries] : metadata_) {
      for (const MetadataEntry& entry : entries) known.push_back({entry.ref, entry.metadata});
    }
  }
  std::string record;
  if (!known.empty()) {
    encode_metadata(known, record);
    TRY(out.add_metadata(record));
  }
  TRY(write_exemplars(out));
  {
    MutexLock lock(commit_mutex_);
    origin.log_end = log_end();
  }
  origin.block_range = Duration{range_ms_};
  origin.newest_ref = unlogged.newest_ref;
  origin.series_count = slots.size();
  for (const auto& [second, first] : table_.second_refs()) {
    origin.second_refs.emplace_back(second, first);
  }
  return {};
}

/// From the oldest on, so that the ring forgets them in that order.
Status Head::write_exemplars(HeadImageWriter& out) const {
  const std::vector<SeriesExemplars> all = exemplars_.select({{}}, {});
  std::vector<std::pair<const SeriesExemplars*, const Exemplar*>> by_time;
  for (const SeriesExemplars& one : all) {
    for (const Exemplar& exemplar : one.exemplars) by_time.emplace_back(&one, &exemplar);
  }
  std::stable_sort(by_time.begin(), by_time.end(),
                   [](const auto& a, const auto& b) { return a.second->t < b.second->t; });
  std::string series;
  std::string record;
  for (const auto& [of, exemplar] : by_time) {
    series.clear();
    record.clear();
    encode_series(std::vector<RefSeries>{{SeriesRef{1}, of->series}}, series);
    encode_exemplars(
        std::vector<RefExemplar>{{SeriesRef{1}, exemplar->t, exemplar->value, exemplar->labels}},
        record);
    TRY(out.add_exemplar(series, record));
  }
  return {};
}

void Head::prefetch_open(Slot slot) const {
  const SeriesRecord& record = table_.record(slot);
  if (record.has_open_chunk()) open_.prefetch(record.place.first);
}

// --- Reading

/// What loading has at hand from series to series.
class Head::ImageLoad final {
 public:
  explicit ImageLoad(const HeadChunkFiles& the_files) : files(the_files) {}

  const HeadChunkFiles& files;
  std::int64_t oldest = INT64_MAX;
  std::int64_t newest = INT64_MIN;
  std::size_t chunk_count = 0;
  SealedWindow* window = nullptr;
  std::int64_t window_end = INT64_MIN;
  XorTails tails;
  std::vector<HeadChunkEntry> entries;
  Status status;  ///< Of the series just loaded.

  Status fail(const ImageSeries& series, std::string_view what) {
    return corruption(fmt::format("series {} of the image: {}", series.ref, what));
  }
};

namespace {

/// The chunk's entry in a file, if that has room for it there. What is in it is not looked at, but
/// for a length that the head would have to read there.
const std::byte* find_entry(const ImageChunk& chunk, const HeadChunkFiles& files) {
  const HeadChunkFile* const file = files.file(chunk.file);
  if (file == nullptr || chunk.offset < kHeadChunksHeaderBytes) return nullptr;
  const Bytes bytes = file->bytes();
  if (chunk.offset + head_chunk_entry_bytes(chunk.size) > bytes.size()) return nullptr;
  const std::byte* const entry = bytes.data() + chunk.offset;
  if (chunk.size < 0xffff) return entry;
  ByteReader length(bytes.subspan(chunk.offset + kHeadChunkFixedBytes));
  return length.uvarint() == chunk.size ? entry : nullptr;
}

/// What files got of a series since the image was made, as far as it can follow `newest_t`.
void find_later(const HeadChunkFiles& files, std::uint64_t ref, std::vector<HeadChunkEntry>& out) {
  out.clear();
  const std::vector<HeadChunkFiles::Found>& found = files.found();
  if (found.empty()) return;
  auto at = std::lower_bound(
      found.begin(), found.end(), ref,
      [](const HeadChunkFiles::Found& one, std::uint64_t r) { return one.series_ref < r; });
  for (; at != found.end() && at->series_ref == ref; ++at) {
    const HeadChunkEntry entry = files.entry(*at);
    if (!entry.header.is_out_of_order) out.push_back(entry);
  }
}

}  // namespace

Status Head::load_image(const HeadImage& image, const HeadChunkFiles& files) {
  MutexLock lock(commit_mutex_);
  ImageLoad load(files);
  Slot count = 0;
  {
    SeriesTable::Refill refill(table_, std::min<std::size_t>(image.origin().series_count, 1 << 24));
    TRY(image.for_each_pair([&](std::string_view name, std::string_view value) {
      return refill.add_pair(name, value);
    }));
    const auto add = [&](const ImageSeries& series) REQUIRES_LOCK(commit_mutex_) {
      const Result<Slot> slot = refill.add_series(series.ref, series.hash, series.pairs);
      if (!slot.ok()) return Status(slot.status());
      load_image_series(load, *slot, series);
      ++count;
      return std::exchange(load.status, {});
    };
    TRY(image.for_each_series(add));
    if (count != image.origin().series_count) return corruption("series of the image are missing");
    TRY(refill.finish());
  }
  image_slot_count_ = count;
  for (const auto& [second, first] : image.origin().second_refs) {
    table_.restore_second(second, first);
  }
  note_replayed(SeriesRef{image.origin().newest_ref});
  if (!image.tombstones().empty()) {
    replayed_tombstones_ = TRY(Tombstones::decode(as_bytes(image.tombstones())));
  }
  std::vector<RefMetadata> metadata;
  if (!image.metadata().empty()) TRY(decode_metadata(as_bytes(image.metadata()), metadata));
  for (const RefMetadata& one : metadata) apply_metadata(one);
  std::vector<RefSeries> of;
  std::vector<RefExemplar> exemplars;
  const auto add_exemplar = [&](std::string_view series, std::string_view record) -> Status {
    TRY(decode_series(as_bytes(series), of));
    TRY(decode_exemplars(as_bytes(record), exemplars));
    if (of.size() != 1 || exemplars.size() != 1) return corruption("an exemplar of the image");
    exemplars_.add(of[0].labels, {exemplars[0].labels, exemplars[0].v, exemplars[0].t});
    return {};
  };
  TRY(image.for_each_exemplar(add_exemplar));
  metrics_.chunks_created.add(load.chunk_count);
  min_time_.store(std::min(min_time(), load.oldest), std::memory_order_relaxed);
  max_time_.store(std::max(max_time(), load.newest), std::memory_order_relaxed);
  return {};
}

void Head::load_image_series(ImageLoad& load, Slot slot, const ImageSeries& series) {
  SeriesRecord& record = table_.record(slot);
  SeriesInfo& info = table_.info(slot);
  record.has_histograms = series.has_histograms ? 1 : 0;
  has_found_histograms_ |= series.has_histograms;
  const bool is_plain = !series.chunks.empty() || !series.open.empty();
  if (series.has_sample != is_plain) {
    load.status = load.fail(series, "samples without chunks");
    return;
  }
  if (!series.has_sample) return;
  ++lane_.first_sample_count;
  find_later(load.files, series.ref, load.entries);
  std::span<const HeadChunkEntry> later = load.entries;

  const auto window_of = [&](std::int64_t t) REQUIRES_LOCK(commit_mutex_) -> SealedWindow& {
    const std::int64_t end = window_end(t);
    if (load.window == nullptr || load.window_end != end) {
      load.window = &lane_.sealed.window(end);
      load.window_end = end;
    }
    return *load.window;
  };
  std::int64_t newest_t = INT64_MIN;
  std::optional<HeadChunkEntry> last;
  const auto add = [&](const ImageChunk& chunk) REQUIRES_LOCK(commit_mutex_) {
    const std::byte* const filed = chunk.file == 0 ? nullptr : find_entry(chunk, load.files);
    HeadChunkEntry entry;
    entry.header = {series.ref, Timestamp{chunk.min_t}, Timestamp{chunk.max_t}, chunk.encoding,
                    false};
    entry.data = chunk.data;
    if (filed != nullptr) {
      entry.data = {filed + kHeadChunkFixedBytes + uvarint_bytes(chunk.size), chunk.size};
    }
    // The bytes in files are not touched: their checksums were compared.
    const ChunkEncoding encoding{chunk.encoding};
    const bool is_float = encoding == ChunkEncoding::kXor;
    const bool is_known = is_float || encoding == ChunkEncoding::kHistogram ||
                          encoding == ChunkEncoding::kFloatHistogram;
    if ((chunk.file != 0 && filed == nullptr) || !is_known || chunk.size < 4 ||
        (is_float && chunk.size > 0xffff) || chunk.min_t <= newest_t ||
        window_end(chunk.min_t) <= chunk.max_t || (is_float ? false : !series.has_histograms)) {
      return false;
    }
    newest_t = chunk.max_t;
    const NewSealedChunk made{entry.header, chunk.size};
    SealedWindow& window = window_of(chunk.min_t);
    SealedChunk* sealed = nullptr;
    if (chunk.file != 0) {
      sealed = window.adopt(made, filed);
    } else if (!later.empty() && later.front().header.min_time.ms == chunk.min_t &&
               later.front().header.max_time.ms == chunk.max_t &&
               later.front().header.encoding == chunk.encoding &&
               later.front().data.size() == chunk.size && adoptable(later.front())) {
      entry = later.front();  // Brought to a file since.
      sealed = window.adopt(made, entry.begin());
      later = later.subspan(1);
    } else {
      const auto [chunk_made, room] = window.allocate(made);
      std::memcpy(room.data(), entry.data.data(), entry.data.size());
      entry.data = room;
      sealed = chunk_made;
    }
    push_sealed(info, window, *sealed, chunk.max_t);
    load.oldest = std::min(load.oldest, chunk.min_t);
    ++load.chunk_count;
    last = entry;
    return true;
  };
  for (const ImageChunk& chunk : series.chunks) {
    if (add(chunk)) continue;
    load.status = load.fail(series, fmt::format("a chunk from {} to {}", chunk.min_t, chunk.max_t));
    return;
  }
  record.chunk.t = series.chunk.t;
  record.chunk.value_bits = series.chunk.value_bits;
  record.next_at = series.chunk.t;  // As if the log had told that.
  load.newest = std::max(load.newest, series.chunk.t);

  // Full chunks that came behind: the first of them is what is open here, grown.
  const bool is_open = !series.open.empty();
  if (is_open &&
      (series.chunk_start <= newest_t || window_end(series.chunk_start) <= series.chunk.t)) {
    load.status = load.fail(series, "the open chunk is out of place");
    return;
  }
  const std::int64_t from = is_open ? series.chunk_start : series.chunk.t;
  if (!later.empty() && (is_open ? later.front().header.min_time.ms == from
                                 : later.front().header.min_time.ms > from)) {
    std::size_t fitting = 0;
    std::int64_t end_t = newest_t;
    for (const HeadChunkEntry& entry : later) {
      const HeadChunkHeader& header = entry.header;
      if (!adoptable(entry) || header.min_time.ms <= end_t ||
          window_end(header.min_time.ms) <= header.max_time.ms) {
        break;
      }
      end_t = header.max_time.ms;
      ++fitting;
    }
    std::optional<LastSample> end;
    while (fitting > 0 && !(end = last_sample(later[fitting - 1]))) --fitting;
    if (fitting > 0 && end->sample.t.ms >= series.chunk.t) {
      take_found(slot, later.first(fitting), *end);
      return;
    }
  }
  if (series.newest_is_histogram) {
    if (is_open) {
      // The next histogram begins another chunk.
      ImageChunk open;
      open.min_t = series.chunk_start;
      open.max_t = series.chunk.t;
      open.encoding = series.open_encoding;
      open.size = static_cast<std::uint32_t>(series.open.size());
      open.data = series.open;
      if (!add(open)) {
        load.status = load.fail(series, "the open chunk is none");
        return;
      }
    }
    const auto end = last ? last_sample(*last) : std::nullopt;
    if (!end || !end->histogram || end->sample.t.ms != series.chunk.t) {
      load.status = load.fail(series, "the last histogram is none");
      return;
    }
    record.place.first = histograms_.begin(ChunkEncoding{last->header.encoding});
    record.place.last = 0;
    record.chunk.leading = SeriesRecord::kHistogramMark;
    histograms_.at(record.place.first)
        .encoder.resume_after(end->header, end->sample.t, *end->histogram);
    return;
  }
  if (!is_open) return;
  if (series.open_encoding != static_cast<std::uint8_t>(ChunkEncoding::kXor) ||
      series.open.size() > kOpenBytesMax) {
    load.status = load.fail(series, "the open chunk is none of floats");
    return;
  }
  record.chunk = series.chunk;
  record.chunk_start = series.chunk_start;
  record.next_at = std::min(series.next_at, window_end(series.chunk_start));
  record.place = open_.begin(lane_.cells);
  load.tails.size = series.open.size() - kXorHeaderBytes;
  load.tails.offset = kXorHeaderBytes;
  std::memcpy(load.tails.bytes.data(), series.open.data() + kXorHeaderBytes, load.tails.size);
  record.place.last = open_.write(lane_.cells, record.place.last, kXorHeaderBytes, load.tails);
  load.oldest = std::min(load.oldest, series.chunk_start);
  ++load.chunk_count;
}

}  // namespace tarsier::tsdb
