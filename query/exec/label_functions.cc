#include "query/exec/label_functions.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/regex.h"
#include "base/utf8.h"
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
  const bool sets_name = replacement.destination == tsdb::kMetricName;
  std::vector<tsdb::Labels> labels(stream->size());
  std::vector<bool> drops_name(stream->size());
  std::vector<std::string_view> groups;
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = stream->labels(i);
    drops_name[i] = stream->drops_name(i);
    const std::string_view source = labels[i].get(replacement.source);
    if (!regex->full_match(source, groups)) continue;
    builder.reset(labels[i]);
    builder.set(replacement.destination, regex->expand(replacement.replacement, groups));
    labels[i] = builder.build();
    if (sets_name) drops_name[i] = false;
  }
  return relabel(context, std::move(stream), std::move(labels), std::move(drops_name),
                 OnEqual::kMerge);
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
  std::vector<tsdb::Labels> labels(stream->size());
  std::vector<bool> drops_name(stream->size());
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    builder.reset(stream->labels(i));
    std::string joined;
    for (std::size_t s = 0; s < sources.size(); ++s) {
      if (s > 0) joined += separator;
      joined += builder.get(sources[s]);
    }
    builder.set(destination, joined);
    labels[i] = builder.build();
    drops_name[i] = stream->drops_name(i) && destination != tsdb::kMetricName;
  }
  return relabel(context, std::move(stream), std::move(labels), std::move(drops_name),
                 OnEqual::kMerge);
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
