#include "alerting/sli_terms.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/number_text.h"
#include "base/quote.h"
#include "query/expression.h"
#include "query/parse.h"

namespace tarsier::alerting {
namespace {

using query::as;
using query::Expr;
using query::ExprKind;
using query::FunctionId;

constexpr std::string_view kPlaceholder = "$window";
/// Stands for the window while a query is parsed.
constexpr Duration kProbe = minutes(5);

bool is_zero(const Expr& e) {
  const Expr& inner = query::without_parens(e);
  if (inner.kind == ExprKind::kNumber) return as<query::Number>(inner).value == 0;
  if (inner.kind != ExprKind::kCall) return false;
  const auto& call = as<query::Call>(inner);
  return call.function.id == FunctionId::kVector && is_zero(*call.arguments.at(0));
}

/// Bounds of buckets that are whole numbers are written `1` by some and `1.0` by others: whichever
/// a file says, both are meant. False if there was none.
bool widen_bounds(std::vector<tsdb::Matcher>& matchers) {
  bool is_changed = false;
  for (tsdb::Matcher& matcher : matchers) {
    if (matcher.name() != "le" || matcher.op() != tsdb::MatchOp::kEqual) continue;
    const std::string& text = matcher.value();
    double bound = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bound);
    const bool is_number = error == std::errc{} && end == text.data() + text.size();
    if (!is_number || !std::isfinite(bound) || bound != std::floor(bound)) continue;
    Result<tsdb::Matcher> wide = bucket_matcher(bound);
    if (!wide.ok()) continue;
    matcher = std::move(*wide);
    is_changed = true;
  }
  return is_changed;
}
std::string widened_selector(const std::string& selector) {
  Result<std::vector<tsdb::Matcher>> matchers = query::parse_metric_selector(selector);
  return matchers.ok() && widen_bounds(*matchers) ? selector_text(*matchers) : selector;
}

/// Reads the shapes that can be counted.
class TermReader final {
 public:
  bool read(const Expr& expression, double weight) {
    const Expr& e = query::without_parens(expression);
    if (e.kind == ExprKind::kBinary) return read_binary(as<query::Binary>(e), weight);
    if (e.kind != ExprKind::kAggregate) return false;
    const auto& sum = as<query::Aggregate>(e);
    if (sum.op != query::AggregateOp::kSum || sum.without) return false;
    std::vector<std::string> grouping = sum.grouping;
    std::sort(grouping.begin(), grouping.end());
    if (has_grouping_ && grouping != out.grouping) return false;
    has_grouping_ = true;
    out.grouping = std::move(grouping);
    return read_call(query::without_parens(*sum.operand), weight);
  }

  /// rate and increase differ by the window's length: never in one ratio.
  enum class Unit : unsigned char { kUnknown, kPerSecond, kAbsolute };
  Unit unit = Unit::kUnknown;
  QueryTerms out;

 private:
  bool read_binary(const query::Binary& e, double weight) {
    const Expr& right = query::without_parens(*e.right);
    switch (e.op) {
      case query::BinaryOp::kOr: return is_zero(right) && read(*e.left, weight);
      case query::BinaryOp::kGreater:
        return !e.return_bool && is_zero(right) && read(*e.left, weight);
      case query::BinaryOp::kAdd: return read(*e.left, weight) && read(*e.right, weight);
      case query::BinaryOp::kSubtract: return read(*e.left, weight) && read(*e.right, -weight);
      case query::BinaryOp::kMultiply:
        return right.kind == ExprKind::kNumber &&
               read(*e.left, weight * as<query::Number>(right).value);
      default: return false;
    }
  }

  bool read_call(const Expr& e, double weight) {
    if (e.kind != ExprKind::kCall) return false;
    const auto& call = as<query::Call>(e);
    SliTerm term{.total_weight = weight};
    Unit found = Unit::kAbsolute;
    switch (call.function.id) {
      case FunctionId::kRate: found = Unit::kPerSecond; break;
      case FunctionId::kIncrease: break;
      case FunctionId::kCountOverTime: term.measure = SliMeasure::kSampleCount; break;
      case FunctionId::kSumOverTime: term.measure = SliMeasure::kSampleSum; break;
      default: return false;
    }
    if (unit != Unit::kUnknown && unit != found) return false;
    unit = found;
    const Expr& argument = query::without_parens(*call.arguments.at(0));
    if (argument.kind != ExprKind::kRange) return false;
    const auto& range = as<query::Range>(argument);
    const query::Selector& selector = *range.selector;
    if (range.range.expression || range.range.constant != kProbe || selector.shift.at ||
        selector.shift.offset.expression || selector.shift.offset.constant.ms != 0 ||
        selector.anchored || selector.smoothed) {
      return false;
    }
    term.matchers = selector.matchers;
    widen_bounds(term.matchers);
    out.terms.push_back(std::move(term));
    return true;
  }

  bool has_grouping_ = false;
};

std::string with_length(std::string_view text, const std::string& length) {
  std::string out;
  while (true) {
    const std::size_t at = text.find(kPlaceholder);
    if (at == std::string_view::npos) return out.append(text);
    out.append(text.substr(0, at)).append(length);
    text.remove_prefix(at + kPlaceholder.size());
  }
}

Result<std::optional<TermReader>> read_query(std::string_view text) {
  const query::ExprPtr parsed = TRY(query::parse_expression(with_window(text, kProbe)));
  TermReader reader;
  std::optional<TermReader> out;
  if (reader.read(*parsed, 1)) out = std::move(reader);
  return out;
}

std::string by_clause(const std::vector<std::string>& group_by) {
  return group_by.empty() ? "" : fmt::format(" by ({})", fmt::join(group_by, ", "));
}

Result<std::vector<tsdb::Matcher>> matchers_of(const std::string& selector) {
  std::vector<tsdb::Matcher> out = TRY(query::parse_metric_selector(selector));
  widen_bounds(out);
  return out;
}

SliTerm term_of(std::vector<tsdb::Matcher> matchers, SliMeasure measure, double bad, double total) {
  return {.matchers = std::move(matchers),
          .measure = measure,
          .bad_weight = bad,
          .total_weight = total};
}

Result<std::vector<SliTerm>> latency_terms(const SliDefinition& sli) {
  auto of = [&](std::string_view suffix) -> Result<std::vector<tsdb::Matcher>> {
    return matchers_of(TRY(with_suffix(sli.histogram, suffix)));
  };
  std::vector<SliTerm> out;
  if (!sli.is_native) {
    out.push_back(term_of(TRY(of("_count")), SliMeasure::kCounter, 1, 1));
    std::vector<tsdb::Matcher> buckets = TRY(of("_bucket"));
    buckets.push_back(TRY(bucket_matcher(sli.bound)));
    out.push_back(term_of(std::move(buckets), SliMeasure::kCounter, -1, 0));
  }
  SliTerm native = term_of(TRY(of("")), SliMeasure::kHistogram, 1, 1);
  native.bound = sli.bound;
  out.push_back(std::move(native));
  return out;
}

Result<std::vector<SliTerm>> query_terms(const SliDefinition& sli,
                                         std::vector<std::string>& grouping) {
  const std::string& part = sli.errors.empty() ? sli.good : sli.errors;
  std::optional<TermReader> partial = TRY(read_query(part));
  std::optional<TermReader> total = TRY(read_query(sli.total));
  if (total) grouping = total->out.grouping;
  if (!partial || !total || partial->unit != total->unit ||
      partial->out.grouping != total->out.grouping) {
    return std::vector<SliTerm>();
  }
  std::vector<SliTerm> out;
  const bool is_good = sli.errors.empty();
  for (SliTerm& term : total->out.terms) {
    if (is_good) term.bad_weight = term.total_weight;
    out.push_back(std::move(term));
  }
  for (SliTerm& term : partial->out.terms) {
    term.bad_weight = is_good ? -term.total_weight : term.total_weight;
    term.total_weight = 0;
    out.push_back(std::move(term));
  }
  return out;
}

std::string_view comparison_text(SliComparison comparison) {
  switch (comparison) {
    case SliComparison::kLess: return "<";
    case SliComparison::kLessEqual: return "<=";
    case SliComparison::kGreater: return ">";
    case SliComparison::kGreaterEqual: return ">=";
  }
  return "";
}

SliQueries queries_with(const SliDefinition& sli, const std::vector<std::string>& group_by,
                        const std::string& length) {
  using Kind = SliDefinition::Kind;
  const std::string by = by_clause(group_by);
  const auto sum_of = [&](std::string_view function, const std::string& selector) {
    return fmt::format("sum{} ({}({}[{}]))", by, function, widened_selector(selector), length);
  };
  // Series of errors that never came are no errors, as long as there are events.
  const auto or_none = [](const std::string& part, const std::string& all) {
    return fmt::format("({} or 0 * {})", part, all);
  };
  SliQueries out;
  const auto from_good = [&](const std::string& total, const std::string& good) {
    out.total = total;
    out.bad = fmt::format("{} - {}", total, or_none(good, total));
    out.ratio = fmt::format("({}) / {}", out.bad, total);
  };
  switch (sli.kind) {
    case Kind::kErrors:
      out.total = sum_of("increase", sli.total);
      out.bad = or_none(sum_of("increase", sli.errors), out.total);
      out.ratio = fmt::format("{} / {}", out.bad, out.total);
      break;
    case Kind::kGood:
    case Kind::kBuckets:
      from_good(sum_of("increase", sli.total), sum_of("increase", sli.good));
      break;
    case Kind::kLatency: {
      const std::string native = sum_of("increase", sli.histogram);
      const std::string native_count = fmt::format("histogram_count({})", native);
      const std::string native_good = fmt::format("histogram_fraction(0, {}, {}) * {}",
                                                  plain_number(sli.bound), native, native_count);
      if (sli.is_native) {
        from_good(native_count, native_good);
        break;
      }
      const Result<std::string> count = with_suffix(sli.histogram, "_count");
      const Result<std::string> bucket = with_suffix(sli.histogram, "_bucket");
      const Result<tsdb::Matcher> bound = bucket_matcher(sli.bound);
      if (!count.ok() || !bucket.ok() || !bound.ok()) return out;
      const std::size_t brace = bucket->find('{');
      const std::string good =
          brace == std::string::npos
              ? fmt::format("{}{{{}}}", *bucket, bound->to_string())
              : fmt::format("{},{}}}", bucket->substr(0, bucket->size() - 1), bound->to_string());
      // Whichever there is.
      from_good(fmt::format("({} or {})", sum_of("increase", *count), native_count),
                fmt::format("({} or {})", sum_of("increase", good), native_good));
      break;
    }
    case Kind::kGauge:
      from_good(sum_of("count_over_time", sli.gauge), sum_of("sum_over_time", sli.gauge));
      break;
    case Kind::kComparison:
      from_good(sum_of("count_over_time", sli.gauge),
                fmt::format("sum{} (count_over_time(({} {} {})[{}:]))", by, sli.gauge,
                            comparison_text(sli.comparison), plain_number(sli.bound), length));
      break;
    case Kind::kQueries:
      out.total = with_length(sli.total, length);
      if (!sli.errors.empty()) {
        out.bad = with_length(sli.errors, length);
        out.ratio = fmt::format("({}) / ({})", out.bad, out.total);
      } else {
        const std::string good = with_length(sli.good, length);
        out.bad = fmt::format("({}) - ({})", out.total, good);
        out.ratio = fmt::format("1 - (({}) / ({}))", good, out.total);
      }
      break;
    case Kind::kRatio: out.ratio = with_length(sli.ratio, length); break;
  }
  return out;
}

}  // namespace

std::string selector_text(const std::vector<tsdb::Matcher>& matchers) {
  std::string name;
  std::string inside;
  for (const tsdb::Matcher& matcher : matchers) {
    const bool is_name = matcher.name() == tsdb::kMetricName &&
                         matcher.op() == tsdb::MatchOp::kEqual &&
                         tsdb::is_legacy_metric_name(matcher.value());
    if (is_name && name.empty()) {
      name = matcher.value();
    } else {
      inside += (inside.empty() ? "" : ",") + matcher.to_string();
    }
  }
  return inside.empty() && !name.empty() ? name : fmt::format("{}{{{}}}", name, inside);
}

std::string with_window(std::string_view text, Duration window) {
  return with_length(text, format_duration(window));
}

Result<std::optional<QueryTerms>> terms_of_query(std::string_view text) {
  std::optional<TermReader> read = TRY(read_query(text));
  std::optional<QueryTerms> out;
  if (read) out = std::move(read->out);
  return out;
}

Result<tsdb::Matcher> bucket_matcher(double bound) {
  const std::string text = plain_number(bound);
  if (text.find('.') != std::string::npos) return tsdb::Matcher::equal("le", text);
  return tsdb::Matcher::create(tsdb::MatchOp::kRegex, "le", fmt::format("{}|{}\\.0", text, text));
}

Result<std::string> with_suffix(std::string_view selector, std::string_view suffix) {
  std::vector<tsdb::Matcher> matchers = TRY(query::parse_metric_selector(selector));
  for (tsdb::Matcher& matcher : matchers) {
    if (matcher.name() != tsdb::kMetricName || matcher.op() != tsdb::MatchOp::kEqual) continue;
    matcher = tsdb::Matcher::equal(std::string(tsdb::kMetricName),
                                   fmt::format("{}{}", matcher.value(), suffix));
    return selector_text(matchers);
  }
  return invalid(fmt::format("the selector {} names no metric", quote(selector)));
}

Result<std::vector<SliTerm>> terms_of(const SliDefinition& sli,
                                      std::vector<std::string>& grouping) {
  using Kind = SliDefinition::Kind;
  std::vector<SliTerm> out;
  switch (sli.kind) {
    case Kind::kErrors:
      out.push_back(term_of(TRY(matchers_of(sli.total)), SliMeasure::kCounter, 0, 1));
      out.push_back(term_of(TRY(matchers_of(sli.errors)), SliMeasure::kCounter, 1, 0));
      return out;
    case Kind::kGood:
    case Kind::kBuckets:
      out.push_back(term_of(TRY(matchers_of(sli.total)), SliMeasure::kCounter, 1, 1));
      out.push_back(term_of(TRY(matchers_of(sli.good)), SliMeasure::kCounter, -1, 0));
      return out;
    case Kind::kLatency: return latency_terms(sli);
    case Kind::kGauge:
      out.push_back(term_of(TRY(matchers_of(sli.gauge)), SliMeasure::kSampleCount, 1, 1));
      out.push_back(term_of(TRY(matchers_of(sli.gauge)), SliMeasure::kSampleSum, -1, 0));
      return out;
    case Kind::kComparison: {
      out.push_back(term_of(TRY(matchers_of(sli.gauge)), SliMeasure::kSampleCount, 1, 1));
      SliTerm good = term_of(TRY(matchers_of(sli.gauge)), SliMeasure::kComparison, -1, 0);
      good.bound = sli.bound;
      good.comparison = sli.comparison;
      out.push_back(std::move(good));
      return out;
    }
    case Kind::kQueries: return query_terms(sli, grouping);
    case Kind::kRatio: {
      TRY(query::parse_expression(with_window(sli.ratio, kProbe)));
      return out;
    }
  }
  return out;
}

SliQueries queries_of(const SliDefinition& sli, const std::vector<std::string>& group_by,
                      Duration window) {
  return queries_with(sli, group_by, format_duration(window));
}

SliQueries query_templates_of(const SliDefinition& sli, const std::vector<std::string>& group_by) {
  return queries_with(sli, group_by, std::string(kPlaceholder));
}

}  // namespace tarsier::alerting
