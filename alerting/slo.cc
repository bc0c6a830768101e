#include "alerting/slo.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "alerting/sli_terms.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

using Kind = SliDefinition::Kind;

double budget_of(const SloDefinition& slo) {
  // Pyrra writes `1-0.999` into its rules, Sloth takes (100 - objective) / 100.
  if (slo.format == SloFormat::kPyrra) return 1 - slo.objective_percent / 100;
  return (100 - slo.objective_percent) / 100;
}

std::vector<BurnTier> configured_tiers(const SloDefinition& slo) {
  std::vector<BurnTier> tiers = slo.alerts.tiers;
  const Duration period = nominal_period(slo.period);
  if (tiers.empty()) {
    tiers = slo.format == SloFormat::kPyrra ? scaled_tiers(period) : default_tiers(period);
  }
  std::erase_if(tiers, [&](const BurnTier& tier) {
    return !(tier.severity == Severity::kPage ? slo.alerts.page : slo.alerts.ticket).is_on;
  });
  std::stable_sort(tiers.begin(), tiers.end(), [](const BurnTier& a, const BurnTier& b) {
    return a.severity != b.severity ? a.severity < b.severity : a.long_window < b.long_window;
  });
  return tiers;
}

std::vector<AlertUnit> units_of(SloFormat format, const std::vector<BurnTier>& tiers) {
  const bool is_by_tier = format == SloFormat::kPyrra && tiers.size() <= kAlertUnitsMax;
  std::vector<AlertUnit> out;
  for (std::size_t i = 0; i < tiers.size(); ++i) {
    if (is_by_tier || out.empty() || out.back().severity != tiers[i].severity) {
      out.push_back({.severity = tiers[i].severity, .begin = i, .end = i});
    }
    out.back().end = i + 1;
  }
  return out;
}

/// Of `{job="a",code=~".+"}`: job.
LabelMap pinned_labels_of(const SloDefinition& slo, const std::vector<std::string>& group_by) {
  LabelMap out;
  const SliDefinition& sli = slo.sli;
  const std::string& selector = !sli.total.empty()       ? sli.total
                                : !sli.histogram.empty() ? sli.histogram
                                                         : sli.gauge;
  const Result<std::vector<tsdb::Matcher>> matchers = query::parse_metric_selector(selector);
  if (slo.format != SloFormat::kPyrra || !matchers.ok()) return out;
  for (const tsdb::Matcher& matcher : *matchers) {
    const bool is_grouped =
        std::find(group_by.begin(), group_by.end(), matcher.name()) != group_by.end();
    if (matcher.op() != tsdb::MatchOp::kEqual || matcher.name() == tsdb::kMetricName ||
        matcher.value().empty() || is_grouped) {
      continue;
    }
    out.emplace_back(matcher.name(), matcher.value());
  }
  return out;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_name(std::string_view text) {
  if (text.empty() || !is_name_character(text.front()) || !is_name_character(text.back())) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_name_character(c) || c == '-' || c == '_' || c == '.';
  });
}

class Checker final {
 public:
  explicit Checker(const SloDefinition& slo) : slo_(slo) {}

  std::vector<SloProblem> run() {
    check_identity();
    check_period();
    check_sli();
    check_tiers();
    return std::move(problems_);
  }

 private:
  void add(std::string field, std::string text) {
    problems_.push_back({std::move(field), std::move(text)});
  }

  void check_identity() {
    const std::string_view rule =
        "begins and ends with a letter or a digit, with '-', '_' and '.' inside";
    if (slo_.name.empty()) {
      add("name", "an objective needs a name");
    } else if (!is_name(slo_.name)) {
      add("name", fmt::format("the name {} must be one that {}", quote(slo_.name), rule));
    }
    if (!slo_.service.empty() && !is_name(slo_.service)) {
      add("service", fmt::format("the service {} must be one that {}", quote(slo_.service), rule));
    }
    const bool is_possible = slo_.objective_percent > 0 && slo_.objective_percent <= 100;
    if (!is_possible) {
      add("objective", fmt::format("an objective is a percentage above 0 and at most 100, not {}",
                                   slo_.objective_percent));
    }
    for (const std::string& label : slo_.group_by) {
      if (label.empty() || label == tsdb::kMetricName || label == "le") {
        add("group_by", fmt::format("the label {} cannot be grouped by", quote(label)));
      }
    }
    for (const auto& [name, value] : slo_.labels) {
      if (name == tsdb::kMetricName || name.empty()) {
        add("labels", fmt::format("{} is no name of a label", quote(name)));
      }
    }
  }

  void check_period() {
    if (slo_.period.is_calendar()) return;
    const Duration length = slo_.period.length;
    if (length < days(1) || length > days(366)) {
      add("period",
          fmt::format("a period is between 1d and 366d, not {}", format_duration(length)));
    }
  }

  void need_selector(const char* field, const std::string& text) {
    const Result<std::vector<tsdb::Matcher>> matchers = query::parse_metric_selector(text);
    if (!matchers.ok()) {
      add(field, fmt::format("{} is no selector: {}", quote(text), matchers.status().message()));
    }
  }

  void check_sli() {
    const SliDefinition& sli = slo_.sli;
    switch (sli.kind) {
      case Kind::kErrors:
        need_selector("sli.errors", sli.errors);
        need_selector("sli.total", sli.total);
        break;
      case Kind::kBuckets:
      case Kind::kGood:
        need_selector("sli.good", sli.good);
        need_selector("sli.total", sli.total);
        break;
      case Kind::kLatency:
        need_selector("sli.latency.histogram", sli.histogram);
        if (problems_.empty()) {
          const Result<std::string> named = with_suffix(sli.histogram, "_count");
          if (!named.ok()) add("sli.latency.histogram", named.status().message());
        }
        if (!(sli.bound > 0)) add("sli.latency.below", "the bound must be longer than 0");
        break;
      case Kind::kComparison:
      case Kind::kGauge: need_selector("sli.gauge", sli.gauge); break;
      case Kind::kRatio: check_query("sli.ratio", sli.ratio); break;
      case Kind::kQueries:
        check_query(sli.errors.empty() ? "sli.good" : "sli.errors",
                    sli.errors.empty() ? sli.good : sli.errors);
        check_query("sli.total", sli.total);
        break;
    }
  }

  void check_query(const char* field, const std::string& text) {
    if (text.find("$window") == std::string::npos) {
      add(field,
          fmt::format("the query {} has no window: write $window ({{{{.window}}}} in Sloth's "
                      "files) where its length goes",
                      quote(text)));
      return;
    }
    const Result<query::ExprPtr> parsed = query::parse_expression(with_window(text, minutes(5)));
    if (!parsed.ok()) add(field, parsed.status().message());
  }

  void check_tiers() {
    const Duration longest = longest_period(slo_.period);
    for (const BurnTier& tier : slo_.alerts.tiers) {
      const std::string name = fmt::format("{}/{}", format_duration(tier.long_window),
                                           format_duration(tier.short_window));
      if (tier.short_window.ms <= 0 || tier.short_window > tier.long_window) {
        add("alerts.tiers",
            fmt::format("the windows {} must be a long one and a shorter one", name));
      } else if (tier.long_window > longest) {
        add("alerts.tiers",
            fmt::format("the window {} is longer than the period {}",
                        format_duration(tier.long_window), period_text(slo_.period)));
      }
      if (!(tier.factor > 0) || !std::isfinite(tier.factor)) {
        add("alerts.tiers", fmt::format("the factor of {} must be above 0", name));
      }
    }
  }

  const SloDefinition& slo_;
  std::vector<SloProblem> problems_;
};

}  // namespace

std::string_view slo_format_name(SloFormat format) {
  switch (format) {
    case SloFormat::kOwn: return "tarsier";
    case SloFormat::kSloth: return "sloth";
    case SloFormat::kPyrra: return "pyrra";
    case SloFormat::kOpenSlo: return "openslo";
  }
  return "";
}

std::vector<SloProblem> Slo::check(const SloDefinition& definition) {
  return Checker(definition).run();
}

Result<std::shared_ptr<const Slo>> Slo::compile(SloDefinition definition) {
  if (const std::vector<SloProblem> problems = check(definition); !problems.empty()) {
    return invalid(fmt::format("{}: {}", problems[0].field, problems[0].text));
  }
  auto slo = std::shared_ptr<Slo>(new Slo());
  slo->id_ = definition.id();
  slo->objective_ = definition.objective_percent / 100;
  slo->budget_ = budget_of(definition);
  slo->tiers_ = configured_tiers(definition);
  std::set<Duration> windows;
  // What dashboards show whether an alert needs it or not.
  for (const Duration usual :
       {minutes(5), minutes(30), hours(1), hours(2), hours(6), days(1), days(3)}) {
    if (usual < longest_period(definition.period)) windows.insert(usual);
  }
  for (const BurnTier& tier : slo->tiers_) {
    windows.insert(tier.long_window);
    windows.insert(tier.short_window);
  }
  slo->windows_.assign(windows.begin(), windows.end());
  slo->group_by_ = definition.group_by;
  std::vector<std::string> grouping;
  Result<std::vector<SliTerm>> terms = terms_of(definition.sli, grouping);
  if (!terms.ok()) return std::move(terms).status().with_prefix("sli");
  slo->terms_ = std::move(*terms);
  if (slo->group_by_.empty()) slo->group_by_ = std::move(grouping);
  std::sort(slo->group_by_.begin(), slo->group_by_.end());
  slo->alert_units_ = units_of(definition.format, slo->tiers_);
  slo->pinned_labels_ = pinned_labels_of(definition, slo->group_by_);
  slo->warnings_ = definition.warnings;
  slo->counting_ = slo->terms_.empty() ? SloCounting::kPromql : definition.counting;
  const auto warn = [&](std::string text) { slo->warnings_.push_back(std::move(text)); };
  if (slo->terms_.empty() && definition.sli.kind == Kind::kQueries) {
    warn("the queries are not sums of rate() or increase(): their ratio is evaluated as PromQL");
  }
  const bool has_guards = definition.alerts.page.guards != BurnGuards() ||
                          definition.alerts.ticket.guards != BurnGuards();
  if (slo->counting_ == SloCounting::kPromql && definition.sli.kind == Kind::kRatio && has_guards) {
    warn("a ratio has no counts of events: guards for low traffic have no effect");
  }
  if (slo->budget_ <= 0) warn("an objective of 100 % has no budget: every error fires every tier");
  for (const BurnTier& tier : slo->tiers_) {
    const std::string name =
        fmt::format("{} tier {}/{}", severity_name(tier.severity),
                    format_duration(tier.long_window), format_duration(tier.short_window));
    if (!is_reachable(tier, slo->budget_)) {
      warn(
          fmt::format("the {} can never fire: {} times the budget is above 100 % of errors; the "
                      "lowest objective for this factor is {:.2f} %",
                      name, short_number(tier.factor), 100 * lowest_objective(tier.factor)));
    } else if (tier.factor < 1 && slo->budget_ > 0) {
      warn(fmt::format(
          "the {} has a factor below 1: it fires on a service that meets its objective", name));
    }
    if (tier.short_window < minutes(2)) {
      warn(fmt::format("the {} looks at {}: with a scrape interval of 1m it sees no two samples",
                       name, format_duration(tier.short_window)));
    }
  }
  slo->definition_ = std::move(definition);
  return std::shared_ptr<const Slo>(std::move(slo));
}

AlertUnit Slo::tiers_of(Severity severity) const {
  AlertUnit out{.severity = severity};
  for (std::size_t i = 0; i < tiers_.size(); ++i) {
    if (tiers_[i].severity != severity) continue;
    if (out.begin == out.end) out.begin = i;
    out.end = i + 1;
  }
  return out;
}

std::string Slo::ratio_query(Duration window) const {
  return queries_of(definition_.sli, group_by_, window).ratio;
}
std::string Slo::bad_query(Duration window) const {
  return queries_of(definition_.sli, group_by_, window).bad;
}
std::string Slo::total_query(Duration window) const {
  return queries_of(definition_.sli, group_by_, window).total;
}

const std::string& Slo::measured_text() const {
  const SliDefinition& sli = definition_.sli;
  for (const std::string* text : {&sli.total, &sli.histogram, &sli.gauge}) {
    if (!text->empty()) return *text;
  }
  return sli.ratio;
}

std::string Slo::presence_query() const {
  const SliDefinition& sli = definition_.sli;
  if (sli.kind == Kind::kRatio) return ratio_query(minutes(5));
  if (sli.kind == Kind::kQueries) return total_query(minutes(5));
  if (sli.kind != Kind::kLatency) return measured_text();
  const Result<std::string> count = with_suffix(sli.histogram, "_count");
  return count.ok() ? fmt::format("{} or {}", *count, sli.histogram) : sli.histogram;
}

std::string Slo::signature() const {
  std::string out = fmt::format("by {}", fmt::join(group_by_, ","));
  for (const SliTerm& term : terms_) {
    out += fmt::format(";{}*{}*{}*{}*{}", static_cast<int>(term.measure), term.bad_weight,
                       term.total_weight, term.bound, static_cast<int>(term.comparison));
    for (const tsdb::Matcher& matcher : term.matchers) out += "," + matcher.to_string();
  }
  return out;
}

Status check_unique(const std::vector<std::shared_ptr<const Slo>>& slos) {
  std::map<std::string_view, const Slo*> seen;
  for (const std::shared_ptr<const Slo>& slo : slos) {
    const auto [at, is_new] = seen.emplace(slo->id(), slo.get());
    if (is_new) continue;
    return invalid(fmt::format("{}: the objective {} is in {}, too", slo->definition().file,
                               quote(slo->id()), at->second->definition().file));
  }
  return {};
}

}  // namespace tarsier::alerting
