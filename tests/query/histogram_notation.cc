#include "tests/query/histogram_notation.h"

#include <charconv>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "tests/query/series_notation.h"

namespace tarsier::testing {
namespace {

using tsdb::BucketSpan;
using tsdb::CounterResetHint;

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>('A' <= c && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

Result<double> number_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const std::optional<double> v = parse_value(text);
  if (!v) return invalid(fmt::format("not a number: \"{}\"", text));
  return *v;
}

Result<std::vector<double>> numbers_of(std::string_view text) {
  if (!text.starts_with('[') || !text.ends_with(']')) return invalid("not a list of numbers");
  text = text.substr(1, text.size() - 2);
  std::vector<double> numbers;
  while (true) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return numbers;
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    numbers.push_back(TRY(number_of(text.substr(begin, end - begin))));
    text.remove_prefix(end);
  }
}

Result<std::int32_t> integer_of(std::string_view text) {
  std::int32_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc{} || end != text.data() + text.size()) return invalid("not an integer");
  return v;
}

Result<CounterResetHint> hint_of(std::string_view text) {
  static const std::map<std::string, CounterResetHint, std::less<>> kHints = {
      {"unknown", CounterResetHint::kUnknown},
      {"reset", CounterResetHint::kReset},
      {"not_reset", CounterResetHint::kNotReset},
      {"gauge", CounterResetHint::kGauge}};
  const auto found = kHints.find(text);
  if (found == kHints.end()) return invalid("not a counter reset hint");
  return found->second;
}

Status set_field(HistogramLiteral& literal, const std::string& key, std::string_view value) {
  tsdb::FloatHistogram& h = literal.histogram;
  if (key == "schema")
    h.layout.schema = TRY(integer_of(value));
  else if (key == "count")
    h.count = TRY(number_of(value));
  else if (key == "sum")
    h.sum = TRY(number_of(value));
  else if (key == "z_bucket")
    h.zero_count = TRY(number_of(value));
  else if (key == "z_bucket_w")
    h.layout.zero_threshold = TRY(number_of(value));
  else if (key == "buckets")
    h.positive_counts = TRY(numbers_of(value));
  else if (key == "n_buckets")
    h.negative_counts = TRY(numbers_of(value));
  else if (key == "custom_values")
    h.layout.custom_bounds = TRY(numbers_of(value));
  else if (key == "counter_reset_hint") {
    h.hint = TRY(hint_of(lower_case(value)));
    literal.has_hint = true;
  } else if (key != "offset" && key != "n_offset") {
    return invalid("bad histogram descriptor found: \"" + key + "\"");
  }
  return {};
}

std::string list_text(const std::vector<double>& values) {
  std::string out = "[";
  for (const double v : values) out += fmt::format("{}{}", out.size() > 1 ? " " : "", v);
  return out + "]";
}

/// One run of buckets from the first to the last, as a literal can write them.
void append_side(std::string& out, std::string_view prefix, const std::vector<BucketSpan>& spans,
                 const std::vector<double>& counts) {
  if (counts.empty()) return;
  std::vector<double> dense;
  std::size_t next = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (i > 0) dense.resize(dense.size() + static_cast<std::size_t>(spans[i].offset), 0);
    for (std::uint32_t k = 0; k < spans[i].length; ++k) dense.push_back(counts[next++]);
  }
  out +=
      fmt::format(" {}offset:{} {}buckets:{}", prefix, spans[0].offset, prefix, list_text(dense));
}

}  // namespace

Result<HistogramLiteral> take_histogram(std::string_view& text) {
  const std::size_t end = text.find("}}");
  if (!text.starts_with("{{") || end == std::string_view::npos) return invalid("not a histogram");
  std::string_view rest = text.substr(2, end - 2);
  text.remove_prefix(end + 2);
  HistogramLiteral literal;
  std::map<std::string, std::string_view> fields;
  while (true) {
    const std::size_t begin = rest.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    rest.remove_prefix(begin);
    const std::size_t colon = rest.find(':');
    if (colon == std::string_view::npos) return invalid("missing `:` for histogram descriptor");
    const std::string key = lower_case(rest.substr(0, colon));
    rest.remove_prefix(colon + 1);
    const bool is_list = rest.starts_with('[');
    const std::size_t close = rest.find(is_list ? ']' : ' ');
    if (is_list && close == std::string_view::npos) return invalid("a list without end");
    const std::size_t size = std::min(is_list ? close + 1 : close, rest.size());
    const auto [field, is_new] = fields.emplace(key, rest.substr(0, size));
    if (!is_new) return invalid(fmt::format("duplicate key \"{}\" in histogram", key));
    rest.remove_prefix(size);
    TRY(set_field(literal, key, field->second));
  }
  const auto offset_of = [&](const char* key) -> Result<std::int32_t> {
    const auto found = fields.find(key);
    return found == fields.end() ? Result<std::int32_t>(0) : integer_of(found->second);
  };
  tsdb::FloatHistogram& h = literal.histogram;
  const auto length = [](const std::vector<double>& v) {
    return static_cast<std::uint32_t>(v.size());
  };
  if (!h.positive_counts.empty()) {
    h.layout.positive_spans = {{TRY(offset_of("offset")), length(h.positive_counts)}};
  }
  if (!h.negative_counts.empty()) {
    h.layout.negative_spans = {{TRY(offset_of("n_offset")), length(h.negative_counts)}};
  }
  return literal;
}

tsdb::FloatHistogram histogram_of(std::string_view text) {
  const Result<HistogramLiteral> literal = take_histogram(text);
  CHECK(literal.ok() && text.empty(), "not a histogram literal");
  return literal->histogram;
}

std::string notation_of(const tsdb::FloatHistogram& h) {
  std::string out = fmt::format("{{{{schema:{} count:{} sum:{}", h.layout.schema, h.count, h.sum);
  if (h.zero_count != 0) out += fmt::format(" z_bucket:{}", h.zero_count);
  if (h.layout.zero_threshold != 0) out += fmt::format(" z_bucket_w:{}", h.layout.zero_threshold);
  if (h.layout.is_custom()) out += " custom_values:" + list_text(h.layout.custom_bounds);
  append_side(out, "", h.layout.positive_spans, h.positive_counts);
  append_side(out, "n_", h.layout.negative_spans, h.negative_counts);
  constexpr const char* kHints[] = {"unknown", "reset", "not_reset", "gauge"};
  return out + " counter_reset_hint:" + kHints[static_cast<std::size_t>(h.hint)] + "}}";
}

}  // namespace tarsier::testing
