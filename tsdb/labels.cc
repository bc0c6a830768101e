#include "tsdb/labels.h"

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"
#include "base/json_writer.h"

namespace tarsier::tsdb {
namespace {

/// Reads one uvarint-prefixed string off the front of trusted `rest`.
std::string_view take_string(std::string_view& rest) {
  std::size_t size = 0;
  std::size_t used = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(rest[used++]);
    size |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  const std::string_view text = rest.substr(used, size);
  rest.remove_prefix(used + size);
  return text;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <typename Keep>
std::string filtered(std::string_view encoded, Keep keep) {
  std::string out;
  std::string_view rest = encoded;
  while (!rest.empty()) {
    const std::string_view before = rest;
    const std::string_view name = take_string(rest);
    take_string(rest);
    if (keep(name)) out += before.substr(0, before.size() - rest.size());
  }
  return out;
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

void Labels::Iterator::step() {
  if (rest_.empty()) {
    label_ = {};
    return;
  }
  label_.name = take_string(rest_);
  label_.value = take_string(rest_);
}

Labels::Labels(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs) {
  std::vector<LabelView> views;
  views.reserve(pairs.size());
  for (const auto& [name, value] : pairs) views.push_back({name, value});
  *this = from_views(std::move(views));
}

Labels Labels::from_views(std::vector<LabelView> labels) {
  std::stable_sort(labels.begin(), labels.end(),
                   [](const LabelView& a, const LabelView& b) { return a.name < b.name; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool superseded = i + 1 < labels.size() && labels[i + 1].name == labels[i].name;
    if (!superseded && !labels[i].value.empty()) labels[kept++] = labels[i];
  }
  labels.resize(kept);
  return from_sorted(labels);
}

Labels Labels::from_sorted(const std::vector<LabelView>& labels) {
  Labels result;
  std::size_t size = 0;
  for (const LabelView& label : labels) size += label.name.size() + label.value.size() + 4;
  result.encoded_.reserve(size);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    DCHECK(i == 0 || labels[i - 1].name < labels[i].name, "label names must increase");
    DCHECK(!labels[i].value.empty(), "an empty value means an absent label");
    put_string(result.encoded_, labels[i].name);
    put_string(result.encoded_, labels[i].value);
  }
  result.encoded_.shrink_to_fit();
  return result;
}

std::size_t Labels::count() const {
  return static_cast<std::size_t>(std::distance(begin(), end()));
}

std::string_view Labels::get(std::string_view name) const {
  for (const LabelView& label : *this) {
    if (label.name == name) return label.value;
    if (label.name > name) break;
  }
  return {};
}

Labels Labels::keep(const std::vector<std::string>& names) const {
  Labels result;
  result.encoded_ =
      filtered(encoded_, [&](std::string_view name) { return contains(names, name); });
  return result;
}

Labels Labels::drop(const std::vector<std::string>& names) const {
  Labels result;
  result.encoded_ =
      filtered(encoded_, [&](std::string_view name) { return !contains(names, name); });
  return result;
}

Labels Labels::drop_metric_name() const {
  Labels result;
  result.encoded_ = filtered(encoded_, [](std::string_view name) { return name != kMetricName; });
  return result;
}

std::string Labels::to_string() const {
  const std::string_view metric = get(kMetricName);
  const bool bare = is_legacy_metric_name(metric);
  std::string out;
  if (bare) out += metric;
  std::string inside;
  for (const LabelView& label : *this) {
    if (label.name == kMetricName && bare) continue;
    if (!inside.empty()) inside += ", ";
    if (label.name == kMetricName) {  // A UTF-8 metric name stands quoted and alone.
      append_json_string(inside, label.value);
      continue;
    }
    if (is_legacy_label_name(label.name)) {
      inside += label.name;
    } else {
      append_json_string(inside, label.name);
    }
    inside += '=';
    append_json_string(inside, label.value);
  }
  if (!inside.empty() || !bare) out += '{' + inside + '}';
  return out;
}

std::uint64_t Labels::hash() const { return XXH3_64bits(encoded_.data(), encoded_.size()); }

std::strong_ordering Labels::operator<=>(const Labels& other) const {
  std::string_view a = encoded_;
  std::string_view b = other.encoded_;
  while (!a.empty() && !b.empty()) {
    if (const auto order = take_string(a) <=> take_string(b); order != 0) return order;
  }
  return a.size() <=> b.size();  // At least one is empty: the prefix sorts first.
}

LabelsBuilder::LabelsBuilder(const Labels& base) { reset(base); }

void LabelsBuilder::reset(const Labels& base) {
  pairs_.clear();
  for (const LabelView& label : base) pairs_.emplace_back(label.name, label.value);
}

void LabelsBuilder::set(std::string_view name, std::string_view value) {
  if (value.empty()) return remove(name);
  const auto at = std::lower_bound(pairs_.begin(), pairs_.end(), name,
                                   [](const auto& pair, std::string_view n) { return pair.first < n; });
  if (at != pairs_.end() && at->first == name) {
    at->second = value;
  } else {
    pairs_.emplace(at, name, value);
  }
}

void LabelsBuilder::remove(std::string_view name) {
  std::erase_if(pairs_, [&](const auto& pair) { return pair.first == name; });
}

std::string_view LabelsBuilder::get(std::string_view name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return value;
  }
  return {};
}

Labels LabelsBuilder::build() const {
  std::vector<LabelView> views;
  views.reserve(pairs_.size());
  for (const auto& [name, value] : pairs_) views.push_back({name, value});
  return Labels::from_sorted(views);
}

bool is_legacy_metric_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return is_name_char(c) || c == ':'; });
}

bool is_legacy_label_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), is_name_char);
}

}  // namespace tarsier::tsdb
