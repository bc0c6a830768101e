#include "tsdb/head/head_image_keeper.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "tsdb/wal/log_format.h"

namespace tarsier::tsdb {
namespace {

constexpr Duration kGlance = seconds(2);

/// The first `size` bytes of a file. kCorruption if it has less.
Result<ImageFile> describe(const ReadableFile& file, ImageFile::Kind kind, std::uint32_t number,
                           std::uint64_t size) {
  ImageFile out{kind, number, size, 0};
  std::array<std::byte, ImageFile::kTailBytes> tail;
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(size, tail.size()));
  if (count > 0) TRY(file.read_at(size - count, std::span(tail).first(count)));
  out.tail_crc = crc32c(Bytes(tail).first(count));
  return out;
}

/// The checkpoint and the segments up to `end`, which is in the last of them.
Result<std::vector<ImageFile>> describe_log(FileSystem& files, const std::string& wal_directory,
                                            std::optional<std::uint32_t> checkpoint,
                                            LogPosition end) {
  std::vector<ImageFile> out;
  if (checkpoint) {
    const std::string directory = join_path(wal_directory, checkpoint_name(*checkpoint));
    for (const std::uint32_t segment : TRY(list_segments(files, directory))) {
      const auto file =
          TRY(files.open_readable(join_path(directory, segment_name(segment)), Access::kRead));
      out.push_back(
          TRY(describe(*file, ImageFile::Kind::kCheckpointSegment, segment, file->size())));
    }
  }
  for (const std::uint32_t segment : TRY(list_segments(files, wal_directory))) {
    if (segment > segment_of(end)) break;
    const auto file =
        TRY(files.open_readable(join_path(wal_directory, segment_name(segment)), Access::kRead));
    const std::uint64_t size = segment == segment_of(end) ? offset_of(end) : file->size();
    out.push_back(TRY(describe(*file, ImageFile::Kind::kSegment, segment, size)));
  }
  return out;
}

bool same(const ImageFile& a, const ImageFile& b) {
  return a.kind == b.kind && a.number == b.number && a.size == b.size && a.tail_crc == b.tail_crc;
}

std::uint64_t log_bytes(LogPosition from, LogPosition to, std::uint64_t segment_bytes) {
  if (to <= from) return 0;
  const std::uint64_t segments = segment_of(to) - segment_of(from);
  return segments * segment_bytes + offset_of(to) - std::min(offset_of(from), offset_of(to));
}

}  // namespace

Result<std::unique_ptr<HeadImage>> find_head_image(FileSystem& files, const ImagePaths& paths,
                                                   const Options& options, Timestamp served_until,
                                                   ThreadPool* pool, std::string& reason) {
  std::unique_ptr<HeadImage> none;
  auto image = HeadImage::open(files, paths.data_directory, pool);
  if (!image.ok()) {
    if (image.status().code() != Code::kNotFound) reason = image.status().message();
    return none;
  }
  const ImageOrigin& origin = (*image)->origin();
  if (origin.block_range != options.block_range) {
    reason = "it was made with blocks of another length";
    return none;
  }
  if (origin.served_until != served_until) {
    reason = "blocks have come or gone since";
    return none;
  }
  if (!files.exists(paths.wal_directory)) {
    reason = "there is no log";
    return none;
  }
  if (TRY(find_newest_checkpoint(files, paths.wal_directory)) != origin.checkpoint) {
    reason = "the log has another checkpoint";
    return none;
  }
  const auto log = describe_log(files, paths.wal_directory, origin.checkpoint, origin.log_end);
  if (!log.ok()) {
    reason = log.status().message();
    return none;
  }
  std::vector<ImageFile> expected;
  for (const ImageFile& file : origin.files) {
    if (file.kind != ImageFile::Kind::kHeadChunks) expected.push_back(file);
  }
  if (!std::equal(log->begin(), log->end(), expected.begin(), expected.end(), same)) {
    reason = "segments of the log are not what they were";
    return none;
  }
  return std::move(image).value();
}

HeadChunkFiles::Known known_chunks(const ImageOrigin& origin) {
  HeadChunkFiles::Known known;
  for (const ImageFile& file : origin.files) {
    if (file.kind == ImageFile::Kind::kHeadChunks) known[file.number] = file.size;
  }
  return known;
}

bool matches(const ImageOrigin& origin, const HeadChunkFiles& chunks) {
  return std::all_of(origin.files.begin(), origin.files.end(), [&](const ImageFile& file) {
    if (file.kind != ImageFile::Kind::kHeadChunks) return true;
    const HeadChunkFile* const now = chunks.file(file.number);
    if (now == nullptr || now->bytes().size() < file.size) return false;
    const Bytes part = now->bytes().first(static_cast<std::size_t>(file.size));
    return crc32c(part.last(std::min(part.size(), ImageFile::kTailBytes))) == file.tail_crc;
  });
}

bool HeadImageKeeper::is_due(Timestamp now, LogPosition appended) const {
  if (options_.head_image_interval <= Duration{} || head_.is_empty()) return false;
  if (is_invalid_) return true;
  if (appended == newest_end_) return false;
  // The first of this process may have been preceded by a long replay.
  if (!last_begin_ && newest_end_ == LogPosition{}) return true;
  if (last_begin_ && now - *last_begin_ >= options_.head_image_interval) return true;
  return log_bytes(newest_end_, appended, options_.wal_segment_bytes) >=
         std::max(options_.head_image_log_bytes, last_bytes_);
}

Status HeadImageKeeper::begin(const Surroundings& around) {
  const std::uint64_t free = TRY(files_.free_bytes(paths_.data_directory));
  if (free < 2 * last_bytes_ + 2 * options_.wal_segment_bytes) {
    return limit_exceeded("the disk is nearly full");
  }
  Pending pending;
  pending.writer = TRY(HeadImageWriter::create(files_, paths_.data_directory));
  for (const auto& file : chunks_.all()) {
    const Bytes bytes = file->bytes();
    pending.origin.files.push_back(
        {ImageFile::Kind::kHeadChunks, file->number, bytes.size(),
         crc32c(bytes.last(std::min(bytes.size(), ImageFile::kTailBytes)))});
  }
  TRY(head_.write_image(*pending.writer, chunks_, pending.origin));
  pending.origin.served_until = around.served_until;
  pending_ = std::move(pending);
  return {};
}

Status HeadImageKeeper::publish() {
  Pending pending = std::move(*pending_);
  pending_.reset();
  ImageOrigin& origin = pending.origin;
  origin.checkpoint = TRY(find_newest_checkpoint(files_, paths_.wal_directory));
  for (const ImageFile& file :
       TRY(describe_log(files_, paths_.wal_directory, origin.checkpoint, origin.log_end))) {
    origin.files.push_back(file);
  }
  TRY(pending.writer->publish(origin));
  newest_end_ = origin.log_end;
  last_bytes_ = pending.writer->bytes();
  is_invalid_ = false;
  metrics_.written.add();
  metrics_.bytes.set(static_cast<double>(last_bytes_));
  return {};
}

void HeadImageKeeper::note(const Status& status) {
  if (status.ok()) return;
  pending_.reset();
  is_invalid_ = false;  // Tried again when it is due by time.
  metrics_.failed.add();
  log_.warn("Writing an image of the head failed; the next start reads more of the log",
            {{"error", status.message()}});
}

Timestamp HeadImageKeeper::run_due(Timestamp now, const Surroundings& around) {
  if (!pending_ && is_due(now, around.appended)) {
    last_begin_ = now;
    note(begin(around));
  }
  if (pending_ && around.followable >= pending_->origin.log_end) note(publish());
  return now + kGlance;
}

void HeadImageKeeper::invalidate() {
  pending_.reset();
  is_invalid_ = true;
}

void HeadImageKeeper::write_last(const Surroundings& around) {
  if (options_.head_image_interval <= Duration{} || head_.is_empty()) return;
  if (!is_invalid_ && around.appended == newest_end_) return;
  pending_.reset();
  Status status = begin(around);
  if (status.ok()) status = publish();
  note(status);
}

void HeadImageKeeper::collect(MetricWriter& out) const {
  out.counter("tarsier_tsdb_head_images_written_total", "Images of the head written.",
              static_cast<double>(metrics_.written.value()));
  out.counter("tarsier_tsdb_head_images_failed_total",
              "Images of the head that could not be written.",
              static_cast<double>(metrics_.failed.value()));
  out.gauge("tarsier_tsdb_head_image_bytes", "Size of the last image of the head.",
            metrics_.bytes.value());
  out.counter("prometheus_tsdb_snapshot_replay_error_total",
              "Total number snapshot replays that failed.",
              static_cast<double>(metrics_.discarded.value()));
}

}  // namespace tarsier::tsdb
