#include "tsdb/merge_querier.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tsdb/mixed_merge.h"

namespace tarsier::tsdb {
namespace {

/// One selection of one source.
struct Part {
  std::unique_ptr<SeriesSet> set;
  TimeRange range;
};

/// Brings the samples from `from` on, which are in order, together with those before, of which some
/// are not earlier.
void merge_overlap(std::size_t from, SampleColumns& columns) {
  SampleColumns merged;
  const std::int64_t first = columns.times_ms[from];
  // Only the end that overlaps is rewritten.
  const auto keep = static_cast<std::size_t>(
      std::lower_bound(columns.times_ms.begin(),
                       columns.times_ms.begin() + static_cast<std::ptrdiff_t>(from), first) -
      columns.times_ms.begin());
  std::size_t a = keep;
  std::size_t b = from;
  while (a < from || b < columns.size()) {
    const bool take_a =
        b == columns.size() || (a < from && columns.times_ms[a] <= columns.times_ms[b]);
    const std::size_t i = take_a ? a++ : b++;
    merged.push_back(Timestamp{columns.times_ms[i]}, columns.values[i]);
    if (take_a && b < columns.size() && columns.times_ms[b] == columns.times_ms[i]) ++b;
  }
  columns.times_ms.resize(keep);
  columns.values.resize(keep);
  columns.times_ms.insert(columns.times_ms.end(), merged.times_ms.begin(), merged.times_ms.end());
  columns.values.insert(columns.values.end(), merged.values.begin(), merged.values.end());
}

class MergeSeriesSet final : public SeriesSet {
 public:
  explicit MergeSeriesSet(std::vector<Part> parts) : parts_(std::move(parts)) {}

  /// Walks all parts at once in label order. Mostly they have the same series: then the labels of
  /// one are built, and the others' compared to them where they are.
  Status merge(const CancelToken* cancel) {
    std::vector<Cursor> cursors(parts_.size());
    std::vector<std::size_t> with_least;
    for (;;) {
      if (starts_.size() % 1024 == 0 && cancel != nullptr && cancel->is_cancelled()) {
        return cancel->is_expired() ? timeout("query timed out") : cancelled("query was cancelled");
      }
      with_least.clear();
      for (std::size_t part = 0; part < parts_.size(); ++part) {
        if (cursors[part].index == parts_[part].set->size()) continue;
        const std::strong_ordering order = with_least.empty()
                                               ? std::strong_ordering::less
                                               : compare(cursors, part, with_least.front());
        if (order < 0) {
          with_least.clear();
          build_labels(cursors[part], part);
        }
        if (order <= 0) with_least.push_back(part);
      }
      if (with_least.empty()) return {};
      starts_.push_back(members_.size());
      for (const std::size_t part : with_least) {
        members_.push_back({part, cursors[part].index++});
        cursors[part].has_labels = false;
      }
    }
  }

  std::size_t size() const override { return starts_.size(); }
  Labels labels(std::size_t i) const override {
    const Member first = members_[starts_[i]];
    return parts_[first.part].set->labels(first.index);
  }
  std::string_view label(std::size_t i, std::string_view name) const override {
    const Member first = members_[starts_[i]];
    return parts_[first.part].set->label(first.index, name);
  }

  std::strong_ordering compare(std::size_t i, const Labels& other) const override {
    const Member first = members_[starts_[i]];
    return parts_[first.part].set->compare(first.index, other);
  }
  bool may_have_label(std::string_view name) const override {
    return std::any_of(parts_.begin(), parts_.end(),
                       [&](const Part& part) { return part.set->may_have_label(name); });
  }

  bool has_histogram_series() const override {
    return std::any_of(parts_.begin(), parts_.end(),
                       [](const Part& part) { return part.set->has_histogram_series(); });
  }

  Status read(std::size_t i, TimeRange range, SampleColumns& out) const override {
    const std::size_t begin = out.size();
    for (std::size_t m = starts_[i]; m < end(i); ++m) {
      const Part& part = parts_[members_[m].part];
      if (!part.range.overlaps(range)) continue;
      const std::size_t before = out.size();
      TRY(part.set->read(members_[m].index, range, out));
      const bool overlaps =
          before > begin && out.size() > before && out.times_ms[before] <= out.times_ms[before - 1];
      if (!overlaps) continue;
      if (begin == 0) {
        merge_overlap(before, out);
        continue;
      }
      // What the caller had before is not ours to merge with.
      SampleColumns own;
      own.times_ms.assign(out.times_ms.begin() + static_cast<std::ptrdiff_t>(begin),
                          out.times_ms.end());
      own.values.assign(out.values.begin() + static_cast<std::ptrdiff_t>(begin), out.values.end());
      merge_overlap(before - begin, own);
      out.times_ms.resize(begin);
      out.values.resize(begin);
      out.times_ms.insert(out.times_ms.end(), own.times_ms.begin(), own.times_ms.end());
      out.values.insert(out.values.end(), own.values.begin(), own.values.end());
    }
    return {};
  }

  bool may_have_histograms(std::size_t i) const override {
    for (std::size_t m = starts_[i]; m < end(i); ++m) {
      if (parts_[members_[m].part].set->may_have_histograms(members_[m].index)) return true;
    }
    return false;
  }

  Status read_mixed(std::size_t i, TimeRange range, SampleColumns& floats,
                    HistogramColumns& histograms) const override {
    MixedMerge merge(floats, histograms);
    for (std::size_t m = starts_[i]; m < end(i); ++m) {
      const Part& part = parts_[members_[m].part];
      if (!part.range.overlaps(range)) continue;
      TRY(part.set->read_mixed(members_[m].index, range, floats, histograms));
      merge.add_source();
    }
    merge.finish();
    return {};
  }

  Result<std::optional<Sample>> last_sample(std::size_t i, TimeRange range) const override {
    std::optional<Sample> newest;
    for (std::size_t m = end(i); m-- > starts_[i];) {
      const Part& part = parts_[members_[m].part];
      // Not before what was found; of two at the same time the earlier source's stays.
      TimeRange wanted = range;
      if (newest) wanted.min = std::max(wanted.min, newest->t);
      if (wanted.min > wanted.max || !part.range.overlaps(wanted)) continue;
      const std::optional<Sample> found = TRY(part.set->last_sample(members_[m].index, wanted));
      if (found) newest = found;
    }
    return newest;
  }

 private:
  struct Member {
    std::size_t part;
    std::size_t index;
  };
  /// Where the merge is in a part.
  struct Cursor {
    std::size_t index = 0;
    bool has_labels = false;  // What follows is of `index`.
    Labels labels;
  };
  void build_labels(Cursor& cursor, std::size_t part) const {
    if (cursor.has_labels) return;
    cursor.labels = parts_[part].set->labels(cursor.index);
    cursor.has_labels = true;
  }
  /// The labels a part has come to, to those of another that are built.
  std::strong_ordering compare(const std::vector<Cursor>& cursors, std::size_t part,
                               std::size_t other) const {
    const Cursor& cursor = cursors[part];
    if (cursor.has_labels) return cursor.labels <=> cursors[other].labels;
    return parts_[part].set->compare(cursor.index, cursors[other].labels);
  }

  std::size_t end(std::size_t i) const {
    return i + 1 < starts_.size() ? starts_[i + 1] : members_.size();
  }

  std::vector<Part> parts_;
  std::vector<std::size_t> starts_;  // Of each series in members_.
  std::vector<Member> members_;      // A series' own in the order of the sources.
};

Result<std::unique_ptr<SeriesSet>> unite(std::vector<Part> parts, const CancelToken* cancel) {
  // Most queries look at the last hours, which only the head has.
  if (parts.size() == 1) return std::move(parts.front().set);
  auto merged = std::make_unique<MergeSeriesSet>(std::move(parts));
  TRY(merged->merge(cancel));
  return std::unique_ptr<SeriesSet>(std::move(merged));
}

std::vector<std::string> unite(std::vector<std::vector<std::string>> lists) {
  std::vector<std::string> all;
  for (std::vector<std::string>& list : lists) {
    all.insert(all.end(), std::make_move_iterator(list.begin()),
               std::make_move_iterator(list.end()));
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

class MergeQuerier final : public Querier {
 public:
  explicit MergeQuerier(std::vector<MergeSource> sources) : sources_(std::move(sources)) {}

  Result<std::unique_ptr<SeriesSet>> select(const std::vector<Matcher>& matchers,
                                            const SelectHints& hints,
                                            const CancelToken* cancel) const override {
    auto sets = TRY(select_all({{matchers, hints}}, cancel));
    return std::move(sets.front());
  }

  Result<std::vector<std::unique_ptr<SeriesSet>>> select_all(
      const std::vector<SelectRequest>& requests, const CancelToken* cancel) const override {
    std::vector<std::vector<Part>> parts(requests.size());
    for (const MergeSource& source : sources_) {
      std::vector<SelectRequest> asked;
      std::vector<std::size_t> asked_for;
      for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!source.range.overlaps(requests[i].hints.range)) continue;
        if (source.serves && !source.serves(requests[i].hints)) continue;
        asked.push_back(requests[i]);
        asked_for.push_back(i);
      }
      if (asked.empty()) continue;
      auto sets = TRY(source.querier->select_all(asked, cancel));
      for (std::size_t k = 0; k < sets.size(); ++k) {
        if (sets[k]->size() == 0) continue;
        parts[asked_for[k]].push_back({std::move(sets[k]), source.range});
        ServedResolutions* const served = asked[k].hints.resolution.served;
        if (served != nullptr) served->add(source.resolution);
      }
    }
    std::vector<std::unique_ptr<SeriesSet>> united;
    for (std::vector<Part>& of_one : parts) united.push_back(TRY(unite(std::move(of_one), cancel)));
    return united;
  }

  bool heeds_resolution() const override {
    return std::any_of(sources_.begin(), sources_.end(), [](const MergeSource& source) {
      return source.serves != nullptr || source.querier->heeds_resolution();
    });
  }

  Result<std::vector<std::string>> label_names(
      const std::vector<Matcher>& matchers) const override {
    std::vector<std::vector<std::string>> lists;
    for (const MergeSource& source : sources_) {
      if (source.is_alternative) continue;
      lists.push_back(TRY(source.querier->label_names(matchers)));
    }
    return unite(std::move(lists));
  }

  Result<std::vector<std::string>> label_values(
      std::string_view name, const std::vector<Matcher>& matchers) const override {
    std::vector<std::vector<std::string>> lists;
    for (const MergeSource& source : sources_) {
      if (source.is_alternative) continue;
      lists.push_back(TRY(source.querier->label_values(name, matchers)));
    }
    return unite(std::move(lists));
  }

 private:
  const std::vector<MergeSource> sources_;
};

}  // namespace

std::unique_ptr<Querier> make_merge_querier(std::vector<MergeSource> sources) {
  return std::make_unique<MergeQuerier>(std::move(sources));
}

}  // namespace tarsier::tsdb
