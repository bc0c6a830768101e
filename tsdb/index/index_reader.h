#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "tsdb/index/index_format.h"
#include "tsdb/index/postings.h"
#include "tsdb/index/symbols.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

/// Reads the index of a block (FORMAT.md, "index"; versions 1 and 2). The file is mapped; opening
/// reads the symbols and the postings offset table once, for their checksums, and keeps the offset
/// of every 8th symbol and every 32nd table entry. Everything else is read when it is asked for,
/// and verified then. It is a PostingsSource (select.h). Immutable; any number of threads. All
/// views live as long as this. Errors are kCorruption with file and offset.
class IndexReader final {
 public:
  using Ref = std::uint32_t;

  static Result<std::unique_ptr<IndexReader>> open(FileSystem& files, std::string path);
  /// The same on bytes in memory; `name` stands for the path in messages.
  static Result<std::unique_ptr<IndexReader>> open_bytes(Bytes file, std::string name);

  std::uint64_t size_bytes() const { return file_.size(); }
  /// Every string of the block, also those no series uses any more.
  const SymbolTable& symbols() const { return symbols_; }

  // The label names and values of the block, ascending.

  std::vector<std::string_view> label_names() const;
  std::size_t value_count(std::string_view name) const;
  std::vector<std::string_view> label_values(std::string_view name) const;

  // Postings. Each list's checksum and order are verified.

  Status append_all(std::vector<Ref>& out) const { return append_postings("", "", out); }
  Status append_postings(std::string_view name, std::string_view value,
                         std::vector<Ref>& out) const;
  template <typename Keep>
  Status append_values(std::string_view name, std::string_view prefix, Keep keep,
                       PostingsRuns<Ref>& runs) const;

  // Series.

  /// The body of a series entry, its checksum verified. Reading references in ascending order reads
  /// the file forward.
  Result<Bytes> series(Ref ref) const { return series(ref, Verify::kYes); }
  /// The same, for an entry this process has verified before: only bounds are checked again.
  Result<Bytes> verified_series(Ref ref) const { return series(ref, Verify::kNo); }
  /// The entry's labels, sorted; `out` is replaced.
  Status decode_labels(Bytes series, std::vector<LabelView>& out) const;
  /// How these labels compare to `labels`, without decoding more than it takes.
  std::strong_ordering compare_labels(Bytes series, const Labels& labels) const;
  /// Appends the entry's chunks that overlap `range`.
  Status append_chunks(Bytes series, TimeRange range, std::vector<ChunkMeta>& out) const;
  /// Whether a chunk of the entry overlaps `range`. Its labels are verified too: if this is no
  /// error, decode_labels will be none.
  Result<bool> overlaps(Bytes series, TimeRange range) const;

  /// What series entries call a label name; nothing if no series has it.
  std::optional<std::uint32_t> name_symbol(std::string_view name) const;
  /// The value of a label by its `name_symbol`; empty if the entry has no such label.
  std::string_view find_value(Bytes series, std::uint32_t name_symbol) const;
  Result<std::string_view> label_value(Ref ref, std::string_view name) const;

 private:
  /// One label name of the postings offset table.
  struct Name {
    std::string_view text;
    std::uint32_t symbol = 0;
    std::uint32_t value_count = 0;
    std::size_t first_kept = 0;  // Into kept_entries_: its 1st, 33rd, 65th ... entry.
  };
  /// One entry of the postings offset table.
  struct Entry {
    std::string_view name;
    std::string_view value;
    std::uint64_t list_offset = 0;
  };
  /// Walks the entries of one name from a kept one on.
  struct EntryCursor {
    ByteReader reader;
    std::size_t left = 0;
  };
  static constexpr std::size_t kEntryStride = 32;

  enum class Verify : unsigned char { kNo, kYes };

  explicit IndexReader(std::string path) : path_(std::move(path)) {}
  Status load(Bytes file);
  Status load_offset_table(std::uint64_t offset);
  /// Version 1 lists the entries in no order: replaces the table by a sorted copy.
  void sort_table(std::size_t entry_count);
  Status damaged(std::uint64_t offset, std::string_view what) const;
  const Name* find_name(std::string_view name) const;
  /// At the last kept entry whose value is not greater than `value`, or at the first.
  EntryCursor seek(const Name& name, std::string_view value) const;
  static bool next(EntryCursor& cursor, Entry& entry);
  Status append_list(std::uint64_t offset, std::vector<Ref>& out) const;
  Result<Bytes> series(Ref ref, Verify verify) const;
  Status damaged_series(Bytes series) const;
  template <typename At>
  Status for_each_chunk(ByteReader& reader, Bytes series, At at) const;

  const std::string path_;
  std::unique_ptr<ReadableFile> mapping_;
  std::string copy_;  // When the file system does not map.
  Bytes file_;
  std::uint8_t version_ = kIndexVersion;
  std::uint64_t series_begin_ = 0;
  std::uint64_t series_end_ = 0;
  SymbolTable symbols_;
  std::string sorted_table_;  // Of version 1.
  Bytes table_;               // The entries of the postings offset table.
  std::vector<Name> names_;
  std::vector<std::uint32_t> kept_entries_;  // Offsets into table_: the format limits it to 4 GiB.
  std::optional<std::uint64_t> all_list_offset_;
};

template <typename Keep>
Status IndexReader::append_values(std::string_view name, std::string_view prefix, Keep keep,
                                  PostingsRuns<Ref>& runs) const {
  const Name* found = find_name(name);
  if (found == nullptr) return {};
  Entry entry;
  for (EntryCursor cursor = seek(*found, prefix); next(cursor, entry);) {
    if (entry.value < prefix) continue;
    if (!entry.value.starts_with(prefix)) break;
    if (!keep(entry.value)) continue;
    TRY(append_list(entry.list_offset, runs.refs));
    runs.finish_run();
  }
  return {};
}

}  // namespace tarsier::tsdb
