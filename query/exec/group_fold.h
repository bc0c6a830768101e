#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "query/exec/context.h"
#include "query/exec/stream.h"

namespace tarsier::query {

/// Series in the order of their groups, within a group in their own order.
struct GroupOrder {
  GroupOrder(const std::vector<std::uint32_t>& groups, std::size_t group_count)
      : begin(group_count + 1, 0), series(groups.size()) {
    for (const std::uint32_t group : groups) ++begin[group + 1];
    for (std::size_t g = 0; g < group_count; ++g) begin[g + 1] += begin[g];
    std::vector<std::size_t> next(begin.begin(), begin.end() - 1);
    for (std::size_t i = 0; i < groups.size(); ++i) {
      series[next[groups[i]]++] = static_cast<std::uint32_t>(i);
    }
  }
  std::vector<std::size_t> begin;  ///< Group g is at [begin[g], begin[g + 1]) of `series`.
  std::vector<std::uint32_t> series;
};

/// Folds the rows of each group into one cell per step, reading every row once and keeping none.
///
/// The series, ordered by group, are cut into slices whose size depends on the query and on how
/// many there are alone, and each slice is folded by one thread. A group within one slice is folded
/// in series order; one that spans slices is merged from its parts in order. So memory is one row
/// of cells per group and slice, and the result does not depend on the number of threads.
///
/// `Rules` has a default-constructible `Cell`, `add(cell, value, series, step)`,
/// `merge(into, from, step)` and `finish(group, cells)`, which must be safe to call for different
/// groups at once.
template <typename Rules>
class GroupFold final {
 public:
  using Cell = typename Rules::Cell;

  GroupFold(const VectorStream& stream, const std::vector<std::uint32_t>& groups,
            std::size_t group_count, Rules& rules)
      : stream_(stream), groups_(groups), order_(groups, group_count), rules_(rules) {}

  Status run(Context& context) {
    const std::size_t count = order_.series.size();
    if (count == 0) return {};
    const std::size_t slice_size =
        std::max(rows_worth_a_task(context, stream_), (count + kSlicesMax - 1) / kSlicesMax);
    std::vector<Slice> slices((count + slice_size - 1) / slice_size);
    TRY(context.run_tasks(slices.size(), [&](std::size_t s, Scratch& scratch) {
      const std::size_t begin = s * slice_size;
      return fold(context, begin, std::min(count, begin + slice_size), slices[s], scratch);
    }));
    finish_parts(slices);
    return {};
  }

 private:
  static constexpr std::size_t kSlicesMax = 64;
  static constexpr std::size_t kBatchValues = 4096;

  struct Part {
    std::uint32_t group;
    std::vector<Cell> cells;
  };
  using Slice = std::vector<Part>;

  Status fold(Context& context, std::size_t begin, std::size_t end, Slice& slice,
              Scratch& scratch) {
    const std::size_t steps = stream_.grid().count;
    const std::size_t batch =
        std::max<std::size_t>(1, kBatchValues / std::max<std::size_t>(1, steps));
    auto rows = scratch.doubles(std::min(batch, end - begin) * steps);
    std::vector<Cell> cells(steps);
    for (std::size_t first = begin; first < end; first += batch) {
      const std::size_t last = std::min(end, first + batch);
      const HistogramScope scope(scratch.histograms());
      TRY(stream_.read({order_.series.data() + first, last - first}, rows->data(), scratch));
      for (std::size_t i = first; i < last; ++i) {
        const std::uint32_t series = order_.series[i];
        add_row(rows->data() + (i - first) * steps, series, cells);
        const std::uint32_t group = groups_[series];
        if (i + 1 < end && groups_[order_.series[i + 1]] == group) continue;
        if (begin <= order_.begin[group] && order_.begin[group + 1] <= end) {
          rules_.finish(group, cells);
        } else {
          slice.push_back({group, std::move(cells)});
        }
        cells.clear();
        cells.resize(steps);
      }
      TRY(context.check_alive());
    }
    return {};
  }

  void add_row(const double* row, std::uint32_t series, std::vector<Cell>& cells) {
    for (std::size_t k = 0; k < cells.size(); ++k) {
      if (is_present(row[k])) rules_.add(cells[k], row[k], series, k);
    }
  }

  void finish_parts(std::vector<Slice>& slices) {
    Part open;
    bool is_open = false;
    for (Slice& slice : slices) {
      for (Part& part : slice) {
        if (is_open && open.group == part.group) {
          for (std::size_t k = 0; k < open.cells.size(); ++k) {
            rules_.merge(open.cells[k], part.cells[k], k);
          }
          continue;
        }
        if (is_open) rules_.finish(open.group, open.cells);
        open = std::move(part);
        is_open = true;
      }
    }
    if (is_open) rules_.finish(open.group, open.cells);
  }

  const VectorStream& stream_;
  const std::vector<std::uint32_t>& groups_;
  const GroupOrder order_;
  Rules& rules_;
};

}  // namespace tarsier::query
