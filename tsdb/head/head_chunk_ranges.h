#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "tsdb/head/head_chunk_files.h"

namespace tarsier::tsdb {

/// Which bytes in memory are of which head chunk file, as the files are now. Of the maintenance
/// thread, and good until it writes or removes a file.
class HeadChunkRanges final {
 public:
  explicit HeadChunkRanges(const HeadChunkFiles& files) {
    for (const auto& file : files.all()) ranges_.push_back({file->bytes(), file->number});
    std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
      return std::less<>()(a.bytes.data(), b.bytes.data());
    });
  }

  struct Place {
    std::uint32_t file;  ///< Its number.
    std::size_t offset;
  };
  std::optional<Place> find(const std::byte* p) const {
    auto after = std::upper_bound(ranges_.begin(), ranges_.end(), p,
                                  [](const std::byte* at, const Range& range) {
                                    return std::less<>()(at, range.bytes.data());
                                  });
    if (after == ranges_.begin()) return {};
    const Range& range = *--after;
    if (!std::less<>()(p, range.bytes.data() + range.bytes.size())) return {};
    return Place{range.number, static_cast<std::size_t>(p - range.bytes.data())};
  }

 private:
  struct Range {
    Bytes bytes;
    std::uint32_t number;
  };
  std::vector<Range> ranges_;
};

}  // namespace tarsier::tsdb
