#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "base/quote.h"
#include "query/exec/annotator.h"
#include "query/exec/cell_operator.h"
#include "query/exec/join_matching.h"
#include "query/exec/relabel.h"

namespace tarsier::query {
namespace {

constexpr std::uint32_t kNoSeries = std::numeric_limits<std::uint32_t>::max();

/// `{a="x", b="y"}`: how messages show labels, the name among them.
std::string braced(const tsdb::Labels& labels) {
  std::string out = "{";
  for (const tsdb::LabelView& label : labels) {
    if (out.size() > 1) out += ", ";
    out += tsdb::is_legacy_label_name(label.name) ? std::string(label.name) : quote(label.name);
    out += "=" + quote(label.value);
  }
  return out + "}";
}

/// The state of one join while it goes from step to step.
class StepJoin final {
 public:
  StepJoin(Context& context, const Binary& binary, const JoinRules& rules,
           const Grouper& signatures, const Table& many,
           const std::vector<std::uint32_t>& many_groups, const Table& one,
           const std::vector<std::uint32_t>& one_groups)
      : context_(context),
        loan_(std::in_place, context.memory),
        rules_(rules),
        signatures_(signatures),
        many_(many),
        many_groups_(many_groups),
        one_(one),
        one_groups_(one_groups),
        operator_(context, binary, rules.comparison()),
        pool_(std::make_shared<HistogramPool>()),
        steps_(many.grid().count),
        partner_(signatures.group_count()),
        results_of_(signatures.group_count()) {}

  Status run() {
    for (std::size_t k = 0; k < steps_; ++k) {
      TRY(context_.check_alive());
      TRY(run_step(k));
    }
    return {};
  }

  Result<StreamPtr> take() {
    std::vector<double> rows;
    rows.reserve(rows_.size() * steps_);
    for (std::vector<double>& row : rows_) {
      rows.insert(rows.end(), row.begin(), row.end());
      row = {};
    }
    loan_.reset();
    return StreamPtr(TRY(
        Table::create(context_, many_.grid(), std::move(series_), std::move(rows), histograms())));
  }

 private:
  Status run_step(std::size_t k) {
    const bool has_many = has_any(many_, k);
    const bool has_one = has_any(one_, k);
    if (!has_many && !has_one) return {};
    if (!rules_.many_fill && !rules_.one_fill && (!has_many || !has_one)) return {};
    TRY(index_one_side(k));
    for (auto& results : results_of_) results.clear();
    for (std::size_t i = 0; i < many_.size(); ++i) {
      const double value = many_.row(i)[k];
      if (is_absent(value)) continue;
      const std::uint32_t group = many_groups_[i];
      const std::uint32_t partner = partner_[group];
      if (partner != kNoSeries) {
        TRY(emit(k, group, many_.labels_of(i), value, &one_.labels_of(partner),
                 one_.row(partner)[k], PairKey{static_cast<std::uint32_t>(i), partner}));
      } else if (rules_.one_fill) {
        TRY(emit(k, group, many_.labels_of(i), value, nullptr, *rules_.one_fill,
                 PairKey{static_cast<std::uint32_t>(i), kNoSeries}));
      }
    }
    if (!rules_.many_fill) return {};
    for (std::size_t j = 0; j < one_.size(); ++j) {
      const double value = one_.row(j)[k];
      const std::uint32_t group = one_groups_[j];
      // What did not go together counts as not matched.
      if (is_absent(value) || !results_of_[group].empty()) continue;
      TRY(emit(k, group, signatures_.labels(group), *rules_.many_fill, &one_.labels_of(j), value,
               PairKey{kNoSeries, static_cast<std::uint32_t>(j)}));
    }
    return {};
  }

  static bool has_any(const Table& table, std::size_t k) {
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (is_present(table.row(i)[k])) return true;
    }
    return false;
  }

  Status index_one_side(std::size_t k) {
    std::fill(partner_.begin(), partner_.end(), kNoSeries);
    for (std::size_t j = 0; j < one_.size(); ++j) {
      if (is_absent(one_.row(j)[k])) continue;
      std::uint32_t& slot = partner_[one_groups_[j]];
      if (slot == kNoSeries) {
        slot = static_cast<std::uint32_t>(j);
        continue;
      }
      std::string a = braced(one_.labels_of(slot));
      std::string b = braced(one_.labels_of(j));
      if (b < a) std::swap(a, b);
      return invalid(fmt::format(
          "found duplicate series for the match group {} on the {} hand-side of the operation: "
          "[{}, "
          "{}];many-to-many matching not allowed: matching labels must be unique on one side",
          braced(signatures_.labels(one_groups_[j])), rules_.many_is_left ? "right" : "left", a,
          b));
    }
    return {};
  }

  struct PairKey {
    std::uint32_t many;
    std::uint32_t one;
    bool operator==(const PairKey&) const = default;
  };
  struct PairHash {
    std::size_t operator()(const PairKey& key) const {
      return (std::size_t{key.many} << 32 | key.one) * 0x9E3779B97F4A7C15;
    }
  };

  /// Of what was computed here. Comparisons also keep histograms of the two tables.
  HistogramOwner histograms() const {
    if (!many_.may_have_histograms() && !one_.may_have_histograms()) return nullptr;
    using Owners = std::vector<HistogramOwner>;
    return std::make_shared<const Owners>(Owners{many_.histograms(), one_.histograms(), pool_});
  }

  /// One result element. What does not go together is none at all; the checks for several results
  /// come before a comparison filters any out.
  Status emit(std::size_t k, std::uint32_t group, const tsdb::Labels& many, double many_value,
              const tsdb::Labels* one, double one_value, PairKey pair) {
    const double left = rules_.many_is_left ? many_value : one_value;
    const double right = rules_.many_is_left ? one_value : many_value;
    const CellOperator::Outcome outcome = operator_.apply(left, right, {k, emitted_++}, *pool_);
    if (outcome.is_refused) return {};
    const auto [known, is_new] = result_of_.try_emplace(pair, 0);
    if (is_new) known->second = TRY(series_for(rules_.result_labels(many, one)));
    const std::uint32_t result = known->second;
    std::vector<std::uint32_t>& results = results_of_[group];
    if (!rules_.is_grouped && !results.empty()) {
      return invalid(
          "multiple matches for labels: many-to-one matching must be explicit "
          "(group_left/group_right)");
    }
    if (std::find(results.begin(), results.end(), result) != results.end()) {
      return invalid("multiple matches for labels: grouping labels must ensure unique matches");
    }
    results.push_back(result);
    const double value = outcome.cell;
    if (is_absent(value)) return {};
    if (is_present(rows_[result][k])) return duplicate_labels_error();
    rows_[result][k] = value;
    return {};
  }

  Result<std::uint32_t> series_for(tsdb::Labels labels) {
    const auto [it, is_new] =
        series_of_.try_emplace(labels, static_cast<std::uint32_t>(series_.size()));
    if (is_new) {
      TRY(context_.check_dense(series_.size() + 1, steps_));
      TRY(loan_->grow(2 * bytes_of(labels) + steps_ * sizeof(double)));
      series_.push_back({std::move(labels), rules_.marks_names});
      rows_.emplace_back(steps_, absent_value());
    }
    return it->second;
  }

  Context& context_;
  std::optional<MemoryLoan> loan_;  // Of the results, until a table takes them over.
  const JoinRules& rules_;
  const Grouper& signatures_;
  const Table& many_;
  const std::vector<std::uint32_t>& many_groups_;
  const Table& one_;
  const std::vector<std::uint32_t>& one_groups_;
  CellOperator operator_;
  const std::shared_ptr<HistogramPool> pool_;
  std::uint64_t emitted_ = 0;
  const std::size_t steps_;

  // Of the current step, by signature.
  std::vector<std::uint32_t> partner_;
  std::vector<std::vector<std::uint32_t>> results_of_;

  // The result.
  std::unordered_map<PairKey, std::uint32_t, PairHash> result_of_;
  std::unordered_map<tsdb::Labels, std::uint32_t> series_of_;
  std::vector<Table::Series> series_;
  std::vector<std::vector<double>> rows_;
};

}  // namespace

Result<StreamPtr> join_by_step(Context& context, const Binary& binary, const JoinRules& rules,
                               const Grouper& signatures, const Table& many,
                               const std::vector<std::uint32_t>& many_groups, const Table& one,
                               const std::vector<std::uint32_t>& one_groups) {
  StepJoin step_join(context, binary, rules, signatures, many, many_groups, one, one_groups);
  TRY(step_join.run());
  return step_join.take();
}

}  // namespace tarsier::query
