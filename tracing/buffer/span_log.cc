#include "tracing/buffer/span_log.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/compression.h"
#include "base/crc32c.h"

namespace tarsier::tracing {
namespace {

constexpr std::string_view kMagic = "TSPANLG1";
constexpr std::size_t kFrameHeaderBytes = 8;
constexpr std::size_t kPayloadHeaderBytes = 13;
constexpr std::size_t kBatchBytesMax = std::size_t{256} << 20;
constexpr std::uint64_t kSegmentFileBytesMax = std::uint64_t{2} << 30;

enum class Compression : std::uint8_t { kSnappy = 1 };

std::string encode_frame(const SpanBatch& batch, Timestamp received) {
  std::string compressed;
  snappy_compress(as_bytes(batch.wire()), compressed);
  std::string payload;
  payload.reserve(compressed.size() + kPayloadHeaderBytes);
  put_u8(payload, static_cast<std::uint8_t>(Compression::kSnappy));
  put_be64(payload, static_cast<std::uint64_t>(received.ms));
  put_be32(payload, static_cast<std::uint32_t>(batch.wire().size()));
  payload += compressed;
  std::string frame;
  frame.reserve(payload.size() + kFrameHeaderBytes);
  put_be32(frame, static_cast<std::uint32_t>(payload.size()));
  put_be32(frame, crc32c(as_bytes(payload)));
  frame += payload;
  return frame;
}

}  // namespace

Status read_span_segment(
    std::string_view contents,
    const std::function<void(std::string_view payload, std::uint64_t offset)>& visit) {
  ByteReader in(as_bytes(contents));
  if (as_text(in.take(kMagic.size())) != kMagic) return corruption("no header of a span log");
  while (in.remaining() >= kFrameHeaderBytes) {
    const std::uint64_t offset = in.offset();
    const std::uint32_t size = in.be32();
    const std::uint32_t checksum = in.be32();
    const Bytes payload = in.take(size);
    if (!in.ok() || size < kPayloadHeaderBytes || crc32c(payload) != checksum) return {};
    visit(as_text(payload), offset);
  }
  return {};
}

Result<LoggedSpans> decode_logged_spans(std::string_view payload) {
  ByteReader in(as_bytes(payload));
  const auto compression = static_cast<Compression>(in.u8());
  const auto received = static_cast<std::int64_t>(in.be64());
  const std::uint32_t plain_bytes = in.be32();
  if (!in.ok() || compression != Compression::kSnappy || plain_bytes > kBatchBytesMax) {
    return corruption("a frame of no known kind");
  }
  std::string plain;
  TRY(snappy_decompress(in.take(in.remaining()), plain_bytes, plain));
  return LoggedSpans{TRY(SpanBatch::decode(std::move(plain))), Timestamp{received}};
}

std::string SpanLog::path_of(std::uint32_t segment) const {
  return join_path(directory_, fmt::format("{:08}", segment));
}

Result<std::unique_ptr<SpanLog>> SpanLog::open(FileSystem& files, const std::string& directory,
                                               const Options& options, Logger& log) {
  TRY(files.create_directories(directory));
  TRY(files.sync_directory(parent_path(directory)));
  auto out = std::unique_ptr<SpanLog>(new SpanLog(files, directory, options, log));
  const MutexLock lock(out->mutex_);
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    std::uint32_t number = 0;
    const char* end = entry.name.data() + entry.name.size();
    const auto read = std::from_chars(entry.name.data(), end, number);
    if (entry.name.size() != 8 || read.ec != std::errc() || read.ptr != end) continue;
    out->segments_[number].is_finished = true;
    out->active_ = std::max(out->active_, number);
  }
  ++out->active_;
  out->segments_[out->active_] = {};
  return out;
}

Status SpanLog::replay(const Visitor& visit) {
  std::vector<std::uint32_t> numbers;
  {
    const MutexLock lock(mutex_);
    for (const auto& [number, segment] : segments_) {
      if (segment.is_finished) numbers.push_back(number);
    }
  }
  for (const std::uint32_t number : numbers) {
    const std::string contents = TRY(read_file(files_, path_of(number), kSegmentFileBytesMax));
    {
      const MutexLock lock(mutex_);
      segments_[number].bytes = contents.size();
    }
    const Status status =
        read_span_segment(contents, [&](std::string_view payload, std::uint64_t offset) {
          Result<LoggedSpans> spans = decode_logged_spans(payload);
          if (!spans.ok()) {
            log_.warn("A batch of the span log cannot be read",
                      {{"segment", path_of(number)}, {"err", spans.status().message()}});
            return;
          }
          auto place = std::make_shared<SpanLogPlace>(SpanLogPlace{
              .segment = number,
              .offset = offset,
              .frame_bytes = static_cast<std::uint32_t>(payload.size() + kFrameHeaderBytes),
              .is_written = true});
          {
            const MutexLock lock(mutex_);
            ++segments_[number].live_batches;
          }
          visit(std::move(spans->batch), spans->received, std::move(place));
        });
    // A file that a crash left without its header never held anything that was acknowledged.
    if (!status.ok() && contents.size() >= kMagic.size()) {
      log_.warn("A segment of the span log is not one", {{"segment", path_of(number)}});
    }
  }
  return {};
}

void SpanLog::place_next(SpanLogPlace& place, std::uint64_t frame_bytes) {
  if (segments_[active_].bytes >= options_.segment_bytes) {
    segments_[active_].is_finished = true;
    ++active_;
  }
  Segment& segment = segments_[active_];
  if (segment.bytes == 0) segment.bytes = kMagic.size();
  place.segment = active_;
  place.offset = segment.bytes;
  place.frame_bytes = static_cast<std::uint32_t>(frame_bytes);
  segment.bytes += frame_bytes;
  ++segment.live_batches;
}

SpanLog::Appended SpanLog::append(const SpanBatch& batch, Timestamp received) {
  Pending entry{.frame = encode_frame(batch, received), .place = std::make_shared<SpanLogPlace>()};
  Appended out{{}, entry.place};
  const MutexLock lock(mutex_);
  place_next(*entry.place, entry.frame.size());
  pending_bytes_ += entry.frame.size();
  entry.position = ++appended_;
  out.position.value = appended_;
  pending_.push_back(std::move(entry));
  return out;
}

SpanLogPosition SpanLog::last_position() const {
  const MutexLock lock(mutex_);
  return {appended_};
}

void SpanLog::when_written(SpanLogPosition position, std::function<void(Status)> done) {
  {
    const MutexLock lock(mutex_);
    if (position.value > written_) {
      const auto at = std::upper_bound(
          waiters_.begin(), waiters_.end(), position.value,
          [](std::uint64_t value, const Waiter& waiter) { return value < waiter.position; });
      waiters_.insert(at, {position.value, std::move(done)});
      done = nullptr;
    }
  }
  if (done) {
    done(Status());
    return;
  }
  write_gathered();
}

void SpanLog::write_gathered() {
  while (true) {
    std::vector<Pending> run;
    {
      const MutexLock lock(mutex_);
      if (is_writing_ || pending_.empty()) return;
      is_writing_ = true;
      run.swap(pending_);
    }
    const Status status = write_run(run);
    std::vector<Waiter> told;
    bool goes_on = false;
    {
      const MutexLock lock(mutex_);
      is_writing_ = false;
      goes_on = status.ok();
      if (status.ok()) {
        for (const Pending& entry : run) {
          entry.place->is_written = true;
          pending_bytes_ -= entry.frame.size();
        }
        written_ = run.back().position;
        trouble_ = Status();
      } else {
        give_up(std::move(run), status);
      }
      while (!waiters_.empty() && (waiters_.front().position <= written_ || !status.ok())) {
        told.push_back(std::move(waiters_.front()));
        waiters_.pop_front();
      }
      idle_.notify_all();
    }
    for (Waiter& waiter : told) waiter.done(status);
    if (!goes_on) return;  // The next sync tries again.
  }
}

void SpanLog::give_up(std::vector<Pending> run, const Status& why) {
  // The file's tail is unknown: everything not written goes to a new segment.
  trouble_ = unavailable("the span log cannot be written: " + why.message());
  run.insert(run.end(), std::make_move_iterator(pending_.begin()),
             std::make_move_iterator(pending_.end()));
  pending_ = std::move(run);
  segments_[active_].is_finished = true;
  ++active_;
  for (Pending& entry : pending_) {
    Segment& old = segments_[entry.place->segment];
    old.is_finished = true;
    if (!entry.place->is_forgotten) --old.live_batches;
    place_next(*entry.place, entry.frame.size());
    if (entry.place->is_forgotten) --segments_[entry.place->segment].live_batches;
  }
}

Status SpanLog::write_run(std::vector<Pending>& run) {
  const Status status = write_frames(run);
  if (!status.ok()) file_.reset();
  return status;
}

Status SpanLog::write_frames(std::vector<Pending>& run) {
  std::string out;
  for (std::size_t i = 0; i < run.size(); ++i) {
    const std::uint32_t segment = run[i].place->segment;
    if (!file_ || segment != file_segment_) {
      // A segment is whole and durable before the next one is begun.
      if (file_) TRY(file_->sync());
      file_ = TRY(files_.open_writable(path_of(segment), OpenMode::kTruncate));
      file_segment_ = segment;
      TRY(files_.sync_directory(directory_));
      out = kMagic;
    }
    out += run[i].frame;
    const bool is_last = i + 1 == run.size() || run[i + 1].place->segment != segment;
    if (!is_last) continue;
    TRY(file_->append(as_bytes(out)));
    out.clear();
  }
  return {};
}

Status SpanLog::sync() {
  write_gathered();
  {
    const MutexLock lock(mutex_);
    while (is_writing_) idle_.wait(mutex_);
    is_writing_ = true;
  }
  const Status status = file_ ? file_->sync() : Status();
  if (!status.ok()) file_.reset();
  Status outcome = status;
  {
    const MutexLock lock(mutex_);
    is_writing_ = false;
    if (!status.ok()) {
      // What it was to cover may be lost with the power; what follows goes elsewhere.
      give_up({}, status);
    } else if (pending_.empty()) {
      trouble_ = Status();  // The next write will tell.
    } else {
      outcome = trouble_;
    }
    idle_.notify_all();
  }
  write_gathered();
  return outcome;
}

bool SpanLog::is_written(const SpanLogPlace& place) const {
  const MutexLock lock(mutex_);
  return place.is_written;
}

Result<std::shared_ptr<const SpanBatch>> SpanLog::read(const SpanLogPlace& place) const {
  const auto file = TRY(files_.open_readable(path_of(place.segment), Access::kRead));
  std::string frame(place.frame_bytes, '\0');
  TRY(file->read_at(place.offset, std::as_writable_bytes(std::span(frame))));
  ByteReader in(as_bytes(frame));
  const std::uint32_t size = in.be32();
  const std::uint32_t checksum = in.be32();
  const Bytes payload = in.take(in.remaining());
  if (payload.size() != size || crc32c(payload) != checksum) {
    return corruption(
        fmt::format("{}: the batch at {} is damaged", path_of(place.segment), place.offset));
  }
  return TRY(decode_logged_spans(as_text(payload))).batch;
}

void SpanLog::forget(SpanLogPlace& place) {
  const MutexLock lock(mutex_);
  CHECK(!place.is_forgotten);
  place.is_forgotten = true;
  --segments_[place.segment].live_batches;
}

std::vector<std::uint32_t> SpanLog::removable_segments() const {
  std::vector<std::uint32_t> out;
  const MutexLock lock(mutex_);
  const std::uint32_t unwritten = pending_.empty() ? UINT32_MAX : pending_.front().place->segment;
  for (const auto& [number, segment] : segments_) {
    if (!segment.is_finished || segment.live_batches > 0 || number >= unwritten) break;
    out.push_back(number);
  }
  return out;
}

Status SpanLog::remove_segments(const std::vector<std::uint32_t>& numbers) {
  for (const std::uint32_t number : numbers) {
    const Status status = files_.remove_file(path_of(number));
    if (!status.ok() && status.code() != Code::kNotFound) return status;
    const MutexLock lock(mutex_);
    segments_.erase(number);
  }
  return {};
}

void SpanLog::cut() {
  const MutexLock lock(mutex_);
  if (segments_[active_].bytes == 0) return;
  segments_[active_].is_finished = true;
  ++active_;
  segments_[active_] = {};
}

std::uint64_t SpanLog::disk_bytes() const {
  std::uint64_t out = 0;
  const MutexLock lock(mutex_);
  for (const auto& [number, segment] : segments_) out += segment.bytes;
  return out;
}

std::uint64_t SpanLog::pending_bytes() const {
  const MutexLock lock(mutex_);
  return pending_bytes_;
}

Status SpanLog::trouble() const {
  const MutexLock lock(mutex_);
  return trouble_;
}

}  // namespace tarsier::tracing
