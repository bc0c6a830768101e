#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tracing/policy/expression.h"

namespace tarsier::tracing {

inline constexpr std::size_t kConditionsMax = 128;
/// Which conditions some span of a trace has met. Only ever grows, in any order of spans.
using ConditionBits = std::bitset<kConditionsMax>;

/// What every policy of one configuration asks of single spans. Spans are tested once, when they
/// arrive; a decision then needs the trace's bits and no span. Made once, then immutable: any
/// number of threads, each with a scratch of its own.
class ConditionSet final {
 public:
  enum class Over : std::uint8_t { kSpan, kEvent };

  /// The number of a condition; two of one `text` are the same one, so the text must say it all.
  /// kLimit when there are too many.
  Result<std::uint32_t> add(std::string text, Over over, Expression expression);
  /// The number of a list of fields whose distinct values are collected for each trace.
  Result<std::uint32_t> add_key(std::string text, std::vector<Field> fields);

  std::size_t size() const { return conditions_.size(); }
  const std::string& text(std::size_t i) const { return conditions_[i].text; }
  std::size_t key_count() const { return keys_.size(); }
  const std::string& key_text(std::size_t i) const { return keys_[i].text; }

  /// Buffers that are used again.
  struct Scratch {
    std::vector<FieldValue> attributes;
    std::vector<FieldValue> event;
  };
  /// The resource attributes that conditions ask for, borrowed from `resource` (a Resource
  /// message). Once per resource of a batch.
  void read_resource(std::string_view resource, std::vector<FieldValue>& out) const;
  /// Adds what `span` meets to `bits`. Conditions met already are not tested again.
  void match(const SpanRecord& span, std::span<const FieldValue> resource, Scratch& scratch,
             ConditionBits& bits) const;
  /// Adds the values `span` has of each key's fields to `values[key]`, sorted, each once.
  void collect_keys(const SpanRecord& span, std::span<const FieldValue> resource, Scratch& scratch,
                    std::vector<std::vector<std::string>>& values) const;

 private:
  struct Condition {
    std::string text;
    Over over = Over::kSpan;
    Expression expression;
  };
  struct Key {
    std::string text;
    std::vector<Field> fields;
  };

  void place(Field& field);
  void read_attributes(const SpanRecord& span, Scratch& scratch) const;
  void match_events(const SpanRecord& span, std::span<const FieldValue> resource, Scratch& scratch,
                    ConditionBits& bits) const;

  std::vector<Condition> conditions_;
  std::vector<Key> keys_;
  /// A key has one slot, whatever it is looked up in.
  std::vector<std::string> slots_;
  bool reads_resource_ = false;
  bool reads_span_ = false;
  bool reads_events_ = false;
};

}  // namespace tarsier::tracing
