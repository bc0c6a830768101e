#include "tsdb/wal/log_writer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/compression.h"
#include "base/crc32c.h"

namespace tarsier::tsdb {
namespace {

// Measured on node_exporter records: 5.5 bytes per sample; level 1 has 6.0.
constexpr int kZstdLevel = 3;

void put_fragment(FragmentType type, std::uint8_t flags, Bytes part, std::string& out) {
  char header[kFragmentHeaderBytes];
  header[0] = static_cast<char>(static_cast<std::uint8_t>(type) | flags);
  const std::uint16_t size = __builtin_bswap16(static_cast<std::uint16_t>(part.size()));
  std::memcpy(header + 1, &size, sizeof size);
  const std::uint32_t crc = __builtin_bswap32(crc32c(part));
  std::memcpy(header + 3, &crc, sizeof crc);
  out.append(header, sizeof header);
  out.append(as_text(part));
}

FragmentType fragment_type(bool is_first, bool is_last) {
  if (is_first) return is_last ? FragmentType::kFull : FragmentType::kFirst;
  return is_last ? FragmentType::kLast : FragmentType::kMiddle;
}

}  // namespace

void EncodedRecord::encode(Bytes record, WalCompression compression) {
  plain_ = record;
  is_compressed_ = false;
  flags_ = 0;
  switch (compression) {
    case WalCompression::kNone: return;
    case WalCompression::kSnappy: snappy_compress(record, compressed_); break;
    case WalCompression::kZstd: zstd_compress(record, kZstdLevel, compressed_); break;
  }
  if (compressed_.size() >= record.size()) return;
  is_compressed_ = true;
  flags_ = compression == WalCompression::kSnappy ? kSnappyFlag : kZstdFlag;
}

void LogOutput::clear() {
  bytes.clear();
  cuts.clear();
  fragment_count = 0;
  completed_page_count = 0;
}

LogWriter::LogWriter(std::uint32_t segment, std::size_t segment_bytes)
    : segment_bytes_(segment_bytes), segment_(segment) {
  CHECK(segment_bytes > 0 && segment_bytes % kLogPageBytes == 0);
}

bool LogWriter::fits_segment(std::size_t stored_bytes) const {
  const std::size_t pages_done = static_cast<std::size_t>(offset_ / kLogPageBytes);
  const std::size_t page_count = segment_bytes_ / kLogPageBytes;
  if (pages_done >= page_count) return false;  // Full, or it held one record larger than itself.
  const std::size_t page_room = kLogPageBytes - kFragmentHeaderBytes;
  const std::size_t room =
      page_bytes_left() - kFragmentHeaderBytes + page_room * (page_count - pages_done - 1);
  return stored_bytes <= room;
}

void LogWriter::pad_page(LogOutput& out) {
  const std::size_t left = page_bytes_left();
  if (left == kLogPageBytes) return;
  out.bytes.append(left, '\0');
  offset_ += left;
  ++out.completed_page_count;
}

void LogWriter::cut(LogOutput& out) {
  if (offset_ == 0) return;
  pad_page(out);
  ++segment_;
  offset_ = 0;
  out.cuts.push_back({out.bytes.size(), segment_});
}

void LogWriter::make_room(std::size_t record_count, std::size_t stored_bytes, LogOutput& out) {
  // A record may begin with an empty fragment, and a page end with padding.
  const std::size_t page_count = stored_bytes / kLogPageBytes + record_count + 1;
  const std::size_t headers = 2 * kFragmentHeaderBytes * (record_count + page_count);
  if (!fits_segment(stored_bytes + headers)) cut(out);
}

LogPosition LogWriter::append(const EncodedRecord& record, LogOutput& out) {
  Bytes rest = record.stored();
  CHECK(rest.size() <= kLogRecordBytesMax);
  // An empty segment takes any record; `cut` leaves it alone.
  if (!fits_segment(rest.size())) cut(out);
  bool is_first = true;
  do {
    const std::size_t size = std::min(rest.size(), page_bytes_left() - kFragmentHeaderBytes);
    const bool is_last = size == rest.size();
    put_fragment(fragment_type(is_first, is_last), record.flags(), rest.first(size), out.bytes);
    offset_ += kFragmentHeaderBytes + size;
    ++out.fragment_count;
    if (page_bytes_left() == kLogPageBytes) {
      ++out.completed_page_count;  // Filled to the last byte.
    } else if (page_bytes_left() < kFragmentHeaderBytes) {
      pad_page(out);
    }
    rest = rest.subspan(size);
    is_first = false;
    if (is_last) break;
  } while (true);
  return position();
}

}  // namespace tarsier::tsdb
