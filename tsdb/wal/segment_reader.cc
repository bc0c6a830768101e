#include "tsdb/wal/segment_reader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/compression.h"
#include "base/crc32c.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kBlockBytes = 32 * kLogPageBytes;

bool is_all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// Whether `bytes`, the rest of a page, begins with a fragment that holds something.
bool begins_with_fragment(Bytes bytes) {
  if (bytes.size() < kFragmentHeaderBytes) return false;
  const auto type = static_cast<std::uint8_t>(bytes[0]) & kFragmentTypeMask;
  if (type < 1 || type > 4) return false;
  const std::size_t size = load_be<std::uint16_t>(bytes.data() + 1);
  if (size == 0 || size > bytes.size() - kFragmentHeaderBytes) return false;
  return crc32c(bytes.subspan(kFragmentHeaderBytes, size)) ==
         load_be<std::uint32_t>(bytes.data() + 3);
}

/// The first part of a file.
class FilePrefix final : public ReadableFile {
 public:
  FilePrefix(std::unique_ptr<ReadableFile> file, std::uint64_t size)
      : file_(std::move(file)), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Status read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return file_->read_at(offset, out);
  }

 private:
  const std::unique_ptr<ReadableFile> file_;
  const std::uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<SegmentReader>> SegmentReader::open_range(std::unique_ptr<ReadableFile> file,
                                                                 Range range,
                                                                 std::size_t record_bytes_max) {
  CHECK(range.begin <= range.end && range.end <= file->size());
  std::unique_ptr<SegmentReader> reader(new SegmentReader(
      std::make_unique<FilePrefix>(std::move(file), range.end), record_bytes_max));
  TRY(reader->load_page(range.begin / kLogPageBytes * kLogPageBytes));
  reader->page_position_ = static_cast<std::size_t>(range.begin % kLogPageBytes);
  reader->record_begin_ = reader->record_end_ = range.begin;
  return reader;
}

Result<std::unique_ptr<SegmentReader>> SegmentReader::open(FileSystem& files,
                                                           const std::string& path,
                                                           std::size_t record_bytes_max) {
  auto file = TRY(files.open_readable(path, Access::kRead));
  return std::unique_ptr<SegmentReader>(new SegmentReader(std::move(file), record_bytes_max));
}

SegmentReader::SegmentReader(std::unique_ptr<ReadableFile> file, std::size_t record_bytes_max)
    : file_(std::move(file)), record_bytes_max_(record_bytes_max) {}

Status SegmentReader::load_page(std::uint64_t offset) {
  const bool is_loaded = offset >= block_offset_ && offset < block_offset_ + block_.size();
  if (!is_loaded) {
    const std::uint64_t left = file_->size() - offset;
    block_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(left, kBlockBytes)));
    block_offset_ = offset;
    TRY(file_->read_at(offset, std::as_writable_bytes(std::span(block_))));
  }
  const Bytes rest = as_bytes(block_).subspan(static_cast<std::size_t>(offset - block_offset_));
  page_ = rest.first(std::min(rest.size(), kLogPageBytes));
  page_offset_ = offset;
  page_position_ = 0;
  return {};
}

SegmentReader::Found SegmentReader::read_padding() {
  const Bytes rest = page_.subspan(page_position_);
  if (!is_all_zero(rest)) {
    problem_ = "a byte other than zero in the padding of a page";
    return Found::kBad;
  }
  // A writer leaves room for a header only at the end of a segment.
  if (!ended_early_ && kLogPageBytes - page_position_ >= kFragmentHeaderBytes) {
    ended_early_ = true;
    early_end_offset_ = position();
  }
  page_position_ = page_.size();
  return Found::kPageDone;
}

SegmentReader::Found SegmentReader::read_fragment(Fragment& out) {
  const std::size_t left = page_.size() - page_position_;
  if (left == 0) return Found::kPageDone;
  const std::byte* const header = page_.data() + page_position_;
  const auto first = static_cast<std::uint8_t>(header[0]);
  const std::size_t room = kLogPageBytes - page_position_;
  if (room < kFragmentHeaderBytes || first == 0) return read_padding();
  if (ended_early_) {
    problem_ = fmt::format("the page ended early at {}, but more follows", early_end_offset_);
    return Found::kBad;
  }
  out.flags = first & (kSnappyFlag | kZstdFlag);
  out.type = static_cast<FragmentType>(first & kFragmentTypeMask);
  if ((first & kReservedFlags) != 0 || out.flags == (kSnappyFlag | kZstdFlag) ||
      out.type == FragmentType::kPageEnd || out.type > FragmentType::kLast) {
    problem_ = fmt::format("bad fragment type {:#04x}", first);
    return Found::kBad;
  }
  if (left < kFragmentHeaderBytes) return Found::kCutShort;
  const std::size_t size = load_be<std::uint16_t>(header + 1);
  if (size > room - kFragmentHeaderBytes) {
    problem_ = fmt::format("fragment of {} bytes, {} are left in the page", size,
                           room - kFragmentHeaderBytes);
    return Found::kBad;
  }
  if (size > left - kFragmentHeaderBytes) return Found::kCutShort;
  out.data = page_.subspan(page_position_ + kFragmentHeaderBytes, size);
  const std::uint32_t expected = load_be<std::uint32_t>(header + 3);
  const std::uint32_t actual = crc32c(out.data);
  if (actual != expected) {
    problem_ = fmt::format("checksum {:08x}, expected {:08x}", actual, expected);
    return Found::kBad;
  }
  if (size == 0 && out.type != FragmentType::kFirst) {
    // A header of which only the type reached the disk, zeros for the rest, has the checksum of
    // nothing. Writers have no records of nothing; one that others follow is let pass.
    const bool others_follow =
        out.type == FragmentType::kFull &&
        begins_with_fragment(page_.subspan(page_position_ + kFragmentHeaderBytes));
    if (!others_follow) {
      problem_ = "a fragment without data";
      return Found::kBad;
    }
  }
  page_position_ += kFragmentHeaderBytes + size;
  return Found::kFragment;
}

SegmentReader::Step SegmentReader::next() {
  pieces_.clear();
  bool is_begun = false;
  std::uint8_t flags = 0;
  Fragment fragment;
  for (;;) {
    const std::uint64_t fragment_offset = position();
    switch (read_fragment(fragment)) {
      case Found::kBad: return damaged(fragment_offset, std::move(problem_));
      case Found::kCutShort: return damaged(fragment_offset, "the file ends inside a fragment");
      case Found::kPageDone: {
        if (is_begun && ended_early_) {
          return damaged(fragment_offset, "the page ends inside a record");
        }
        if (position() == file_->size()) {
          if (!is_begun) return Step::kEnd;
          return damaged(fragment_offset, "the file ends inside a record");
        }
        Status loaded = load_page(position());
        if (!loaded.ok()) return failed(std::move(loaded));
        continue;
      }
      case Found::kFragment: break;
    }
    const bool is_first =
        fragment.type == FragmentType::kFull || fragment.type == FragmentType::kFirst;
    if (is_first == is_begun) {
      return damaged(fragment_offset, is_begun ? "a record begins inside another"
                                               : "a record continues that was not begun");
    }
    if (is_first) {
      record_begin_ = fragment_offset;
      flags = fragment.flags;
    } else if (fragment.flags != flags) {
      return damaged(fragment_offset, "fragments of one record differ in their flags");
    }
    is_begun = true;
    if (fragment.type == FragmentType::kFull) return finish_record(fragment, fragment.data);
    if (pieces_.size() + fragment.data.size() > record_bytes_max_) {
      return damaged(record_begin_, fmt::format("a record above {} bytes", record_bytes_max_));
    }
    pieces_ += as_text(fragment.data);
    if (fragment.type == FragmentType::kLast) return finish_record(fragment, as_bytes(pieces_));
  }
}

SegmentReader::Step SegmentReader::finish_record(const Fragment& last, Bytes stored) {
  Status outcome;
  if (last.flags == kSnappyFlag) {
    outcome = snappy_decompress(stored, record_bytes_max_, plain_);
  } else if (last.flags == kZstdFlag) {
    outcome = zstd_decompress(stored, record_bytes_max_, plain_);
  }
  if (!outcome.ok()) return damaged(record_begin_, outcome.message());
  record_ = last.flags == 0 ? stored : as_bytes(plain_);
  record_end_ = position();
  return Step::kRecord;
}

SegmentReader::Step SegmentReader::damaged(std::uint64_t offset, std::string reason) {
  damage_offset_ = offset;
  damage_reason_ = std::move(reason);
  auto follow = records_follow(offset);
  if (!follow.ok()) return failed(std::move(follow).status());
  return *follow ? Step::kDamaged : Step::kTorn;
}

/// Looks for a record behind the damage: at the end of the fragment, if its length may be believed,
/// and where pages begin.
Result<bool> SegmentReader::records_follow(std::uint64_t offset) {
  const std::uint64_t page_begin = offset / kLogPageBytes * kLogPageBytes;
  if (page_begin < file_->size()) {
    TRY(load_page(page_begin));
    const Bytes rest = page_.subspan(static_cast<std::size_t>(offset - page_begin));
    if (rest.size() > kFragmentHeaderBytes) {
      const std::size_t size = load_be<std::uint16_t>(rest.data() + 1) + kFragmentHeaderBytes;
      if (size < rest.size() && begins_with_fragment(rest.subspan(size))) return true;
    }
  }
  for (std::uint64_t page = page_begin + kLogPageBytes; page < file_->size();
       page += kLogPageBytes) {
    TRY(load_page(page));
    if (begins_with_fragment(page_)) return true;
  }
  return false;
}

SegmentReader::Step SegmentReader::failed(Status status) {
  status_ = std::move(status);
  return Step::kFailed;
}

}  // namespace tarsier::tsdb
