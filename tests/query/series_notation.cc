#include "tests/query/series_notation.h"

#include <charconv>
#include <string>

#include <fmt/format.h>

#include "query/histogram/arithmetic.h"
#include "query/parse.h"
#include "tsdb/sample.h"

namespace tarsier::testing {
namespace {

constexpr std::size_t kSlotCountMax = 1'000'000;

/// Takes a number with an optional sign from the front of `text`.
std::optional<double> take_number(std::string_view& text) {
  std::string_view rest = text;
  double sign = 1;
  if (rest.starts_with('+') || rest.starts_with('-')) {
    sign = rest.front() == '-' ? -1 : 1;
    rest.remove_prefix(1);
  }
  if (rest.starts_with('-') || rest.starts_with('+')) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc{}) return std::nullopt;
  text = rest.substr(static_cast<std::size_t>(end - rest.data()));
  return sign * value;
}

/// `x5` gives 5, nothing at all gives 0.
std::optional<std::size_t> take_repeat(std::string_view text) {
  if (text.empty()) return 0;
  std::size_t count = 0;
  if (text.front() != 'x') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), count);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (count > kSlotCountMax) return std::nullopt;
  return count;
}

Status append_item(std::string_view item, SeriesLine& line) {
  const Status bad = invalid(fmt::format("not a series value: \"{}\"", item));
  if (item == "stale") {
    line.slots.emplace_back(tsdb::stale_marker());
    return {};
  }
  if (item.starts_with('_')) {
    const auto repeat = take_repeat(item.substr(1));
    if (!repeat) return bad;
    line.slots.insert(line.slots.end(), item.size() == 1 ? 1 : *repeat, std::nullopt);
    return {};
  }
  const std::optional<double> first = take_number(item);
  if (!first) return bad;
  double step = 0;
  if (item.starts_with('+') || item.starts_with('-')) {
    const std::optional<double> taken = take_number(item);
    if (!taken || item.empty()) return bad;
    step = *taken;
  }
  const auto repeat = take_repeat(item);
  if (!repeat) return bad;
  double value = *first;
  for (std::size_t i = 0; i <= *repeat; ++i) {
    line.slots.emplace_back(value);
    value += step;  // By repeated addition, as the language says.
  }
  return {};
}

/// Takes `{{A}}`, `{{A}}xN` or `{{A}}+{{B}}xN` from the front of `values`.
Status append_histograms(std::string_view& values, SeriesLine& line) {
  HistogramLiteral literal = TRY(take_histogram(values));
  std::optional<HistogramLiteral> step;
  const bool falls = values.starts_with("-{{");
  if (falls || values.starts_with("+{{")) {
    values.remove_prefix(1);
    step = TRY(take_histogram(values));
  }
  const std::size_t end = std::min(values.find_first_of(" \t"), values.size());
  const auto repeat = take_repeat(values.substr(0, end));
  if (!repeat || (step && end == 0)) return invalid("not a series of histograms");
  values.remove_prefix(end);
  for (std::size_t i = 0; i <= *repeat; ++i) {
    line.histograms[line.slots.size()] = literal;
    line.slots.emplace_back(std::nullopt);
    if (!step) continue;
    tsdb::FloatHistogram& h = literal.histogram;
    const query::HistogramView by = query::view_of(step->histogram);
    if (!(falls ? query::subtract(h, by) : query::add(h, by)).is_compatible) {
      return invalid("histograms that cannot be added");
    }
  }
  return {};
}

/// Where the labels at the front of a line end: behind the braces, or before the first blank.
std::size_t labels_size(std::string_view line) {
  std::size_t at = line.find_first_of("{@ \t");
  if (at == std::string_view::npos) return line.size();
  if (line[at] != '{') {
    const std::size_t brace = line.find_first_not_of(" \t", at);
    // `name {a="b"}` is one series, `name {{...}}` is a name and a histogram.
    if (brace == std::string_view::npos || line[brace] != '{') return at;
    if (line.substr(brace).starts_with("{{")) return at;
    at = brace;
  }
  char quote = 0;
  for (; at < line.size(); ++at) {
    const char c = line[at];
    if (quote) {
      if (c == '\\' && quote != '`') ++at;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'' || c == '`') {
      quote = c;
    } else if (c == '}') {
      return at + 1;
    }
  }
  return line.size();
}

}  // namespace

std::optional<double> parse_value(std::string_view text) {
  const std::optional<double> value = take_number(text);
  return value && text.empty() ? value : std::nullopt;
}

Result<std::pair<tsdb::Labels, std::string_view>> parse_labels_prefix(std::string_view line) {
  const std::size_t size = labels_size(line);
  const auto matchers = TRY(query::parse_metric_selector(line.substr(0, size)));
  tsdb::LabelsBuilder labels;
  for (const tsdb::Matcher& m : matchers) {
    if (m.op() != tsdb::MatchOp::kEqual) return invalid("labels need `=`: " + m.to_string());
    labels.set(m.name(), m.value());
  }
  return std::pair(labels.build(), line.substr(size));
}

Status append_slots(std::string_view values, SeriesLine& line) {
  while (true) {
    const std::size_t begin = values.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    values.remove_prefix(begin);
    if (values.starts_with("{{")) {
      TRY(append_histograms(values, line));
      continue;
    }
    const std::size_t end = std::min(values.find_first_of(" \t"), values.size());
    TRY(append_item(values.substr(0, end), line));
    values.remove_prefix(end);
  }
}

Result<SeriesLine> parse_series_line(std::string_view text) {
  const auto [labels, values] = TRY(parse_labels_prefix(text));
  SeriesLine line;
  line.labels = labels;
  TRY(append_slots(values, line));
  return line;
}

}  // namespace tarsier::testing
