#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace tarsier::tsdb {

/// A file written from its start in large pieces, which knows where it stands. After the first
/// error it writes nothing more and repeats that error. One thread at a time.
class OutputFile final {
 public:
  static Result<OutputFile> create(FileSystem& files, const std::string& path);

  std::uint64_t offset() const { return flushed_bytes_ + buffer_.size(); }
  Status append(Bytes bytes);
  Status append(std::string_view bytes) { return append(as_bytes(bytes)); }
  /// Zeros up to the next multiple of `alignment`.
  Status pad_to(std::uint64_t alignment);
  /// Hands what is buffered to the file, so that readers of it see everything.
  Status flush();
  /// flush(), and then what was written survives a power cut.
  Status sync();

 private:
  explicit OutputFile(std::unique_ptr<WritableFile> file) : file_(std::move(file)) {}

  std::unique_ptr<WritableFile> file_;
  std::string buffer_;
  std::uint64_t flushed_bytes_ = 0;
  Status error_;
};

}  // namespace tarsier::tsdb
