#include "query/exec/info.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "query/exec/relabel.h"

namespace tarsier::query {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr std::array<std::string_view, 2> kIdentifying = {"instance", "job"};

/// Series made of parts of another stream's: each has some of the steps of one child series.
class PartsStream final : public VectorStream {
 public:
  struct Part {
    std::uint32_t child;
    tsdb::Labels labels;
    std::vector<bool> steps;
  };
  PartsStream(StreamPtr child, std::vector<Part> parts)
      : VectorStream(child->grid()), child_(std::move(child)), parts_(std::move(parts)) {}
  std::size_t size() const override { return parts_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return parts_[i].labels; }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return parts_[i].labels.get(name);
  }
  bool drops_name(std::size_t i) const override { return child_->drops_name(parts_[i].child); }
  bool may_have_names() const override { return true; }
  bool is_distinct_without_names() const override { return false; }
  bool may_have_histograms() const override { return child_->may_have_histograms(); }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    auto wanted = scratch.indices();
    for (const std::uint32_t i : series) wanted->push_back(parts_[i].child);
    TRY(child_->read(*wanted, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      const std::vector<bool>& steps = parts_[series[i]].steps;
      double* const row = rows + i * grid().count;
      for (std::size_t k = 0; k < grid().count; ++k) {
        if (!steps[k]) row[k] = absent_value();
      }
    }
    return {};
  }

 private:
  const StreamPtr child_;
  const std::vector<Part> parts_;
};

/// instance and job as one text; an absent label is an empty one.
std::string identity_of(const VectorStream& stream, std::size_t i) {
  std::string identity;
  for (const std::string_view name : kIdentifying) {
    identity += stream.label(i, name);
    identity += '\xff';  // In no valid UTF-8.
  }
  return identity;
}

class InfoJoin final {
 public:
  InfoJoin(const Table& base, const Table& info, const std::vector<tsdb::Matcher>& matchers)
      : base_(base), info_(info) {
    for (const tsdb::Matcher& m : matchers) {
      (m.name() == tsdb::kMetricName ? name_matchers_ : data_matchers_).push_back(m);
    }
    drops_unmatched_ = std::any_of(data_matchers_.begin(), data_matchers_.end(),
                                   [](const tsdb::Matcher& m) { return !m.matches_empty(); });
    find_slots();
  }

  Status run(const Context& context) {
    for (std::size_t k = 0; k < base_.grid().count; ++k) {
      TRY(context.check_alive());
      TRY(run_step(k));
    }
    return {};
  }

  std::vector<PartsStream::Part> take() { return std::move(parts_); }

 private:
  /// The newest of the info series of one metric name and identity, at the current step.
  using Slot = std::uint32_t;

  bool is_info_itself(std::size_t i) const {
    const std::string_view name = base_.label(i, tsdb::kMetricName);
    return std::all_of(name_matchers_.begin(), name_matchers_.end(),
                       [&](const tsdb::Matcher& m) { return m.matches(name); });
  }

  /// Info series are selected by the identifying values that occur in the base.
  std::vector<bool> selected_info() const {
    std::vector<bool> is_selected(info_.size(), false);
    std::array<std::set<std::string_view>, kIdentifying.size()> values;
    bool has_any = false;
    for (std::size_t i = 0; i < base_.size(); ++i) {
      if (is_info_itself(i)) continue;
      for (std::size_t l = 0; l < values.size(); ++l) {
        const std::string_view value = base_.label(i, kIdentifying[l]);
        if (!value.empty()) values[l].insert(value);
        has_any = has_any || !value.empty();
      }
    }
    for (std::size_t j = 0; j < info_.size() && has_any; ++j) {
      is_selected[j] = true;
      for (std::size_t l = 0; l < values.size(); ++l) {
        if (!values[l].empty() && !values[l].contains(info_.label(j, kIdentifying[l]))) {
          is_selected[j] = false;
        }
      }
    }
    return is_selected;
  }

  void find_slots() {
    const std::vector<bool> is_selected = selected_info();
    // Identity to the slots of its metric names, in the order of the names.
    std::unordered_map<std::string, std::map<std::string_view, Slot>> slots;
    slot_of_.assign(info_.size(), kNone);
    Slot count = 0;
    for (std::size_t j = 0; j < info_.size(); ++j) {
      if (!is_selected[j]) continue;
      auto& by_name = slots[identity_of(info_, j)];
      const auto [it, is_new] = by_name.try_emplace(info_.label(j, tsdb::kMetricName), count);
      if (is_new) ++count;
      slot_of_[j] = it->second;
    }
    winner_.assign(count, kNone);
    slots_of_base_.resize(base_.size());
    passes_.resize(base_.size());
    parts_of_base_.resize(base_.size());
    for (std::size_t i = 0; i < base_.size(); ++i) {
      passes_[i] = is_info_itself(i);
      if (passes_[i]) continue;
      const auto it = slots.find(identity_of(base_, i));
      if (it == slots.end()) continue;
      for (const auto& [name, slot] : it->second) slots_of_base_[i].push_back(slot);
    }
  }

  Status run_step(std::size_t k) {
    bool has_base = false;
    for (std::size_t i = 0; i < base_.size() && !has_base; ++i) {
      has_base = is_present(base_.row(i)[k]);
    }
    if (!has_base) return {};
    TRY(find_winners(k));
    for (std::size_t i = 0; i < base_.size(); ++i) {
      if (is_present(base_.row(i)[k])) TRY(place(i, k));
    }
    return {};
  }

  Status find_winners(std::size_t k) {
    std::fill(winner_.begin(), winner_.end(), kNone);
    for (std::size_t j = 0; j < info_.size(); ++j) {
      const double time = info_.row(j)[k];
      if (slot_of_[j] == kNone || is_absent(time)) continue;
      if (is_histogram(time)) {
        return invalid("this should be an info metric, with float samples: " +
                       info_.labels_of(j).to_string());
      }
      std::uint32_t& winner = winner_[slot_of_[j]];
      if (winner == kNone) {
        winner = static_cast<std::uint32_t>(j);
        continue;
      }
      const double known = info_.row(winner)[k];
      if (known == time) {
        const auto ms = [](double seconds) { return std::llround(seconds * 1000); };
        return invalid(
            fmt::format("found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                        info_.labels_of(winner).to_string(), ms(known),
                        info_.labels_of(j).to_string(), ms(time)));
      }
      if (known < time) winner = static_cast<std::uint32_t>(j);
    }
    return {};
  }

  /// Puts the element of base series i at step k into the part with the labels it gets there.
  Status place(std::size_t i, std::size_t k) {
    partners_.clear();
    for (const Slot slot : slots_of_base_[i]) {
      if (winner_[slot] != kNone) partners_.push_back(winner_[slot]);
    }
    if (partners_.empty() && !passes_[i] && drops_unmatched_) return {};
    const auto [it, is_new] = parts_of_base_[i].try_emplace(partners_, parts_.size());
    if (is_new) {
      parts_.push_back({static_cast<std::uint32_t>(i), TRY(labels_with(i, partners_)),
                        std::vector<bool>(base_.grid().count, false)});
    }
    parts_[it->second].steps[k] = true;
    return {};
  }

  bool is_wanted(std::string_view name) const {
    return data_matchers_.empty() ||
           std::any_of(data_matchers_.begin(), data_matchers_.end(),
                       [&](const tsdb::Matcher& m) { return m.name() == name; });
  }

  Result<tsdb::Labels> labels_with(std::size_t i,
                                   const std::vector<std::uint32_t>& partners) const {
    const tsdb::Labels& base = base_.labels_of(i);
    tsdb::LabelsBuilder builder(base);
    for (const std::uint32_t j : partners) {
      for (const tsdb::LabelView& label : info_.labels_of(j)) {
        if (label.name == tsdb::kMetricName || !is_wanted(label.name) || base.has(label.name)) {
          continue;
        }
        const std::string_view other = builder.get(label.name);
        if (!other.empty() && other != label.value) {
          return invalid(fmt::format("conflicting label: {}", label.name));
        }
        builder.set(label.name, label.value);
      }
    }
    return builder.build();
  }

  const Table& base_;
  const Table& info_;
  std::vector<tsdb::Matcher> name_matchers_;
  std::vector<tsdb::Matcher> data_matchers_;
  bool drops_unmatched_ = false;

  std::vector<Slot> slot_of_;                     // Of each info series; kNone: not selected.
  std::vector<std::vector<Slot>> slots_of_base_;  // Of each base series, by metric name.
  std::vector<bool> passes_;                      // Base series that are info series themselves.

  std::vector<std::uint32_t> winner_;  // Of each slot, at the current step.
  std::vector<std::uint32_t> partners_;
  std::vector<std::map<std::vector<std::uint32_t>, std::size_t>> parts_of_base_;
  std::vector<PartsStream::Part> parts_;
};

}  // namespace

Result<StreamPtr> enrich_with_info(Context& context, StreamPtr base, StreamPtr info_times,
                                   const std::vector<tsdb::Matcher>& matchers) {
  auto base_table = TRY(Table::of(context, *base));
  const auto info_table = TRY(Table::of(context, *info_times));
  InfoJoin info_join(*base_table, *info_table, matchers);
  TRY(info_join.run(context));
  StreamPtr stream = std::make_unique<PartsStream>(std::move(base_table), info_join.take());
  return resolve_equal(context, std::move(stream), OnEqual::kMerge);
}

}  // namespace tarsier::query
