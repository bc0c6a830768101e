#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/index/index_reader.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

// What a querier asks an index, whatever kind of block it belongs to.

/// Series that pass all `matchers`, have a chunk that overlaps `wanted`, and are not deleted there.
/// Their entries are verified. `series_limit` 0 is no limit.
Result<std::vector<std::uint32_t>> select_series(const IndexReader& index,
                                                 const Tombstones& tombstones, TimeRange wanted,
                                                 const std::vector<Matcher>& matchers,
                                                 std::size_t series_limit,
                                                 const CancelToken* cancel);
/// Sorted and unique; with no matchers those of all series.
Result<std::vector<std::string>> index_label_names(const IndexReader& index,
                                                   const std::vector<Matcher>& matchers);
Result<std::vector<std::string>> index_label_values(const IndexReader& index, std::string_view name,
                                                    const std::vector<Matcher>& matchers);

}  // namespace tarsier::tsdb
