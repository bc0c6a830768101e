#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

/// Collects the distinct strings of label sets: what an index needs before its first series. Owns
/// the bytes, each string once. One thread at a time.
class SymbolSet final {
 public:
  void add(std::string_view text);
  void add(const Labels& labels);
  std::size_t size() const { return starts_.size(); }
  /// Puts the strings in bytewise order: from then on the ordinal of a string is its position, and
  /// nothing more may be added.
  void sort();
  /// REQUIRES: sorted, ordinal < size(). The view lives as long as this.
  std::string_view at(std::uint32_t ordinal) const { return text(ordinal); }
  /// REQUIRES: sorted.
  std::optional<std::uint32_t> find(std::string_view text) const;

 private:
  std::string_view text(std::size_t i) const {
    return std::string_view(arena_).substr(starts_[i], sizes_[i]);
  }
  std::size_t slot_of(std::string_view text) const;
  void rebuild_slots(std::size_t slot_count);

  std::string arena_;
  std::vector<std::size_t> starts_;
  std::vector<std::uint32_t> sizes_;
  std::vector<std::uint32_t> slots_;  // Open addressing; position + 1, 0 is free.
  bool sorted_ = false;
};

/// The symbol table of an index file. Borrows the file's bytes. Immutable; any number of threads.
class SymbolTable final {
 public:
  SymbolTable() = default;
  /// `file` up to its end, `offset` the section's begin. Checks the checksum and that the strings
  /// strictly increase. `version` 1 counts symbols by their byte offset in the file.
  static Result<SymbolTable> open(Bytes file, std::uint64_t offset, std::uint8_t version);

  std::size_t size() const { return count_; }
  /// The strings by position, ascending. REQUIRES: ordinal < size().
  std::string_view by_ordinal(std::size_t ordinal) const;
  /// Where the section's checksum ends.
  std::uint64_t end_offset() const { return end_offset_; }
  /// The string a series entry refers to, or null data when there is no such symbol.
  std::string_view at(std::uint64_t ref) const;
  /// Whether there is such a symbol and it is not the empty string. O(1) but for version 1.
  bool is_text(std::uint64_t ref) const {
    return version_ == 2 ? ref < count_ && (ref != 0 || !first_is_empty_) : !at(ref).empty();
  }
  /// What series entries call `text`. O(log size).
  std::optional<std::uint32_t> find(std::string_view text) const;

 private:
  /// Every how many strings the offset is kept.
  static constexpr std::size_t kStride = 8;
  std::string_view read_at(std::size_t offset) const;

  Bytes file_;
  std::uint8_t version_ = 2;
  bool first_is_empty_ = false;  // No other can be: they increase.
  std::size_t count_ = 0;
  std::uint64_t begin_offset_ = 0;  // Of the first string.
  std::uint64_t end_offset_ = 0;
  std::vector<std::uint32_t>
      offsets_;  // From begin_offset_: the format limits the section to 4 GiB.
};

}  // namespace tarsier::tsdb
