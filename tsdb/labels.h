#pragma once

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tarsier::tsdb {

inline constexpr std::string_view kMetricName = "__name__";

/// One name and value, borrowed from the Labels it came from.
struct LabelView {
  std::string_view name;
  std::string_view value;
  bool operator==(const LabelView&) const = default;
};

/// The identity of a series: names with values, sorted bytewise by name, no name twice, no empty
/// value (an empty value means the label is absent). Immutable; one allocation (name and value each
/// as a uvarint length and bytes, back to back), so copying is cheap and comparing is mostly memcmp.
class Labels final {
 public:
  class Iterator final {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = LabelView;
    using difference_type = std::ptrdiff_t;
    using pointer = const LabelView*;
    using reference = const LabelView&;

    Iterator() = default;
    explicit Iterator(std::string_view rest) : rest_(rest) { step(); }
    const LabelView& operator*() const { return label_; }
    const LabelView* operator->() const { return &label_; }
    Iterator& operator++() {
      step();
      return *this;
    }
    bool operator==(const Iterator& other) const { return label_.name.data() == other.label_.name.data(); }

   private:
    void step();
    LabelView label_;  // name.data() is null at the end.
    std::string_view rest_;
  };

  Labels() = default;
  /// Sorts, drops empty values; of a repeated name the last value stays.
  Labels(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs);
  static Labels from_views(std::vector<LabelView> labels);
  /// REQUIRES: names strictly increasing and no empty value (DCHECKed).
  static Labels from_sorted(const std::vector<LabelView>& labels);

  Iterator begin() const { return Iterator(encoded_); }
  Iterator end() const { return Iterator(); }
  bool empty() const { return encoded_.empty(); }
  std::size_t count() const;

  /// The value of `name`, empty if absent. The view lives as long as this object. O(labels).
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const { return !get(name).empty(); }

  /// Only these names / all but these names. `names` need not be sorted.
  Labels keep(const std::vector<std::string>& names) const;
  Labels drop(const std::vector<std::string>& names) const;
  Labels drop_metric_name() const;

  /// `{__name__="up", job="a"}` in PromQL's form: `up{job="a"}`.
  std::string to_string() const;
  /// The bytes described above: equal sets have equal bytes. For hashing and as a map key.
  std::string_view encoded() const { return encoded_; }
  std::uint64_t hash() const;

  bool operator==(const Labels& other) const { return encoded_ == other.encoded_; }
  /// Name, then value, pair by pair, bytewise; a proper prefix sorts first: the order of an index.
  std::strong_ordering operator<=>(const Labels& other) const;

 private:
  std::string encoded_;
};

/// Collects changes to a label set. Owns its strings.
class LabelsBuilder final {
 public:
  LabelsBuilder() = default;
  explicit LabelsBuilder(const Labels& base);
  void reset(const Labels& base);
  /// An empty value removes the label.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  std::string_view get(std::string_view name) const;
  Labels build() const;
  /// Sorted by name.
  const std::vector<std::pair<std::string, std::string>>& pairs() const { return pairs_; }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
bool is_legacy_metric_name(std::string_view name);
/// `[a-zA-Z_][a-zA-Z0-9_]*`
bool is_legacy_label_name(std::string_view name);

}  // namespace tarsier::tsdb

template <>
struct std::hash<tarsier::tsdb::Labels> {
  std::size_t operator()(const tarsier::tsdb::Labels& labels) const noexcept {
    return static_cast<std::size_t>(labels.hash());
  }
};
