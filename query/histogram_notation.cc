#include "query/histogram_notation.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/number_text.h"
#include "query/histogram/arithmetic.h"
#include "query/histogram/view.h"

namespace tarsier::query {
namespace {

using tsdb::BucketSpan;
using tsdb::CounterResetHint;

constexpr std::string_view kHints[] = {"unknown", "reset", "not_reset", "gauge"};

Result<double> number_of(std::string_view text) {
  const std::string lower = ascii_lower(text);
  if (lower == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (lower == "inf" || lower == "+inf") return std::numeric_limits<double>::infinity();
  if (lower == "-inf") return -std::numeric_limits<double>::infinity();
  if (text.starts_with('+')) text.remove_prefix(1);
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return invalid(fmt::format("not a number: \"{}\"", text));
  }
  return v;
}

Result<std::int32_t> integer_of(std::string_view text) {
  std::int32_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return invalid(fmt::format("not an integer: \"{}\"", text));
  }
  return v;
}

Result<std::vector<double>> numbers_of(std::string_view text) {
  if (!text.starts_with('[') || !text.ends_with(']')) return invalid("not a list of numbers");
  text = text.substr(1, text.size() - 2);
  std::vector<double> out;
  while (true) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return out;
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    out.push_back(TRY(number_of(text.substr(begin, end - begin))));
    text.remove_prefix(end);
  }
}

Result<CounterResetHint> hint_of(std::string_view text) {
  const std::string lower = ascii_lower(text);
  for (std::size_t i = 0; i < std::size(kHints); ++i) {
    if (lower == kHints[i]) return static_cast<CounterResetHint>(i);
  }
  return invalid(fmt::format("not a counter reset hint: \"{}\"", text));
}

/// Offsets apply to spans that may be written later.
struct Offsets {
  std::int32_t positive = 0;
  std::int32_t negative = 0;
};

Status set_field(tsdb::FloatHistogram& h, Offsets& offsets, std::string_view key,
                 std::string_view value) {
  if (key == "schema") {
    h.layout.schema = TRY(integer_of(value));
  } else if (key == "count") {
    h.count = TRY(number_of(value));
  } else if (key == "sum") {
    h.sum = TRY(number_of(value));
  } else if (key == "z_bucket") {
    h.zero_count = TRY(number_of(value));
  } else if (key == "z_bucket_w") {
    h.layout.zero_threshold = TRY(number_of(value));
  } else if (key == "buckets") {
    h.positive_counts = TRY(numbers_of(value));
  } else if (key == "n_buckets") {
    h.negative_counts = TRY(numbers_of(value));
  } else if (key == "custom_values") {
    h.layout.custom_bounds = TRY(numbers_of(value));
  } else if (key == "offset") {
    offsets.positive = TRY(integer_of(value));
  } else if (key == "n_offset") {
    offsets.negative = TRY(integer_of(value));
  } else if (key == "counter_reset_hint") {
    h.hint = TRY(hint_of(value));
  } else {
    return invalid(fmt::format("bad histogram descriptor found: \"{}\"", key));
  }
  return {};
}

std::vector<BucketSpan> span_of(std::int32_t offset, const std::vector<double>& counts) {
  if (counts.empty()) return {};
  return {{.offset = offset, .length = static_cast<std::uint32_t>(counts.size())}};
}

/// One run of counts from the first bucket that is not empty to the last.
void append_side(std::string& out, std::string_view prefix, const std::vector<BucketSpan>& spans,
                 const std::vector<double>& counts) {
  std::map<std::int32_t, double> dense;
  std::int32_t index = 0;
  std::size_t next = 0;
  for (const BucketSpan& span : spans) {
    index += span.offset;
    for (std::uint32_t k = 0; k < span.length && next < counts.size(); ++k, ++index, ++next) {
      if (counts[next] != 0) dense[index] = counts[next];
    }
  }
  if (dense.empty()) return;
  const std::int32_t first = dense.begin()->first;
  const std::int32_t last = dense.rbegin()->first;
  if (last - first > 10'000) return;  // Only for messages: nobody reads more.
  if (first != 0) out += fmt::format(" {}offset:{}", prefix, first);
  out += fmt::format(" {}buckets:[", prefix);
  for (std::int32_t i = first; i <= last; ++i) {
    const auto found = dense.find(i);
    out += fmt::format("{}{}", i > first ? " " : "",
                       short_number(found == dense.end() ? 0 : found->second));
  }
  out += ']';
}

}  // namespace

Result<tsdb::FloatHistogram> take_histogram(std::string_view& text) {
  const std::size_t end = text.find("}}");
  if (!text.starts_with("{{") || end == std::string_view::npos) return invalid("not a histogram");
  std::string_view rest = text.substr(2, end - 2);
  text.remove_prefix(end + 2);
  tsdb::FloatHistogram h;
  Offsets offsets;
  std::vector<std::string> seen;
  while (true) {
    const std::size_t begin = rest.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    rest.remove_prefix(begin);
    const std::size_t colon = rest.find(':');
    if (colon == std::string_view::npos) return invalid("missing `:` for histogram descriptor");
    std::string key = ascii_lower(rest.substr(0, colon));
    rest.remove_prefix(colon + 1);
    const bool is_list = rest.starts_with('[');
    const std::size_t close = rest.find(is_list ? ']' : ' ');
    if (is_list && close == std::string_view::npos) return invalid("a list without end");
    const std::size_t size = std::min(is_list ? close + 1 : close, rest.size());
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      return invalid(fmt::format("duplicate key \"{}\" in histogram", key));
    }
    TRY(set_field(h, offsets, key, rest.substr(0, size)));
    rest.remove_prefix(size);
    seen.push_back(std::move(key));
  }
  h.layout.positive_spans = span_of(offsets.positive, h.positive_counts);
  h.layout.negative_spans = span_of(offsets.negative, h.negative_counts);
  return h;
}

std::string histogram_notation(const tsdb::FloatHistogram& h) {
  std::string out = "{{";
  const auto field = [&](std::string_view name, double v) {
    if (v != 0) out += fmt::format(" {}:{}", name, short_number(v));
  };
  field("schema", h.layout.schema);
  field("count", h.count);
  field("sum", h.sum);
  if (h.hint != CounterResetHint::kUnknown) {
    out += fmt::format(" counter_reset_hint:{}", kHints[static_cast<std::size_t>(h.hint)]);
  }
  field("z_bucket", h.zero_count);
  field("z_bucket_w", h.layout.zero_threshold);
  if (h.layout.is_custom()) {
    out += " custom_values:[";
    for (std::size_t i = 0; i < h.layout.custom_bounds.size(); ++i) {
      out += (i > 0 ? " " : "") + short_number(h.layout.custom_bounds[i]);
    }
    out += ']';
  }
  append_side(out, "", h.layout.positive_spans, h.positive_counts);
  append_side(out, "n_", h.layout.negative_spans, h.negative_counts);
  if (out.size() > 2 && out[2] == ' ') out.erase(2, 1);
  return out + "}}";
}

bool is_same_histogram(const tsdb::FloatHistogram& a, const tsdb::FloatHistogram& b) {
  return a.hint == b.hint && is_equal(view_of(a), view_of(b));
}

Result<tsdb::FloatHistogram> sum_of(const tsdb::FloatHistogram& a, double factor,
                                    const tsdb::FloatHistogram& b) {
  tsdb::FloatHistogram scaled = b;
  if (factor != 1) multiply(scaled, factor);
  tsdb::FloatHistogram out = a;
  if (!add(out, view_of(scaled)).is_compatible) {
    return invalid("exponential and custom buckets cannot be added");
  }
  out.hint = a.hint;
  return out;
}

}  // namespace tarsier::query
