#include "query/exec/join.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "query/exec/cell_operator.h"
#include "query/exec/join_matching.h"

namespace tarsier::query {

JoinRules::JoinRules(const Context& context, const Binary& binary)
    : op(binary.op),
      return_bool(binary.return_bool),
      on(binary.matching.on),
      matching_labels(binary.matching.labels),
      include(binary.matching.include),
      is_grouped(binary.matching.cardinality != Cardinality::kOneToOne),
      many_is_left(binary.matching.cardinality != Cardinality::kOneToMany),
      drops_metadata(is_arithmetic(binary.op) ||
                     (binary.return_bool && !context.options.delayed_name_removal)),
      marks_names(binary.return_bool && context.options.delayed_name_removal),
      // Under group_right the sides are swapped and the fill values are not: upstream's tests pin
      // it.
      many_fill(binary.matching.fill_left),
      one_fill(binary.matching.fill_right) {}

Comparison JoinRules::comparison() const {
  return return_bool ? Comparison::kBool : Comparison::kKeepLeft;
}

BinaryKernel JoinRules::kernel() const { return binary_kernel(op, comparison()); }

tsdb::Labels JoinRules::result_labels(const tsdb::Labels& many, const tsdb::Labels* one) const {
  const auto is_matching = [&](std::string_view name) {
    return std::find(matching_labels.begin(), matching_labels.end(), name) != matching_labels.end();
  };
  std::vector<tsdb::LabelView> kept;
  for (const tsdb::LabelView& label : many) {
    if (drops_metadata && is_metadata_label(label.name)) continue;
    if (!is_grouped && is_matching(label.name) != on) continue;
    if (std::find(include.begin(), include.end(), label.name) != include.end()) continue;
    kept.push_back(label);
  }
  if (include.empty()) return tsdb::Labels::from_sorted(kept);
  for (const std::string& name : include) {
    const std::string_view value = one == nullptr ? std::string_view() : one->get(name);
    if (!value.empty()) kept.push_back({name, value});
  }
  return tsdb::Labels::from_views(std::move(kept));
}

namespace {

constexpr std::uint32_t kNoSeries = std::numeric_limits<std::uint32_t>::max();

/// Pairs of series found once, their rows combined as they are read.
class PairStream final : public VectorStream {
 public:
  struct Pair {
    std::uint32_t many;
    std::uint32_t one;
  };

  PairStream(Context& context, const Binary& binary, const JoinRules& rules, StreamPtr many,
             StreamPtr one, std::vector<Pair> pairs, std::vector<tsdb::Labels> labels)
      : VectorStream(many->grid()),
        kernel_(is_trim(rules.op) ? nullptr : rules.kernel()),
        many_is_left_(rules.many_is_left),
        marks_names_(rules.marks_names),
        many_(std::move(many)),
        one_(std::move(one)),
        pairs_(std::move(pairs)),
        labels_(std::move(labels)) {
    if (needs_cells(rules.op, PairStream::may_have_histograms())) {
      cells_ = std::make_unique<CellOperator>(context, binary, rules.comparison());
    }
  }

  std::size_t size() const override { return pairs_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return labels_[i]; }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return labels_[i].get(name);
  }
  bool drops_name(std::size_t) const override { return marks_names_; }
  bool may_have_names() const override {
    return std::any_of(labels_.begin(), labels_.end(), [](const tsdb::Labels& labels) {
      return std::any_of(labels.begin(), labels.end(), [](const tsdb::LabelView& label) {
        return is_metadata_label(label.name);
      });
    });
  }
  bool is_distinct_without_names() const override { return false; }
  bool may_have_histograms() const override {
    return many_->may_have_histograms() || one_->may_have_histograms();
  }

  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    const std::size_t count = series.size() * grid().count;
    auto wanted = scratch.indices();
    for (const std::uint32_t i : series) wanted->push_back(pairs_[i].many);
    TRY(many_->read(*wanted, rows, scratch));
    wanted->clear();
    for (const std::uint32_t i : series) wanted->push_back(pairs_[i].one);
    auto others = scratch.doubles(count);
    TRY(one_->read(*wanted, others->data(), scratch));
    if (cells_ != nullptr) {
      combine_cells(series, rows, others->data(), scratch.histograms());
    } else if (many_is_left_) {
      kernel_(rows, others->data(), count, rows);
    } else {
      kernel_(others->data(), rows, count, rows);
    }
    return {};
  }

 private:
  void combine_cells(std::span<const std::uint32_t> series, double* rows, const double* others,
                     HistogramPool& pool) const {
    const std::size_t steps = grid().count;
    for (std::size_t i = 0; i < series.size() * steps; ++i) {
      if (is_absent(rows[i]) || is_absent(others[i])) {
        rows[i] = absent_value();
        continue;
      }
      const double left = many_is_left_ ? rows[i] : others[i];
      const double right = many_is_left_ ? others[i] : rows[i];
      rows[i] = cells_->apply(left, right, {i % steps, series[i / steps]}, pool).cell;
    }
  }

  const BinaryKernel kernel_;            // Null where cells are needed.
  std::unique_ptr<CellOperator> cells_;  // Null where the kernel does it. Locks itself.
  const bool many_is_left_;
  const bool marks_names_;
  const StreamPtr many_;
  const StreamPtr one_;
  const std::vector<Pair> pairs_;
  const std::vector<tsdb::Labels> labels_;
};

/// The only series of each group; nothing if a group has two.
std::optional<std::vector<std::uint32_t>> only_series(const std::vector<std::uint32_t>& groups,
                                                      std::size_t group_count) {
  std::vector<std::uint32_t> series(group_count, kNoSeries);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (series[groups[i]] != kNoSeries) return std::nullopt;
    series[groups[i]] = static_cast<std::uint32_t>(i);
  }
  return series;
}

bool are_distinct(const std::vector<tsdb::Labels>& labels) {
  std::unordered_set<std::string_view> seen;
  seen.reserve(labels.size());
  return std::all_of(labels.begin(), labels.end(),
                     [&](const tsdb::Labels& l) { return seen.insert(l.encoded()).second; });
}

}  // namespace

Result<StreamPtr> join(Context& context, const Binary& binary, StreamPtr left, StreamPtr right) {
  const JoinRules rules(context, binary);
  StreamPtr many = rules.many_is_left ? std::move(left) : std::move(right);
  StreamPtr one = rules.many_is_left ? std::move(right) : std::move(left);
  Grouper signatures(signature_of(binary.matching));
  const std::vector<std::uint32_t> one_groups = signatures.add(*one);
  const std::vector<std::uint32_t> many_groups = signatures.add(*many);
  const bool fills = rules.many_fill.has_value() || rules.one_fill.has_value();
  const auto partners = only_series(one_groups, signatures.group_count());
  const bool many_is_unique =
      rules.is_grouped || only_series(many_groups, signatures.group_count()).has_value();
  if (!fills && partners && many_is_unique) {
    std::vector<PairStream::Pair> pairs;
    std::vector<tsdb::Labels> labels;
    for (std::size_t i = 0; i < many_groups.size(); ++i) {
      const std::uint32_t partner = (*partners)[many_groups[i]];
      if (partner == kNoSeries) continue;
      pairs.push_back({static_cast<std::uint32_t>(i), partner});
      const tsdb::Labels partner_labels =
          rules.include.empty() ? tsdb::Labels() : one->labels(partner);
      labels.push_back(rules.result_labels(many->labels(i), &partner_labels));
    }
    if (are_distinct(labels)) {
      // A one-side row is needed once for each of its partners.
      if (rules.is_grouped) one = TRY(Table::of(context, *one));
      return StreamPtr(std::make_unique<PairStream>(context, binary, rules, std::move(many),
                                                    std::move(one), std::move(pairs),
                                                    std::move(labels)));
    }
  }
  const auto many_table = TRY(Table::of(context, *many));
  const auto one_table = TRY(Table::of(context, *one));
  return join_by_step(context, binary, rules, signatures, *many_table, many_groups, *one_table,
                      one_groups);
}

}  // namespace tarsier::query
