#include "alerting/rule_test.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "alerting/group_runner.h"
#include "alerting/rule_test/series_notation.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "base/quote.h"
#include "query/histogram_notation.h"

namespace tarsier::alerting {
namespace {

struct Input {
  tsdb::Labels labels;
  std::vector<DescribedSample> samples;
  std::size_t next = 0;
};

/// Result or expectation of an expression, comparable.
struct TestSample {
  tsdb::Labels labels;
  double value = 0;
  std::shared_ptr<const tsdb::FloatHistogram> histogram;

  std::string to_string() const {
    return fmt::format("{} {}", labels.empty() ? "{}" : labels.to_string(),
                       histogram ? query::histogram_notation(*histogram) : scientific(value));
  }
  static std::string scientific(double v) {
    std::string out;
    append_scientific_number(out, v);
    return out;
  }
};

bool is_close(double a, double b, bool fuzzy) {
  if (a == b) return true;
  return fuzzy && (a == std::nextafter(b, INFINITY) || a == std::nextafter(b, -INFINITY));
}

bool is_same(const TestSample& a, const TestSample& b, bool fuzzy) {
  if (a.labels != b.labels || (a.histogram == nullptr) != (b.histogram == nullptr)) return false;
  if (a.histogram) return query::is_same_histogram(*a.histogram, *b.histogram);
  return is_close(a.value, b.value, fuzzy);
}

/// Each text on a line of its own, so that a difference shows what differs.
std::string block(std::string_view title, const std::vector<std::string>& lines) {
  std::string out = fmt::format("        {}:[", title);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out += fmt::format("\n            {}: {}", i, lines[i]);
  }
  return out + (lines.empty() ? "]" : "\n            ]");
}

std::string difference(std::vector<std::string> expected, std::vector<std::string> got) {
  std::sort(expected.begin(), expected.end());
  std::sort(got.begin(), got.end());
  std::string out = "        diff (- expected, + got):";
  std::multiset<std::string> left(got.begin(), got.end());
  for (const std::string& line : expected) {
    const auto found = left.find(line);
    out += fmt::format("\n          {} {}", found == left.end() ? '-' : ' ', line);
    if (found != left.end()) left.erase(found);
  }
  for (const std::string& line : left) out += fmt::format("\n          + {}", line);
  return out;
}

std::string map_text(const LabelMap& map) {
  std::string out = "{";
  for (const auto& [name, value] : map) {
    out += fmt::format("{}{}={}", out.size() > 1 ? ", " : "", name, quote(value));
  }
  return out + "}";
}

std::string alert_text(const LabelMap& labels, const LabelMap& annotations) {
  return fmt::format("Labels:{} Annotations:{}", map_text(labels), map_text(annotations));
}

LabelMap map_of(const tsdb::Labels& labels) {
  LabelMap out;
  for (const tsdb::LabelView& label : labels) out.emplace_back(label.name, label.value);
  return out;
}

class Run final {
 public:
  Run(const RuleTestFile& file, const RuleTest& test, const RuleTestDoors& doors)
      : file_(file),
        test_(test),
        doors_(doors),
        engine_(engine_options(file, doors), nullptr),
        rule_doors_{.engine = engine_,
                    .storage = doors.storage,
                    .make_appender = doors.make_appender,
                    .monotonic_ns = [] { return std::int64_t{0}; },
                    .log = log_} {}

  std::vector<std::string> operator()(const std::vector<RuleGroup>& groups) {
    if (const Status status = read_input(); !status.ok()) return {told(status.message())};
    for (const AlertTestCase& one : test_.alert_cases) {
      if (one.alert.empty()) {
        return {
            told(fmt::format("an item under alert_rule_test misses required attribute "
                             "alertname at eval_time {}",
                             format_duration(one.eval_time)))};
      }
    }
    start(groups);
    const Timestamp end = test_.start + last_eval_time();
    for (Timestamp ts = test_.start; ts <= end; ts = ts + file_.evaluation_interval) {
      if (const Status status = load_until(ts); !status.ok()) return {told(status.message())};
      for (const std::unique_ptr<GroupRunner>& runner : runners_) {
        runner->evaluate(ts, ts);
      }
      if (std::vector<std::string> errors = errors_of_rules(ts); !errors.empty()) {
        failures_.insert(failures_.end(), errors.begin(), errors.end());
        return std::move(failures_);
      }
      check_alerts(ts);
    }
    for (const ExpressionTestCase& one : test_.expression_cases) check_expression(one);
    return std::move(failures_);
  }

 private:
  static query::EngineOptions engine_options(const RuleTestFile& file, const RuleTestDoors& doors) {
    query::EngineOptions options = doors.engine;
    options.subquery_step = file.evaluation_interval;
    return options;
  }

  std::string told(std::string_view text) const {
    const std::string name = test_.name.empty() ? "" : fmt::format("    name: {},\n", test_.name);
    return fmt::format("{}    {}", name, text);
  }

  void fail(std::string_view head, const std::vector<std::string>& expected,
            const std::vector<std::string>& got) {
    failures_.push_back(told(fmt::format("{}\n{}", head,
                                         doors_.shows_difference
                                             ? difference(expected, got)
                                             : block("exp", expected) + "\n" + block("got", got))));
  }

  Status read_input() {
    std::map<tsdb::Labels, std::size_t> known;
    for (const RuleTestSeries& series : test_.input) {
      Result<tsdb::Labels> labels = parse_described_labels(series.series);
      Result<std::vector<DescribedSample>> samples = parse_series_values(series.values);
      if (!labels.ok() || !samples.ok()) {
        const Status& status = labels.ok() ? samples.status() : labels.status();
        return invalid(fmt::format("error parsing series {}: {}",
                                   quote(series.series + " " + series.values), status.message()));
      }
      // A series that is described again is described anew, as promtool has it.
      const auto [place, is_new] = known.emplace(*labels, inputs_.size());
      if (is_new) inputs_.push_back({.labels = std::move(*labels), .samples = {}});
      inputs_[place->second].samples = std::move(*samples);
    }
    return {};
  }

  void start(const std::vector<RuleGroup>& groups) {
    tsdb::LabelsBuilder external;
    for (const auto& [name, value] : test_.external_labels) external.set(name, value);
    const auto settings = std::make_shared<const RuleSettings>(
        RuleSettings{.evaluation_interval = file_.evaluation_interval,
                     .external_labels = external.build(),
                     .external_url = test_.external_url});
    for (const RuleGroup& group : groups) {
      runners_.push_back(std::make_unique<GroupRunner>(
          group, settings, RuleOptions{.restores = false}, rule_doors_, totals_));
    }
  }

  Duration last_eval_time() const {
    Duration last{0};
    for (const AlertTestCase& one : test_.alert_cases) last = std::max(last, one.eval_time);
    for (const ExpressionTestCase& one : test_.expression_cases) {
      last = std::max(last, one.eval_time);
    }
    return last;
  }

  Status load_until(Timestamp ts) {
    const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
    for (Input& input : inputs_) {
      if (input.next >= input.samples.size()) continue;
      const tsdb::SeriesRef ref = TRY(appender->resolve(input.labels));
      for (; input.next < input.samples.size(); ++input.next) {
        const Timestamp t =
            test_.start + Duration{static_cast<std::int64_t>(input.next) * test_.interval.ms};
        if (t > ts) break;
        const DescribedSample& sample = input.samples[input.next];
        tsdb::AppendOutcome outcome = tsdb::AppendOutcome::kAppended;
        if (sample.histogram) {
          outcome = appender->append_float_histogram(ref, t, *sample.histogram);
        } else if (sample.value) {
          outcome = appender->append(ref, {.t = t, .v = *sample.value});
        }
        if (outcome != tsdb::AppendOutcome::kAppended) {
          return invalid(fmt::format("series {}: {}", input.labels.to_string(),
                                     tsdb::append_outcome_text(outcome)));
        }
      }
    }
    return appender->commit().status();
  }

  std::vector<std::string> errors_of_rules(Timestamp ts) const {
    std::vector<std::string> out;
    for (const std::unique_ptr<GroupRunner>& runner : runners_) {
      for (const RuleStatus& status : runner->status().rules) {
        if (status.last_error.empty()) continue;
        out.push_back(told(fmt::format("rule: {}, time: {}, err: {}", status.rule->name(),
                                       format_duration(ts - test_.start), status.last_error)));
      }
    }
    return out;
  }

  /// Of the cases whose last step this is.
  void check_alerts(Timestamp ts) {
    const Duration since = ts - test_.start;
    for (const AlertTestCase& one : test_.alert_cases) {
      if (one.eval_time < since || one.eval_time >= since + file_.evaluation_interval) continue;
      std::vector<std::string> got;
      for (const std::unique_ptr<GroupRunner>& runner : runners_) {
        for (const RuleStatus& status : runner->status().rules) {
          if (!status.rule->is_alerting() || status.rule->name() != one.alert) continue;
          for (const AlertRecord& alert : status.alerts) {
            if (alert.state != AlertState::kFiring) continue;
            got.push_back(alert_text(map_of(alert.labels), alert.annotations));
          }
        }
      }
      std::vector<std::string> expected;
      for (const ExpectedAlert& alert : one.expected) {
        LabelMap labels;
        for (const auto& label : alert.labels) {
          if (label.first != "alertname") labels.push_back(label);  // An empty one matches nothing.
        }
        labels.emplace_back("alertname", one.alert);
        std::sort(labels.begin(), labels.end());
        expected.push_back(alert_text(labels, alert.annotations));
      }
      std::sort(got.begin(), got.end());
      std::sort(expected.begin(), expected.end());
      if (got == expected) continue;
      fail(fmt::format("alertname: {}, time: {},", one.alert, format_duration(one.eval_time)),
           expected, got);
    }
  }

  Result<std::vector<TestSample>> ask(const ExpressionTestCase& one) {
    const Timestamp at = test_.start + one.eval_time;
    const query::PreparedQuery prepared =
        TRY(engine_.prepare({.text = one.expression, .start = at, .end = at}));
    query::QueryResult answer = TRY(engine_.run(doors_.storage, prepared, nullptr));
    std::vector<TestSample> out;
    if (answer.type == query::ResultType::kScalar) {
      out.push_back({.labels = {}, .value = answer.scalar});
    } else if (answer.type == query::ResultType::kVector) {
      for (query::VectorElement& e : answer.vector) {
        out.push_back({.labels = std::move(e.labels), .value = e.value, .histogram = e.histogram});
      }
    } else {
      return invalid("rule result is not a vector or scalar");
    }
    return out;
  }

  static Result<std::vector<TestSample>> expected_of(const ExpressionTestCase& one) {
    std::vector<TestSample> out;
    for (const ExpectedSample& sample : one.expected) {
      TestSample& expected = out.emplace_back();
      Result<tsdb::Labels> labels = parse_described_labels(sample.labels);
      if (!labels.ok()) {
        return invalid(
            fmt::format("labels {}: {}", quote(sample.labels), labels.status().message()));
      }
      expected.labels = std::move(*labels);
      expected.value = sample.value;
      if (sample.histogram.empty()) continue;
      std::string_view text = sample.histogram;
      Result<tsdb::FloatHistogram> histogram = query::take_histogram(text);
      if (!histogram.ok()) return std::move(histogram).status();
      expected.histogram = std::make_shared<const tsdb::FloatHistogram>(std::move(*histogram));
    }
    return out;
  }

  void check_expression(const ExpressionTestCase& one) {
    const std::string head =
        fmt::format("expr: {}, time: {},", quote(one.expression), format_duration(one.eval_time));
    const Result<std::vector<TestSample>> got = ask(one);
    const Result<std::vector<TestSample>> expected = expected_of(one);
    if (!got.ok() || !expected.ok()) {
      failures_.push_back(
          told(fmt::format("{} err: {}", head, (got.ok() ? expected : got).status().message())));
      return;
    }
    const auto order = [](const TestSample& a, const TestSample& b) { return a.labels < b.labels; };
    std::vector<TestSample> a = *expected;
    std::vector<TestSample> b = *got;
    std::sort(a.begin(), a.end(), order);
    std::sort(b.begin(), b.end(), order);
    const bool is_good = std::equal(a.begin(), a.end(), b.begin(), b.end(),
                                    [&](const TestSample& x, const TestSample& y) {
                                      return is_same(x, y, file_.fuzzy_compare);
                                    });
    if (is_good) return;
    const auto texts = [](const std::vector<TestSample>& samples) {
      std::vector<std::string> out;
      for (const TestSample& sample : samples) out.push_back(sample.to_string());
      return out;
    };
    fail(head, texts(a), texts(b));
  }

  const RuleTestFile& file_;
  const RuleTest& test_;
  const RuleTestDoors& doors_;
  NullLogger log_;
  const query::Engine engine_;
  const RuleDoors rule_doors_;
  RuleTotals totals_;
  std::vector<Input> inputs_;
  std::vector<std::unique_ptr<GroupRunner>> runners_;
  std::vector<std::string> failures_;
};

}  // namespace

std::vector<std::string> run_rule_test(const RuleTestFile& file, const RuleTest& test,
                                       const std::vector<RuleGroup>& groups,
                                       const RuleTestDoors& doors) {
  return Run(file, test, doors)(groups);
}

Result<std::vector<RuleGroup>> ordered_groups(std::vector<RuleGroup> groups,
                                              const std::vector<std::string>& order) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (!places.emplace(order[i], i).second) {
      return invalid(fmt::format("group name repeated in evaluation order: {}", order[i]));
    }
  }
  const auto place = [&](const RuleGroup& group) {
    const auto found = places.find(group.definition.name);
    return found == places.end() ? order.size() : found->second;
  };
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const RuleGroup& a, const RuleGroup& b) { return place(a) < place(b); });
  return groups;
}

}  // namespace tarsier::alerting
