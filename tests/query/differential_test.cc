// Random expressions: the engine and the oracle must say the same.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "query/engine.h"
#include "query/parse.h"
#include "query/parse/printer.h"
#include "tests/query/histogram_notation.h"
#include "tests/query/random_expression.h"
#include "tests/query/reference_engine.h"
#include "tests/query/reference_histogram.h"
#include "tests/support/sanitizer.h"
#include "tests/support/seed.h"

namespace tarsier::testing {
namespace {

using query::QueryRequest;
using query::QueryResult;

/// Bit by bit, NaN being NaN; for a tolerance above 0, up to that relative difference.
bool is_equal(double a, double b, double tolerance) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return true;
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

/// A number, or a histogram.
struct Point {
  double value = 0;
  std::shared_ptr<const tsdb::FloatHistogram> histogram;
};
using Points = std::map<std::pair<tsdb::Labels, std::int64_t>, Point>;

Points points_of(const QueryResult& r) {
  Points points;
  for (const auto& e : r.vector) points[{e.labels, r.time.ms}] = {e.value, e.histogram};
  for (const auto& s : r.matrix) {
    for (std::size_t i = 0; i < s.points.size(); ++i) {
      points[{s.labels, s.points.times_ms[i]}] = {s.points.values[i], nullptr};
    }
    for (std::size_t i = 0; s.histograms != nullptr && i < s.histograms->size(); ++i) {
      points[{s.labels, s.histograms->times_ms[i]}] = {
          0, std::make_shared<const tsdb::FloatHistogram>(s.histograms->at(i))};
    }
  }
  if (r.type == query::ResultType::kScalar) points[{{}, r.time.ms}] = {r.scalar, nullptr};
  return points;
}

std::string text_of(const Point& p) {
  return p.histogram == nullptr ? fmt::format("{}", p.value) : notation_of(*p.histogram);
}

/// Every field, as differences relative to the greatest count: what cancels out may leave a rest.
bool is_equal(const tsdb::FloatHistogram& a, const tsdb::FloatHistogram& b, double tolerance) {
  const HistogramPtr l = reference_of(a);
  const HistogramPtr r = reference_of(b);
  if (l->schema != r->schema || l->bounds != r->bounds || l->threshold != r->threshold ||
      l->hint != r->hint) {
    return false;
  }
  double greatest = std::abs(l->count);
  for (const auto* side : {&l->positive, &l->negative}) {
    for (const auto& [i, count] : *side) greatest = std::max(greatest, std::abs(count));
  }
  const auto close = [&](double x, double y) {
    return is_equal(x, y, tolerance) || std::abs(x - y) <= tolerance * greatest;
  };
  const auto sides_close = [&](const std::map<long, double>& x, const std::map<long, double>& y) {
    std::map<long, std::pair<double, double>> both;
    for (const auto& [i, count] : x) both[i].first = count;
    for (const auto& [i, count] : y) both[i].second = count;
    return std::ranges::all_of(
        both, [&](const auto& bucket) { return close(bucket.second.first, bucket.second.second); });
  };
  return close(l->count, r->count) && is_equal(l->sum, r->sum, tolerance * 1000) &&
         close(l->zero, r->zero) && sides_close(l->positive, r->positive) &&
         sides_close(l->negative, r->negative);
}

bool is_equal(const Point& a, const Point& b, double tolerance) {
  if ((a.histogram == nullptr) != (b.histogram == nullptr)) return false;
  return a.histogram == nullptr ? is_equal(a.value, b.value, tolerance)
                                : is_equal(*a.histogram, *b.histogram, std::max(tolerance, 1e-9));
}

std::string join(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += text + "; ";
  return out;
}

/// The first info of the engine that the oracle does not have. The engine may leave some out: it
/// does not compute operands that cannot matter (the other side of the operator is empty, topk(0)),
/// so it does not see what their data is like, nor how often. Of a text told at several places
/// either may keep any one.
std::string invented_info(const std::vector<std::string>& want,
                          const std::vector<std::string>& got) {
  const auto without_counts = [](const std::string& text) {
    return text.substr(0, std::min(text.find(", from buckets"), text.rfind(" (")));
  };
  for (const std::string& info : got) {
    const auto is_same = [&](const std::string& known) {
      return without_counts(known) == without_counts(info);
    };
    if (!std::ranges::any_of(want, is_same)) return info;
  }
  return "";
}

/// How two answers differ; empty if they do not. Values must be equal bit by bit: both sum in label
/// order with the same compensation. Except what is made of topk and bottomk: whether their
/// elements are summed by rank or by label is left open. Refusals must agree, not their texts: a
/// query may have several mistakes, and which is met first is not part of the language.
std::string difference(const std::string& query, const Result<QueryResult>& want,
                       const Result<QueryResult>& got, double tolerance) {
  if (!want.ok() || !got.ok()) {
    if (want.ok() == got.ok()) return "";
    return want.ok() ? "the engine fails with " + got.status().message()
                     : "the engine should fail with " + want.status().message();
  }
  if (want->type != got->type) return "another type";
  const bool has_histograms = tolerance > 0;
  if (query.find("topk") != std::string::npos || query.find("bottomk") != std::string::npos) {
    tolerance = std::max(tolerance, 1e-12);
  }
  // A count of values that were rounded differently is another series.
  if (has_histograms && query.find("count_values") != std::string::npos) return "";
  const Points a = points_of(*want);
  const Points b = points_of(*got);
  for (const auto& [key, value] : a) {
    const auto found = b.find(key);
    const std::string where = fmt::format("{} at {}", key.first.to_string(), key.second);
    if (found == b.end()) return fmt::format("{}: want {}, got nothing", where, text_of(value));
    if (!is_equal(value, found->second, tolerance)) {
      return fmt::format("{}: want {}, got {}", where, text_of(value), text_of(found->second));
    }
  }
  for (const auto& [key, value] : b) {
    if (a.contains(key)) continue;
    return fmt::format("{} at {}: want nothing, got {}", key.first.to_string(), key.second,
                       text_of(value));
  }
  const auto& wanted = want->annotations.warnings;
  const auto& given = got->annotations.warnings;
  if (has_histograms) {
    // Warnings about histograms come from reading rows: what nobody reads is not told either.
    const std::string warning = invented_info(wanted, given);
    if (!warning.empty()) return "unexpected warning " + warning;
  } else if (wanted != given) {
    return fmt::format("warnings: want {}, got {}", join(wanted), join(given));
  }
  const std::string info = invented_info(want->annotations.infos, got->annotations.infos);
  if (!info.empty()) return "unexpected info " + info;
  return "";
}

QueryRequest random_request(RandomExpression& random) {
  QueryRequest request;
  request.text = random.below(12) == 0 ? random.scalar(3) : random.vector(1 + random.below(3));
  request.start = Timestamp{random.below(1200) * 1000};
  if (random.below(3) == 0) request.start.ms += random.below(1000);
  request.end = request.start;
  if (random.below(2) == 0) {
    constexpr int kStepsMs[] = {60'000, 15'000, 30'000, 7'000, 150'000};
    request.step = Duration{kStepsMs[random.below(5)]};
    request.end = request.start + Duration{request.step.ms * random.below(6) + random.below(2)};
  }
  return request;
}

/// What is compared: the engine and the oracle over one storage.
struct Comparison {
  TableStorage storage;
  query::EngineOptions options;
  double tolerance = 0;

  std::string difference_of(const QueryRequest& request, Result<QueryResult>* oracle = nullptr) {
    const query::Engine engine(options, nullptr);
    Result<QueryResult> want = evaluate_reference(storage, request, options);
    const Result<query::PreparedQuery> prepared = engine.prepare(request);
    const Result<QueryResult> got = prepared.ok() ? engine.run(storage, *prepared, nullptr)
                                                  : Result<QueryResult>(prepared.status());
    std::string text = difference(request.text, want, got, tolerance);
    if (oracle != nullptr) *oracle = std::move(want);
    return text;
  }
};

void list_parts(const query::Expr& e, std::vector<std::string>& parts) {
  for (const query::Expr* child : query::children_of(e)) {
    const bool is_query =
        child->type == query::ValueType::kVector || child->type == query::ValueType::kScalar;
    if (is_query) parts.push_back(query::print(*child));
    list_parts(*child, parts);
  }
}

/// The smallest part of a query that still differs, at one step if that is enough.
QueryRequest shrunk(QueryRequest request, Comparison& comparison) {
  for (bool is_smaller = true; is_smaller;) {
    is_smaller = false;
    std::vector<QueryRequest> tries;
    if (request.step.ms > 0) {
      for (Timestamp t = request.start; t <= request.end; t = t + request.step) {
        tries.push_back({.text = request.text, .start = t, .end = t});
      }
    }
    std::vector<std::string> parts;
    const auto parsed = query::parse_expression(request.text);
    if (parsed.ok()) list_parts(**parsed, parts);
    std::ranges::stable_sort(parts, {}, &std::string::size);
    for (const std::string& part : parts) {
      tries.push_back(request);
      tries.back().text = part;
    }
    for (const QueryRequest& t : tries) {
      if (t.text == request.text && t.step.ms == request.step.ms) continue;
      if (comparison.difference_of(t).empty()) continue;
      request = t;
      is_smaller = true;
      break;
    }
  }
  return request;
}

void compare_random_expressions(std::uint32_t seed, int count, RandomExpression::Data data,
                                query::EngineOptions options) {
  const bool has_histograms = data == RandomExpression::Data::kHistograms;
  Comparison comparison{
      .storage = has_histograms ? make_nasty_histogram_storage() : make_nasty_storage(),
      .options = options,
      .tolerance = has_histograms ? 1e-9 : 0};
  RandomExpression random(seed, data);
  int answered = 0;
  int failed = 0;
  int empty = 0;
  int different = 0;
  for (int i = 0; i < count; ++i) {
    const QueryRequest request = random_request(random);
    // With delayed name removal, `or` can join series that drop their name with some that do not.
    // Whether what is made of both drops it depends on the step, and the engine decides by series.
    if (options.delayed_name_removal && request.text.find(" or ") != std::string::npos) continue;
    Result<QueryResult> want = QueryResult();
    const std::string text = comparison.difference_of(request, &want);
    if (!text.empty() && ++different <= 20) {
      const QueryRequest small = shrunk(request, comparison);
      ADD_FAILURE() << "seed " << seed << ", expression " << i << ": " << request.text
                    << "\n  from " << request.start.ms << " to " << request.end.ms << " step "
                    << request.step.ms << ": " << text << "\n  shrunk: " << small.text
                    << "\n  from " << small.start.ms << " to " << small.end.ms << " step "
                    << small.step.ms << ": " << comparison.difference_of(small);
    }
    failed += !want.ok();
    if (want.ok()) (points_of(*want).empty() ? empty : answered) += 1;
  }
  std::cout << fmt::format(
      "seed {}: {} expressions: {} with values, {} empty, {} refused by both, "
      "{} different\n",
      seed, count, answered, empty, failed, different);
}

/// TARSIER_DIFFERENTIAL_COUNT is how many, for long searches.
int count_or(int fixed) {
  const char* text = std::getenv("TARSIER_DIFFERENTIAL_COUNT");
  if (text != nullptr) return std::atoi(text);
  return kIsSanitized ? fixed / 20 : fixed;
}

TEST(Differential, EngineAndOracleAgree) {
  compare_random_expressions(seed_or(1), count_or(10'000), RandomExpression::Data::kFloats, {});
}

TEST(Differential, EngineAndOracleAgreeWithDelayedNameRemoval) {
  compare_random_expressions(seed_or(2), count_or(4'000), RandomExpression::Data::kFloats,
                             {.delayed_name_removal = true});
}

TEST(Differential, EngineAndOracleAgreeOnNativeHistograms) {
  compare_random_expressions(seed_or(3), count_or(4'000), RandomExpression::Data::kHistograms, {});
}

TEST(Differential, EngineAndOracleAgreeOnNativeHistogramsWithDelayedNameRemoval) {
  compare_random_expressions(seed_or(4), count_or(2'000), RandomExpression::Data::kHistograms,
                             {.delayed_name_removal = true});
}

}  // namespace
}  // namespace tarsier::testing
