#include "tsdb/head/head_image_verifier.h"

#include <vector>

#include "tsdb/block/tombstones.h"
#include "tsdb/head/head_image.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {
namespace {

/// Whether what the sections say can be read: their checksums were compared.
Status look_into(const HeadImage& image) {
  std::uint64_t pair_count = 0;
  const auto count_pair = [&](std::string_view, std::string_view) -> Status {
    ++pair_count;
    return {};
  };
  TRY(image.for_each_pair(count_pair));
  std::uint64_t series_count = 0;
  const auto look_at_series = [&](const ImageSeries& series) -> Status {
    ++series_count;
    for (const std::uint32_t pair : series.pairs) {
      if (pair >= pair_count) return corruption("a series has a label that is not there");
    }
    return {};
  };
  TRY(image.for_each_series(look_at_series));
  if (series_count != image.origin().series_count) return corruption("series are missing");
  if (!image.tombstones().empty()) TRY(Tombstones::decode(as_bytes(image.tombstones())));
  std::vector<RefMetadata> metadata;
  if (!image.metadata().empty()) TRY(decode_metadata(as_bytes(image.metadata()), metadata));
  std::vector<RefSeries> series;
  std::vector<RefExemplar> exemplars;
  const auto look_at_exemplar = [&](std::string_view of, std::string_view record) -> Status {
    TRY(decode_series(as_bytes(of), series));
    return decode_exemplars(as_bytes(record), exemplars);
  };
  return image.for_each_exemplar(look_at_exemplar);
}

}  // namespace

Status verify_head_image(
    FileSystem& files, const std::string& data_directory,
    const std::function<void(const std::string& path, const std::string& what)>& report) {
  const auto image = HeadImage::open(files, data_directory, nullptr);
  if (image.status().code() == Code::kNotFound) return {};
  if (image.status().code() == Code::kIo) return image.status();
  const Status status = image.ok() ? look_into(**image) : image.status();
  if (status.ok()) return {};
  report(join_path(join_path(data_directory, kHeadImageDirectory), kHeadImageFileName),
         status.message() + "; the next start reads the log instead");
  return {};
}

}  // namespace tarsier::tsdb
