#include "alerting/rule_test/series_notation.h"

#include <charconv>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/quote.h"
#include "query/histogram_notation.h"
#include "query/parse.h"
#include "tsdb/sample.h"

namespace tarsier::alerting {
namespace {

constexpr std::size_t kSamplesMax = 4'000'000;

std::optional<double> number_of(std::string_view text) {
  const std::string lower = ascii_lower(text);
  const bool is_negative = lower.starts_with('-');
  const std::string_view plain =
      std::string_view(lower).substr(is_negative || lower.starts_with('+') ? 1 : 0);
  double v = 0;
  if (plain == "nan") {
    v = std::numeric_limits<double>::quiet_NaN();
  } else if (plain == "inf" || plain == "infinity") {
    v = std::numeric_limits<double>::infinity();
  } else {
    const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), v);
    if (plain.empty() || error != std::errc{} || end != plain.data() + plain.size()) {
      return std::nullopt;
    }
  }
  return is_negative ? -v : v;
}

std::optional<std::size_t> count_of(std::string_view text) {
  std::size_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

class Parser final {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<std::vector<DescribedSample>> run() {
    while (true) {
      const std::size_t begin = rest_.find_first_not_of(" \t\r\n");
      if (begin == std::string_view::npos) return std::move(out_);
      rest_.remove_prefix(begin);
      TRY(rest_.starts_with("{{") ? histogram_item() : plain_item());
      if (out_.size() > kSamplesMax) return limit_exceeded("too many samples in a series");
    }
  }

 private:
  Status wrong(std::string_view item) {
    return invalid(fmt::format("parse error: invalid series value {}", quote(item)));
  }

  std::string_view take_word() {
    const std::size_t size = std::min(rest_.find_first_of(" \t\r\n"), rest_.size());
    const std::string_view word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return word;
  }

  Status check_count(std::size_t n) {
    return n <= kSamplesMax ? Status() : limit_exceeded("too many samples in a series");
  }

  Status plain_item() {
    const std::string_view item = take_word();
    if (item == "stale") {
      out_.push_back({.value = tsdb::stale_marker(), .histogram = nullptr});
      return {};
    }
    const std::size_t times = item.rfind('x');
    std::size_t repeats = 0;
    if (times != std::string_view::npos) {
      const std::optional<std::size_t> n = count_of(item.substr(times + 1));
      if (!n) return wrong(item);
      TRY(check_count(*n));
      repeats = *n;
    }
    const std::string_view base = item.substr(0, times);
    if (base == "_") {
      out_.resize(out_.size() + (times == std::string_view::npos ? 1 : repeats));
      return {};
    }
    if (const std::optional<double> v = number_of(base)) {
      for (std::size_t i = 0; i <= repeats; ++i)
        out_.push_back({.value = *v, .histogram = nullptr});
      return {};
    }
    return times == std::string_view::npos ? wrong(item) : series_item(item, base, repeats);
  }

  /// `a+b` or `a-b`, of which the sign is not the first and not that of an exponent.
  Status series_item(std::string_view item, std::string_view base, std::size_t repeats) {
    for (std::size_t i = 1; i < base.size(); ++i) {
      if (base[i] != '+' && base[i] != '-') continue;
      const std::optional<double> first = number_of(base.substr(0, i));
      const std::optional<double> step = number_of(base.substr(i + 1));
      if (!first || !step) continue;
      double v = *first;
      for (std::size_t n = 0; n <= repeats; ++n) {
        out_.push_back({.value = v, .histogram = nullptr});
        v += base[i] == '+' ? *step : -*step;
      }
      return {};
    }
    return wrong(item);
  }

  Status histogram_item() {
    tsdb::FloatHistogram h = TRY(query::take_histogram(rest_));
    std::optional<tsdb::FloatHistogram> step;
    double factor = 1;
    if (rest_.starts_with("+{{") || rest_.starts_with("-{{")) {
      factor = rest_[0] == '+' ? 1 : -1;
      rest_.remove_prefix(1);
      step = TRY(query::take_histogram(rest_));
    }
    std::size_t repeats = 0;
    const std::string_view tail = take_word();
    if (!tail.empty()) {
      const std::optional<std::size_t> n = count_of(tail.substr(1));
      if (tail[0] != 'x' || !n) return wrong(tail);
      TRY(check_count(*n));
      repeats = *n;
    } else if (step) {
      return invalid("parse error: a histogram series needs a number of repetitions");
    }
    for (std::size_t n = 0; n <= repeats; ++n) {
      out_.push_back(
          {.value = std::nullopt, .histogram = std::make_shared<const tsdb::FloatHistogram>(h)});
      if (step) h = TRY(query::sum_of(h, factor, *step));
    }
    return {};
  }

  std::string_view rest_;
  std::vector<DescribedSample> out_;
};

}  // namespace

Result<std::vector<DescribedSample>> parse_series_values(std::string_view text) {
  return Parser(text).run();
}

Result<tsdb::Labels> parse_described_labels(std::string_view text) {
  text = trimmed(text);
  if (text.empty() || text == "{}") return tsdb::Labels();
  tsdb::LabelsBuilder labels;
  for (const tsdb::Matcher& matcher : TRY(query::parse_metric_selector(text))) {
    if (matcher.op() != tsdb::MatchOp::kEqual) {
      return invalid(fmt::format("{} is not a series: only = is allowed", quote(text)));
    }
    labels.set(matcher.name(), matcher.value());
  }
  return labels.build();
}

}  // namespace tarsier::alerting
