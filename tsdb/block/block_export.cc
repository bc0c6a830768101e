#include "tsdb/block/block_export.h"

#include <algorithm>

#include <fmt/format.h>

#include "tsdb/block/block_writer.h"

namespace tarsier::tsdb {

Status export_block(FileSystem& files, ChunkSource& source, std::uint64_t segment_bytes_max,
                    const std::string& data_directory) {
  const std::string name = source.meta().ulid.to_string();
  const std::string directory = join_path(data_directory, name);
  if (files.exists(join_path(directory, kMetaFileName))) return {};
  const std::string temporary = directory + std::string(kCreationSuffix);
  TRY(files.remove_all(temporary));
  TRY(files.create_directories(temporary));
  SymbolSet symbols;
  source.add_symbols(symbols);
  const auto chunks = TRY(ChunkFilesWriter::create(files, temporary, segment_bytes_max));
  const auto index =
      TRY(IndexWriter::create(files, join_path(temporary, kIndexFileName), std::move(symbols)));
  Tombstones tombstones;
  std::vector<ChunkMeta> metas;
  for (TRY(source.start()); !source.done();) {
    metas.clear();
    for (const StoredChunk& chunk : TRY(source.chunks())) {
      const std::uint64_t ref = TRY(chunks->append(chunk.chunk));
      if (ref != chunk.meta.ref) {
        return corruption(fmt::format("block {}: a chunk of {} was at {:x} and would be at {:x}",
                                      name, source.labels().to_string(), chunk.meta.ref, ref));
      }
      metas.push_back(chunk.meta);
    }
    const std::uint32_t ref = TRY(index->add_series(source.labels(), metas));
    const TimeRange held{metas.front().min_time, metas.back().max_time};
    for (const TimeRange& gone : source.deleted()) {
      if (!gone.overlaps(held)) continue;
      tombstones.add(ref, {std::max(gone.min, held.min), std::min(gone.max, held.max)});
    }
    TRY(source.step());
  }
  TRY(chunks->finish());
  TRY(index->finish());
  TRY(write_file_atomically(files, join_path(temporary, kTombstonesFileName), tombstones.encode()));
  std::string meta_json = source.meta_json();
  if (source.meta().tombstone_count != tombstones.range_count()) {  // Deleted since.
    BlockMeta meta = source.meta();
    meta.tombstone_count = tombstones.range_count();
    meta_json = format_block_meta(meta);
  }
  TRY(write_file_atomically(files, join_path(temporary, kMetaFileName), meta_json));
  TRY(files.sync_directory(temporary));
  TRY(files.rename(temporary, directory));
  return files.sync_directory(data_directory);
}

}  // namespace tarsier::tsdb
