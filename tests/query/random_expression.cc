#include "tests/query/random_expression.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

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
