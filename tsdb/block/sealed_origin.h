#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace tarsier::tsdb {

/// How one chunk of a source comes back from a sealed block.
struct ChunkOrigin {
  /// Samples to encode; 0 for a chunk that was kept as it is.
  std::uint32_t float_count = 0;
  /// Prometheus before 3.0 left a zero byte behind some chunks.
  bool has_surplus_byte = false;
  bool operator==(const ChunkOrigin&) const = default;
};

/// Remembers for every series of a sealed block which chunks each source had, and writes that as
/// the file `origin` (FORMAT.md, "sealed block"). Nobody needs it but who exports or seals anew.
/// One thread at a time.
class OriginWriter final {
 public:
  explicit OriginWriter(std::size_t source_count) : sources_(source_count) {}
  /// The chunks of the next series in a source; to be called once for every series and source.
  void add_series(std::size_t source, const std::vector<ChunkOrigin>& chunks);
  Status write(FileSystem& files, const std::string& directory) const;

 private:
  std::vector<std::string> sources_;
};

/// Gives them back, series after series, for one source. One thread at a time.
class OriginReader final {
 public:
  static Result<OriginReader> open(FileSystem& files, const std::string& directory,
                                   std::size_t source);
  /// The next series' chunks; empty if the source had none of it.
  Status next(std::vector<ChunkOrigin>& chunks);
  void rewind() { at_ = 0; }

 private:
  OriginReader() = default;
  std::string path_;
  std::string entries_;
  std::size_t at_ = 0;
};

}  // namespace tarsier::tsdb
