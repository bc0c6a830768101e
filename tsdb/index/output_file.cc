#include "tsdb/index/output_file.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kBufferBytes = 256 << 10;

}  // namespace

Result<OutputFile> OutputFile::create(FileSystem& files, const std::string& path) {
  return OutputFile(TRY(files.open_writable(path, OpenMode::kTruncate)));
}

Status OutputFile::append(Bytes bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) TRY(flush());
  buffer_ += as_text(bytes);
  return {};
}

Status OutputFile::pad_to(std::uint64_t alignment) {
  const std::uint64_t over = offset() % alignment;
  if (over != 0) buffer_.append(static_cast<std::size_t>(alignment - over), '\0');
  return error_;
}

Status OutputFile::flush() {
  if (!error_.ok()) return error_;
  error_ = file_->append(as_bytes(buffer_));
  flushed_bytes_ += buffer_.size();
  buffer_.clear();
  return error_;
}

Status OutputFile::sync() {
  TRY(flush());
  error_ = file_->sync();
  return error_;
}

}  // namespace tarsier::tsdb
