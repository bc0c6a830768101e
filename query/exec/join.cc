#include "query/exec/join.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "query/exec/cell_operator.h"
#include "query/exec/join_matching.h"
#include "query/exec/relabel.h"

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

bool JoinRules::is_included(std::string_view name) const {
  return std::find(include.begin(), include.end(), name) != include.end();
}

bool JoinRules::keeps_of_many(std::string_view name) const {
  if (drops_metadata && is_metadata_label(name)) return false;
  if (is_grouped) return true;
  const bool is_matching =
      std::find(matching_labels.begin(), matching_labels.end(), name) != matching_labels.end();
  return is_matching == on;
}

tsdb::Labels JoinRules::result_labels(const tsdb::Labels& many, const tsdb::Labels* one) const {
  std::vector<tsdb::LabelView> kept;
  for (const tsdb::LabelView& label : many) {
    if (keeps_of_many(label.name) && !is_included(label.name)) kept.push_back(label);
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

  PairStream(Context& context, const Binary& binary, JoinRules rules, StreamPtr many, StreamPtr one,
             std::vector<Pair> pairs)
      : VectorStream(many->grid()),
        rules_(std::move(rules)),
        kernel_(is_trim(rules_.op) ? nullptr : rules_.kernel()),
        many_(std::move(many)),
        one_(std::move(one)),
        pairs_(std::move(pairs)) {
    if (needs_cells(rules_.op, PairStream::may_have_histograms())) {
      cells_ = std::make_unique<CellOperator>(context, binary, rules_.comparison());
    }
  }

  std::size_t size() const override { return pairs_.size(); }
  tsdb::Labels labels(std::size_t i) const override {
    return pair_labels(rules_, *many_, *one_, pairs_[i]);
  }
  std::string_view label(std::size_t i, std::string_view name) const override {
    if (rules_.is_included(name)) return one_->label(pairs_[i].one, name);
    return rules_.keeps_of_many(name) ? many_->label(pairs_[i].many, name) : std::string_view();
  }
  bool drops_name(std::size_t) const override { return rules_.marks_names; }
  bool may_have_names() const override {
    return (!rules_.drops_metadata && many_->may_have_names()) ||
           std::any_of(rules_.include.begin(), rules_.include.end(), is_metadata_label);
  }
  bool is_distinct_without_names() const override { return false; }
  bool may_have_histograms() const override {
    return many_->may_have_histograms() || one_->may_have_histograms();
  }

  /// The labels of a pair's result.
  static tsdb::Labels pair_labels(const JoinRules& rules, const VectorStream& many,
                                  const VectorStream& one, const Pair& pair) {
    if (rules.include.empty()) return rules.result_labels(many.labels(pair.many), nullptr);
    const tsdb::Labels one_labels = one.labels(pair.one);
    return rules.result_labels(many.labels(pair.many), &one_labels);
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
    } else if (rules_.many_is_left) {
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
      const double left = rules_.many_is_left ? rows[i] : others[i];
      const double right = rules_.many_is_left ? others[i] : rows[i];
      rows[i] = cells_->apply(left, right, {i % steps, series[i / steps]}, pool).cell;
    }
  }

  const JoinRules rules_;
  const BinaryKernel kernel_;            // Null where cells are needed.
  std::unique_ptr<CellOperator> cells_;  // Null where the kernel does it. Locks itself.
  const StreamPtr many_;
  const StreamPtr one_;
  const std::vector<Pair> pairs_;
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

/// Whether the results of all pairs are known to be different without looking at their labels.
bool are_surely_distinct(const JoinRules& rules, const VectorStream& many) {
  if (!rules.include.empty()) return false;
  if (rules.is_grouped || (!rules.on && rules.matching_labels.empty())) {
    return !rules.drops_metadata || !many.may_have_names() || many.is_distinct_without_names();
  }
  // One to one: what matches is in the result, unless it is a name that is dropped.
  const bool matches_names =
      std::any_of(rules.matching_labels.begin(), rules.matching_labels.end(), is_metadata_label);
  return rules.on && !(rules.drops_metadata && matches_names);
}

}  // namespace

Result<StreamPtr> join(Context& context, const Binary& binary, StreamPtr left, StreamPtr right) {
  const JoinRules rules(context, binary);
  StreamPtr many = rules.many_is_left ? std::move(left) : std::move(right);
  StreamPtr one = rules.many_is_left ? std::move(right) : std::move(left);
  Grouper signatures(context, signature_of(binary.matching));
  const std::vector<std::uint32_t> one_groups = TRY(signatures.add(*one));
  const std::vector<std::uint32_t> many_groups = TRY(signatures.add(*many));
  const bool fills = rules.many_fill.has_value() || rules.one_fill.has_value();
  const auto partners = only_series(one_groups, signatures.group_count());
  const bool many_is_unique =
      rules.is_grouped || only_series(many_groups, signatures.group_count()).has_value();
  if (!fills && partners && many_is_unique) {
    std::vector<PairStream::Pair> pairs;
    for (std::size_t i = 0; i < many_groups.size(); ++i) {
      const std::uint32_t partner = (*partners)[many_groups[i]];
      if (partner != kNoSeries) pairs.push_back({static_cast<std::uint32_t>(i), partner});
    }
    const auto labels_of = [&](std::size_t i) {
      return PairStream::pair_labels(rules, *many, *one, pairs[i]);
    };
    if (are_surely_distinct(rules, *many) || TRY(are_distinct(context, pairs.size(), labels_of))) {
      // A one-side row is needed once for each of its partners.
      if (rules.is_grouped) one = TRY(Table::of(context, *one));
      return StreamPtr(std::make_unique<PairStream>(context, binary, rules, std::move(many),
                                                    std::move(one), std::move(pairs)));
    }
  }
  const auto many_table = TRY(Table::of(context, *many));
  const auto one_table = TRY(Table::of(context, *one));
  return join_by_step(context, binary, rules, signatures, *many_table, many_groups, *one_table,
                      one_groups);
}

}  // namespace tarsier::query
