#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/index/index_format.h"
#include "tsdb/index/output_file.h"
#include "tsdb/index/symbols.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

/// Writes the index of a block, version 2, as today's Prometheus does (FORMAT.md, "index"). The
/// life of one: `create` with all symbols, `add_series` in label order, `finish`. Memory is the
/// symbols, the text of the postings offset table and at most kPassPairs label pairs: the postings
/// are gathered at the end by reading back the series that were written, a few label names at a
/// time. One thread at a time; after an error it is good for nothing but destruction.
class IndexWriter final {
 public:
  /// Truncates `path` and writes the symbols.
  static Result<std::unique_ptr<IndexWriter>> create(FileSystem& files, std::string path,
                                                     SymbolSet symbols);

  /// Returns the series' reference. REQUIRES: labels greater than the ones before, not empty, made
  /// of known symbols; at least one chunk, in time order without overlap, references ascending.
  Result<std::uint32_t> add_series(const Labels& labels, std::span<const ChunkMeta> chunks);

  /// Writes the postings and the tables, and syncs the file.
  Status finish();

  std::uint64_t bytes_written() const { return out_.offset(); }

 private:
  struct Toc {
    std::uint64_t symbols = 0;
    std::uint64_t series = 0;
    std::uint64_t series_end = 0;
    std::uint64_t offset_table = 0;
  };
  /// One label pair of one series, of a name that is being gathered.
  struct Posting {
    std::uint32_t value;  // Symbol ordinal.
    std::uint32_t series_ref;
  };
  static constexpr std::uint64_t kPassPairs = 8u << 20;

  IndexWriter(FileSystem& files, std::string path, SymbolSet symbols, OutputFile out);
  Status write_symbols();
  Status write_all_postings();
  Status write_name_postings(std::span<const std::uint32_t> names, std::span<const std::byte> file);
  void sort_by_value(std::vector<Posting>& postings);
  Status write_list(std::string_view name, std::string_view value,
                    std::span<const Posting> postings);
  Status write_offset_table();
  Status write_toc();

  FileSystem& files_;
  const std::string path_;
  const SymbolSet symbols_;
  OutputFile out_;
  Toc toc_;
  Labels last_labels_;
  std::uint64_t last_chunk_ref_ = 0;
  std::vector<std::uint32_t> series_refs_;
  std::vector<std::uint64_t> pair_counts_;  // Series with that label name, by symbol ordinal.
  std::string offset_table_;
  std::uint32_t list_count_ = 0;
  std::string scratch_;
  std::string entry_;
  std::vector<std::uint32_t> value_starts_;
  std::vector<Posting> sorted_;
};

}  // namespace tarsier::tsdb
