#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tsdb/labels.h"

// What stands for `name{...}` where no such text was exposed: in the protobuf format, and for
// histograms we put together ourselves. A packed section is the metric's name, then names and
// values of the labels, each a uvarint length and its bytes: a key for the series cache, cheap to
// write for every sample of every scrape, from which labels are read only for a series not known.

namespace tarsier::ingest {

void append_packed(std::string& section, std::string_view text);

/// The name in front; empty if the section is damaged, which ours never are.
std::string_view packed_name(std::string_view section);

/// Replaces `out` with the labels, the name first as `__name__`; views into `section`. kInvalid for
/// what is not UTF-8.
Status read_packed(std::string_view section, std::vector<tsdb::LabelView>& out);

/// Holds the packed sections of one batch of samples at fixed addresses. One thread.
class SectionArena final {
 public:
  /// A copy of `section` that lives until clear().
  std::string_view keep(std::string_view section);
  /// Forgets everything, but keeps some memory for the next batch.
  void clear();

 private:
  static constexpr std::size_t kBlockBytes = std::size_t{64} << 10;

  struct Block {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
    std::size_t used = 0;
  };
  std::vector<Block> blocks_;
};

}  // namespace tarsier::ingest
