#include "tsdb/block/index_queries.h"

#include <algorithm>
#include <unordered_set>

#include "tsdb/index/select.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kCancelStride = 1024;

/// Whether none of the series' chunks in `wanted` has a sample left.
Result<bool> is_all_deleted(const IndexReader& index, std::span<const TimeRange> deleted,
                            Bytes series, TimeRange wanted) {
  if (deleted.empty()) return false;
  std::vector<ChunkMeta> metas;
  TRY(index.append_chunks(series, wanted, metas));
  return std::all_of(metas.begin(), metas.end(), [&](const ChunkMeta& meta) {
    return is_deleted(deleted,
                      {std::max(meta.min_time, wanted.min), std::min(meta.max_time, wanted.max)});
  });
}

std::vector<std::string> to_strings(const std::vector<std::string_view>& views) {
  return {views.begin(), views.end()};
}
std::vector<std::string> sorted(const std::unordered_set<std::string_view>& found) {
  std::vector<std::string> strings(found.begin(), found.end());
  std::sort(strings.begin(), strings.end());
  return strings;
}

}  // namespace

Result<std::vector<std::uint32_t>> select_series(const IndexReader& index,
                                                 const Tombstones& tombstones, TimeRange wanted,
                                                 const std::vector<Matcher>& matchers,
                                                 std::size_t series_limit,
                                                 const CancelToken* cancel) {
  std::vector<std::uint32_t> refs = TRY(select_postings(index, matchers, cancel));
  std::size_t kept = 0;
  for (std::size_t i = 0; i < refs.size(); ++i) {
    if (i % kCancelStride == 0) TRY(check_cancel(cancel));
    const Bytes series = TRY(index.series(refs[i]));
    if (!TRY(index.overlaps(series, wanted))) continue;
    if (TRY(is_all_deleted(index, tombstones.ranges(refs[i]), series, wanted))) continue;
    refs[kept++] = refs[i];
    if (kept == series_limit) break;
  }
  refs.resize(kept);
  return refs;
}

Result<std::vector<std::string>> index_label_names(const IndexReader& index,
                                                   const std::vector<Matcher>& matchers) {
  if (matchers.empty()) return to_strings(index.label_names());
  std::unordered_set<std::string_view> found;
  std::vector<LabelView> labels;
  for (const std::uint32_t ref : TRY(select_postings(index, matchers, nullptr))) {
    const Bytes series = TRY(index.series(ref));
    TRY(index.decode_labels(series, labels));
    for (const LabelView& label : labels) found.insert(label.name);
  }
  return sorted(found);
}

Result<std::vector<std::string>> index_label_values(const IndexReader& index, std::string_view name,
                                                    const std::vector<Matcher>& matchers) {
  if (matchers.empty()) return to_strings(index.label_values(name));
  std::unordered_set<std::string_view> found;
  std::string_view last;
  for (const std::uint32_t ref : TRY(select_postings(index, matchers, nullptr))) {
    const std::string_view value = TRY(index.label_value(ref, name));
    if (value.empty() || value.data() == last.data()) continue;
    found.insert(value);
    last = value;
  }
  return sorted(found);
}

}  // namespace tarsier::tsdb
