#include "tests/query/random_expression.h"

#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "tests/query/promqltest_load.h"

#include "tsdb/sample.h"

namespace tarsier::testing {

TableStorage make_nasty_storage() {
  TableStorage storage;
  std::mt19937 random(7);
  const auto below = [&random](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const char* job : {"a", "b"}) {
    for (const char* inst : {"1", "2", "3"}) {
      const tsdb::Labels counter{{"__name__", "c_total"}, {"job", job}, {"inst", inst}};
      double value = static_cast<double>(below(5));
      for (std::int64_t t = below(20'000); t < 1'200'000; t += 15'000 + below(3) * below(500)) {
        value = below(12) == 0 ? static_cast<double>(below(3))
                               : value + static_cast<double>(below(40)) / 4;
        if (below(9) != 0) storage.add(counter, Timestamp{t}, value);
        if (below(40) == 0) storage.add(counter, Timestamp{t + 1000}, tsdb::stale_marker());
      }
      const tsdb::Labels gauge{{"__name__", "g"}, {"job", job}, {"inst", inst}};
      for (std::int64_t t = 0; t < 1'200'000; t += 30'000) {
        double v = static_cast<double>(below(2000) - 1000) / 8;
        const std::int64_t odd = below(30);
        if (odd == 0) v = std::nan("");
        if (odd == 1) v = kInf;
        if (odd == 2) v = -kInf;
        if (odd == 3) v = tsdb::stale_marker();
        if (odd == 4) v = 0;
        if (odd != 5) storage.add(gauge, Timestamp{t}, v);
      }
    }
    for (const char* le : {"0.1", "0.5", "1", "2.5", "+Inf"}) {
      const tsdb::Labels bucket{{"__name__", "h_bucket"}, {"job", job}, {"le", le}};
      double count = 0;
      for (std::int64_t t = 0; t < 1'200'000; t += 60'000) {
        count += static_cast<double>(below(5)) * (le[0] == '+' ? 5 : le[0] - '0' + 1);
        storage.add(bucket, Timestamp{t}, count);
      }
    }
    const tsdb::Labels one{{"__name__", "one"}, {"job", job}, {"team", job[0] == 'a' ? "x" : "y"}};
    for (std::int64_t t = 0; t < 1'200'000; t += 60'000) {
      storage.add(one, Timestamp{t}, static_cast<double>(t / 60'000));
    }
  }
  for (std::int64_t t = 0; t < 600'000; t += 10'000) {  // Then it is gone.
    storage.add({{"__name__", "flat"}, {"job", "a"}}, Timestamp{t}, 5);
  }
  storage.add({{"__name__", "single"}, {"inst", "1"}}, Timestamp{500'000}, 1e300);
  return storage;
}

namespace {

/// Draws native histograms whose buckets grow, shrink and change their layout.
class HistogramMaker final {
 public:
  explicit HistogramMaker(std::mt19937& random) : random_(random) {}

  tsdb::FloatHistogram exponential(tsdb::CounterResetHint hint) {
    if (below(14) == 0) schema_ = static_cast<std::int32_t>(below(4)) - 1;
    if (below(20) == 0) threshold_ = std::ldexp(1, static_cast<int>(below(4)) - 3);
    if (below(15) == 0) counts_.clear();
    tsdb::FloatHistogram h;
    h.hint = hint;
    h.layout.schema = schema_;
    h.layout.zero_threshold = threshold_;
    for (int i = 0; i < 3; ++i) counts_[below(9) - 2] += static_cast<double>(below(8));
    for (const auto& [index, count] : counts_) {
      // No bucket may lie inside the zero bucket.
      const double lower = std::exp2(static_cast<double>(index - 1) * std::exp2(-schema_));
      if (lower < threshold_) {
        h.zero_count += count;
        continue;
      }
      auto& spans = index % 3 == 0 ? h.layout.negative_spans : h.layout.positive_spans;
      auto& counts = index % 3 == 0 ? h.negative_counts : h.positive_counts;
      const std::int64_t next = next_index(spans);
      spans.push_back({static_cast<std::int32_t>(index - next), 1});
      counts.push_back(count);
      h.count += count;
    }
    h.count += h.zero_count;
    h.sum = h.count * 1.5 - 20;
    if (below(25) == 0) {
      h.count += 2;
      h.sum = std::nan("");
    }
    return h;
  }

  tsdb::FloatHistogram custom(const std::vector<double>& bounds) {
    tsdb::FloatHistogram h;
    h.layout.schema = tsdb::kCustomBucketsSchema;
    h.layout.custom_bounds = bounds;
    if (below(12) == 0) counts_.clear();
    for (std::size_t i = 0; i <= bounds.size(); ++i) {
      double& count = counts_[static_cast<std::int64_t>(i)];
      count += static_cast<double>(below(5));
      h.positive_counts.push_back(count);
      h.count += count;
    }
    h.layout.positive_spans = {{0, static_cast<std::uint32_t>(h.positive_counts.size())}};
    h.sum = h.count * 2;
    return h;
  }

 private:
  static std::int64_t next_index(const std::vector<tsdb::BucketSpan>& spans) {
    std::int64_t next = 0;
    for (const tsdb::BucketSpan& span : spans) next += span.offset + std::int64_t{span.length};
    return next;
  }
  std::int64_t below(unsigned n) { return static_cast<std::int64_t>(random_() % n); }

  std::mt19937& random_;
  std::int32_t schema_ = 0;
  double threshold_ = 0.125;
  std::map<std::int64_t, double> counts_;
};

}  // namespace

TableStorage make_nasty_histogram_storage() {
  TableStorage storage = make_nasty_storage();
  std::mt19937 random(11);
  const auto below = [&random](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  LoadedSeries loaded;
  for (const char* job : {"a", "b"}) {
    for (const char* inst : {"1", "2", "3"}) {
      const auto named = [&](const char* name) {
        return tsdb::Labels{{"__name__", name}, {"job", job}, {"inst", inst}};
      };
      HistogramMaker counter(random);
      HistogramMaker gauge(random);
      HistogramMaker custom(random);
      HistogramMaker mixed(random);
      const bool is_other = inst[0] == '3';
      const std::vector<double> bounds =
          is_other ? std::vector<double>{-1, 1, 5} : std::vector<double>{1, 2, 5};
      for (std::int64_t t = below(20'000); t < 1'200'000; t += 20'000 + below(3) * below(900)) {
        const auto hint = tsdb::CounterResetHint::kUnknown;
        if (below(9) != 0) loaded.add(named("nh"), Timestamp{t}, counter.exponential(hint));
        if (below(40) == 0) loaded.add(named("nh"), Timestamp{t + 1}, tsdb::stale_marker());
        loaded.add(named("gh"), Timestamp{t}, gauge.exponential(tsdb::CounterResetHint::kGauge));
        loaded.add(named("nhcb"), Timestamp{t}, custom.custom(bounds));
        if (below(3) == 0) {
          loaded.add(named("mix"), Timestamp{t}, static_cast<double>(below(50)));
        } else if (below(12) == 0) {
          loaded.add(named("mix"), Timestamp{t}, mixed.custom({1, 2}));
        } else {
          loaded.add(named("mix"), Timestamp{t}, mixed.exponential(hint));
        }
      }
    }
    // The same histogram in both forms, sometimes.
    HistogramMaker twin(random);
    for (std::int64_t t = 0; t < 1'200'000; t += 90'000) {
      loaded.add({{"__name__", "h_bucket"}, {"job", job}}, Timestamp{t},
                 twin.exponential(tsdb::CounterResetHint::kUnknown));
    }
  }
  loaded.store(storage);
  return storage;
}

std::string RandomExpression::native_call(int depth) {
  const std::string v = vector(depth - 1);
  switch (below(7)) {
    case 0: return fmt::format("histogram_quantile({}, {})", number(), v);
    case 1: return fmt::format("histogram_fraction({}, {}, {})", number(), number(), v);
    case 2: return fmt::format("({} {} {})", v, pick({"</", ">/"}), scalar(1));
    case 3: return fmt::format("({} {} {})", vector(depth - 1), pick({"+", "-", "==", "!="}), v);
    default:
      return fmt::format("{}({})",
                         pick({"histogram_count", "histogram_sum", "histogram_avg",
                               "histogram_stddev", "histogram_stdvar"}),
                         v);
  }
}

std::string RandomExpression::number() {
  return pick({"0", "1", "2", "-1", "0.5", "3", "1e3", "-2.5", "NaN", "Inf", "60", "5m"});
}

std::string RandomExpression::duration() {
  return pick({"1s", "15s", "30s", "1m", "90s", "2m", "5m", "7m30s", "11m", "1ms"});
}

std::string RandomExpression::modifiers() {
  std::string out;
  if (one_in(6)) out += " offset " + std::string(one_in(3) ? "-" : "") + duration();
  if (one_in(10)) out += " @ " + pick({"300", "601.5", "0", "start()", "end()", "-60"});
  return out;
}

std::string RandomExpression::selector() {
  if (has_histograms_ && !one_in(3)) {
    return pick({"nh", "nh", "nh", "gh", "nhcb", "mix", "mix{job=\"a\"}", "nh{inst=~\"1|2\"}",
                 "{__name__=~\"nh|g\"}", "{__name__=~\"nh|nhcb\"}", "nhcb{inst!=\"3\"}",
                 "{job=\"a\",inst=\"1\"}", "gh{job=\"b\"}"});
  }
  return pick({"c_total", "c_total", "g", "g", "h_bucket", "one", "flat", "single", "nothing",
               "c_total{job=\"a\"}", "g{inst=~\"1|2\"}", "g{inst!=\"3\",job=\"b\"}",
               "{job=\"a\",inst=\"1\"}", "{__name__=~\"g|flat\"}", "one{job!~\"a.*\"}",
               "c_total{inst=\"\"}", "h_bucket{le=\"1\"}"});
}

std::string RandomExpression::matrix(int depth) {
  if (depth > 1 && one_in(4)) {
    return fmt::format("({})[{}:{}]{}", vector(depth - 2), pick({"1m", "2m", "5m"}),
                       pick({"", "15s", "30s", "1m", "17s"}), modifiers());
  }
  return fmt::format("{}[{}]{}", selector(), duration(), modifiers());
}

std::string RandomExpression::scalar(int depth) {
  if (depth <= 0 || one_in(2)) return number();
  switch (below(5)) {
    case 0: return "time()";
    case 1: return fmt::format("scalar({})", vector(depth - 1));
    case 2: return fmt::format("scalar(g{{job=\"a\",inst=\"{}\"}})", 1 + below(3));
    case 3:
      return fmt::format("({} {} {})", scalar(depth - 1),
                         pick({"+", "-", "*", "/", "%", "^", "atan2", "< bool", "== bool"}),
                         scalar(depth - 1));
    default: return fmt::format("-({})", scalar(depth - 1));
  }
}

std::string RandomExpression::range_call(int depth) {
  if (one_in(12)) return fmt::format("quantile_over_time({}, {})", scalar(1), matrix(depth));
  if (one_in(12)) return fmt::format("predict_linear({}, {})", matrix(depth), scalar(1));
  return fmt::format("{}({})",
                     pick({"rate",
                           "rate",
                           "increase",
                           "delta",
                           "irate",
                           "idelta",
                           "resets",
                           "changes",
                           "deriv",
                           "sum_over_time",
                           "avg_over_time",
                           "min_over_time",
                           "max_over_time",
                           "count_over_time",
                           "stddev_over_time",
                           "stdvar_over_time",
                           "last_over_time",
                           "first_over_time",
                           "present_over_time",
                           "absent_over_time"}),
                     matrix(depth));
}

std::string RandomExpression::value_call(int depth) {
  const std::string v = vector(depth - 1);
  switch (below(6)) {
    case 0: return fmt::format("round({}, {})", v, scalar(1));
    case 1: return fmt::format("clamp({}, {}, {})", v, scalar(1), scalar(1));
    case 2: return fmt::format("clamp_{}({}, {})", pick({"min", "max"}), v, scalar(1));
    case 3: return fmt::format("timestamp({})", v);
    default:
      return fmt::format(
          "{}({})", pick({"abs",   "ceil",   "floor",       "exp", "sqrt",   "ln",   "log2",
                          "log10", "sgn",    "sin",         "cos", "tan",    "atan", "sinh",
                          "tanh",  "asinh",  "deg",         "rad", "absent", "sort", "sort_desc",
                          "hour",  "minute", "day_of_week", "year"}),
          v);
  }
}

std::string RandomExpression::label_call(int depth) {
  const std::string v = vector(depth - 1);
  if (one_in(2)) {
    return fmt::format("label_join({}, \"{}\", \"-\", \"{}\", \"job\")", v,
                       pick({"joined", "inst", "job"}), pick({"inst", "le", "none"}));
  }
  return fmt::format("label_replace({}, \"{}\", \"{}\", \"{}\", \"{}\")", v,
                     pick({"new", "inst", "job", "__name__"}), pick({"$1", "x$1y", "fixed", ""}),
                     pick({"inst", "job", "none", "__name__"}), pick({"(.*)", "([12])", "a", ""}));
}

std::string RandomExpression::histogram_call(int depth) {
  const std::string buckets = pick({"h_bucket", "rate(h_bucket[5m])", "sum by (le) (h_bucket)",
                                    "sum by (le, job) (increase(h_bucket[3m]))"});
  if (one_in(3)) return fmt::format("histogram_fraction({}, {}, {})", number(), number(), buckets);
  return fmt::format("histogram_quantile({}, {})",
                     one_in(3) ? scalar(1) : pick({"0.5", "0.9", "0", "1"}),
                     one_in(8) ? vector(depth - 1) : buckets);
}

std::string RandomExpression::aggregation(int depth) {
  const std::string grouping =
      pick({"", "", " by (job)", " by (inst)", " without (inst)", " by (job, inst)",
            " without (job, le)", " by (none)", " by (__name__)"});
  const std::string v = vector(depth - 1);
  switch (below(8)) {
    case 0:
      return fmt::format("{}{} ({}, {})", pick({"topk", "bottomk"}), grouping,
                         one_in(3) ? scalar(1) : pick({"1", "2", "3"}), v);
    case 1: return fmt::format("quantile{} ({}, {})", grouping, scalar(1), v);
    case 2: return fmt::format("count_values{} (\"{}\", {})", grouping, pick({"v", "job"}), v);
    default:
      return fmt::format(
          "{}{} ({})",
          pick({"sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"}), grouping,
          v);
  }
}

std::string RandomExpression::matched_binary(int depth) {
  const std::string op = pick({"+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<",
                               ">=", "<=", "> bool", "== bool", "<= bool"});
  switch (below(5)) {
    case 0:
      return fmt::format("{} {} on(job) group_left{} one", vector(depth - 1), op,
                         pick({"", "(team)", "(none)"}));
    case 1:
      return fmt::format("one {} on(job) group_right{} {}", op, pick({"", "(team)"}),
                         vector(depth - 1));
    case 2:
      return fmt::format("sum by (job) ({}) {} on(job) max by (job) ({})", vector(depth - 1), op,
                         vector(depth - 1));
    case 3:
      return fmt::format("{} {} ignoring({}) {}", vector(depth - 1), op, pick({"", "inst", "team"}),
                         vector(depth - 1));
    default: return fmt::format("c_total {} g", op);
  }
}

std::string RandomExpression::binary(int depth) {
  if (one_in(2)) return "(" + matched_binary(depth) + ")";
  const std::string op = pick({"+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<",
                               ">=", "<=", "> bool", "!= bool"});
  if (one_in(3)) {
    return fmt::format("({} {} {} {})", vector(depth - 1), pick({"and", "or", "unless"}),
                       pick({"", "on(job)", "on()", "ignoring(inst)"}), vector(depth - 1));
  }
  if (one_in(2)) return fmt::format("({} {} {})", scalar(depth - 1), op, vector(depth - 1));
  return fmt::format("({} {} {})", vector(depth - 1), op, scalar(depth - 1));
}

std::string RandomExpression::vector(int depth) {
  if (depth <= 0) return selector() + modifiers();
  if (has_histograms_ && one_in(4)) return native_call(depth);
  switch (below(12)) {
    case 0: return selector() + modifiers();
    case 1:
    case 2:
    case 3: return range_call(depth);
    case 4:
    case 5:
    case 6: return aggregation(depth);
    case 7:
    case 8: return binary(depth);
    case 9: return value_call(depth);
    case 10: return one_in(2) ? label_call(depth) : histogram_call(depth);
    default:
      if (one_in(4)) return fmt::format("vector({})", scalar(depth - 1));
      return fmt::format("-({})", vector(depth - 1));
  }
}

}  // namespace tarsier::testing
