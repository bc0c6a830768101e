#include "query/exec/label_functions.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/regex.h"
#include "base/utf8.h"
#include "query/exec/relabel.h"
#include "query/functions/natural_order.h"

namespace tarsier::query {
namespace {

bool is_valid_label_name(std::string_view name) { return !name.empty() && is_valid_utf8(name); }

/// `stream` with its series in another order.
class ReorderedStream final : public ForwardingStream {
 public:
  ReorderedStream(StreamPtr child, std::vector<std::uint32_t> order)
      : ForwardingStream(std::move(child)), order_(std::move(order)) {}
  std::size_t size() const override { return order_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return child().labels(order_[i]); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return child().label(order_[i], name);
  }
  bool drops_name(std::size_t i) const override { return child().drops_name(order_[i]); }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    auto wanted = scratch.indices();
    for (const std::uint32_t i : series) wanted->push_back(order_[i]);
    return child().read(*wanted, rows, scratch);
  }

 private:
  const std::vector<std::uint32_t> order_;
};

/// Nobody means values longer than this; without a limit, joining a label with itself again and
/// again doubles it each time.
constexpr std::size_t kValueBytesMax = std::size_t{1} << 20;

Status value_too_long(std::string_view function) {
  return limit_exceeded(std::string(function) + "() would make a label value of more than " +
                        std::to_string(kValueBytesMax) + " bytes");
}

/// Values of one label, each kept once, that some series get.
class NewValues final {
 public:
  static constexpr std::uint32_t kKept = std::numeric_limits<std::uint32_t>::max();

  NewValues(Context& context, std::size_t series_count)
      : of_(series_count, kKept), loan_(context.memory) {}
  Status hold() { return loan_.grow(of_.size() * sizeof(std::uint32_t)); }
  Result<std::uint32_t> add(std::string value) {
    TRY(loan_.grow(sizeof(std::string) + value.size()));
    values_.push_back(std::move(value));
    return static_cast<std::uint32_t>(values_.size() - 1);
  }
  void set(std::size_t series, std::uint32_t value) { of_[series] = value; }
  bool is_kept(std::size_t series) const { return of_[series] == kKept; }
  const std::string& of(std::size_t series) const { return values_[of_[series]]; }
  const std::string& last() const { return values_.back(); }

 private:
  std::vector<std::uint32_t> of_;   // Positions in `values_`, or kKept.
  std::deque<std::string> values_;  // Stay where they are.
  MemoryLoan loan_;
};

/// `child` with the label `name` changed; labels are put together when somebody asks.
class ChangedLabelStream final : public ForwardingStream {
 public:
  ChangedLabelStream(StreamPtr child, std::string name, std::unique_ptr<NewValues> values,
                     bool is_added)
      : ForwardingStream(std::move(child)),
        name_(std::move(name)),
        values_(std::move(values)),
        is_added_(is_added) {}
  tsdb::Labels labels(std::size_t i) const override {
    tsdb::Labels labels = child().labels(i);
    if (values_->is_kept(i)) return labels;
    tsdb::LabelsBuilder builder(labels);
    builder.set(name_, values_->of(i));
    return builder.build();
  }
  std::string_view label(std::size_t i, std::string_view name) const override {
    if (name != name_ || values_->is_kept(i)) return child().label(i, name);
    return values_->of(i);
  }
  bool drops_name(std::size_t i) const override {
    return child().drops_name(i) && (values_->is_kept(i) || name_ != tsdb::kMetricName);
  }
  bool may_have_names() const override {
    return child().may_have_names() || is_metadata_label(name_);
  }
  bool is_distinct_without_names() const override {
    return is_added_ && !is_metadata_label(name_) && child().is_distinct_without_names();
  }

 private:
  const std::string name_;
  const std::unique_ptr<NewValues> values_;
  const bool is_added_;  // No series had the label before.
};

/// The series with their new values. Only a label that was there before can make two equal.
Result<StreamPtr> change_label(Context& context, StreamPtr stream, std::string name,
                               std::unique_ptr<NewValues> values) {
  bool is_added = true;
  for (std::size_t i = 0; i < stream->size() && is_added; ++i) {
    is_added = stream->label(i, name).empty();
  }
  StreamPtr changed = std::make_unique<ChangedLabelStream>(std::move(stream), std::move(name),
                                                           std::move(values), is_added);
  if (is_added) return changed;
  return resolve_equal(context, std::move(changed), OnEqual::kMerge);
}

std::vector<std::uint32_t> all_positions(const VectorStream& stream) {
  std::vector<std::uint32_t> order(stream.size());
  std::iota(order.begin(), order.end(), 0U);
  return order;
}

}  // namespace

Result<StreamPtr> label_replace(Context& context, StreamPtr stream,
                                const LabelReplacement& replacement) {
  Result<Regex> regex = Regex::compile(replacement.regex);
  if (!regex.ok()) {
    return invalid("invalid regular expression in label_replace(): " + replacement.regex);
  }
  if (!is_valid_label_name(replacement.destination)) {
    return invalid("invalid destination label name in label_replace(): " + replacement.destination);
  }
  auto values = std::make_unique<NewValues>(context, stream->size());
  TRY(values->hold());
  // Each value is matched once, however many series share it.
  std::unordered_map<std::string_view, std::uint32_t> known;
  std::vector<std::string_view> groups;
  for (std::size_t i = 0; i < stream->size(); ++i) {
    const std::string_view source = stream->label(i, replacement.source);
    const auto [it, is_new] = known.try_emplace(source, NewValues::kKept);
    if (is_new && regex->full_match(source, groups)) {
      // At most each byte is a reference to all of the source.
      if (replacement.replacement.size() > kValueBytesMax ||
          replacement.replacement.size() * (source.size() + 1) > 64 * kValueBytesMax) {
        return value_too_long("label_replace");
      }
      std::string value = regex->expand(replacement.replacement, groups);
      if (value.size() > kValueBytesMax) return value_too_long("label_replace");
      it->second = TRY(values->add(std::move(value)));
    }
    values->set(i, it->second);
    if (i % 4096 == 0) TRY(context.check_alive());
  }
  return change_label(context, std::move(stream), replacement.destination, std::move(values));
}

Result<StreamPtr> label_join(Context& context, StreamPtr stream, const std::string& destination,
                             const std::string& separator,
                             const std::vector<std::string>& sources) {
  for (const std::string& source : sources) {
    if (!is_valid_label_name(source)) {
      return invalid("invalid source label name in label_join(): " + source);
    }
  }
  if (!is_valid_label_name(destination)) {
    return invalid("invalid destination label name in label_join(): " + destination);
  }
  auto values = std::make_unique<NewValues>(context, stream->size());
  TRY(values->hold());
  std::unordered_map<std::string_view, std::uint32_t> known;
  std::string joined;
  for (std::size_t i = 0; i < stream->size(); ++i) {
    joined.clear();
    for (std::size_t s = 0; s < sources.size(); ++s) {
      if (s > 0) joined += separator;
      joined += stream->label(i, sources[s]);
      if (joined.size() > kValueBytesMax) return value_too_long("label_join");
    }
    auto it = known.find(joined);
    if (it == known.end()) {
      const std::uint32_t value = TRY(values->add(joined));
      it = known.emplace(values->last(), value).first;
    }
    values->set(i, it->second);
    if (i % 4096 == 0) TRY(context.check_alive());
  }
  return change_label(context, std::move(stream), destination, std::move(values));
}

Result<StreamPtr> sort_by_value(Context& context, StreamPtr stream, Direction direction) {
  CHECK(stream->grid().count == 1);
  auto table = TRY(Table::of(context, *stream));
  std::vector<std::uint32_t> order = all_positions(*table);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const double x = table->row(a)[0];
    const double y = table->row(b)[0];
    if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
    return direction == Direction::kAscending ? x < y : x > y;
  });
  return StreamPtr(std::make_unique<ReorderedStream>(std::move(table), std::move(order)));
}

Result<StreamPtr> sort_by_labels(Context&, StreamPtr stream, const std::vector<std::string>& names,
                                 Direction direction) {
  std::vector<tsdb::Labels> labels(stream->size());
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = stream->labels(i);
  std::vector<std::uint32_t> order = all_positions(*stream);
  const auto is_less = [&](std::uint32_t a, std::uint32_t b) {
    for (const std::string& name : names) {
      const std::weak_ordering o = natural_compare(labels[a].get(name), labels[b].get(name));
      if (o != 0) return o < 0;
    }
    return labels[a] < labels[b];
  };
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return direction == Direction::kAscending ? is_less(a, b) : is_less(b, a);
  });
  return StreamPtr(std::make_unique<ReorderedStream>(std::move(stream), std::move(order)));
}

}  // namespace tarsier::query
