#include "tracing/policy/dynamic.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tarsier::tracing {
namespace {

constexpr std::string_view kKeySeparator = "\xE2\x80\xA2";  // A bullet, as Refinery joins with.

}  // namespace

double KeyRates::rate(const std::string& key, Timestamp) const {
  if (!has_rates_) {
    return options_.goal_kind == Options::Goal::kRate ? options_.goal : options_.initial_rate;
  }
  const auto found = rates_.find(key);
  return found == rates_.end() ? 1 : found->second;
}

void KeyRates::count(const std::string& key, Timestamp now) {
  if (interval_begin_ == kMinTimestamp) interval_begin_ = now;
  const bool is_over = now - interval_begin_ >= options_.adjustment_interval;
  const bool is_burst = burst_limit_ > 0 && current_total_ >= burst_limit_ &&
                        interval_count_ >= options_.burst_detection_delay;
  if (is_over || is_burst) adjust(now);
  const auto found = current_.find(key);
  if (found != current_.end()) {
    found->second += 1;
  } else if (current_.size() < options_.keys_max) {
    current_.emplace(key, 1);
  } else {
    return;
  }
  current_total_ += 1;
}

void KeyRates::adjust(Timestamp now) {
  interval_begin_ = now;
  ++interval_count_;
  if (current_.empty()) return;  // No traffic is no reason to forget.
  for (auto& [key, average] : averages_) {
    if (!current_.contains(key)) average *= 1 - options_.weight;
  }
  for (const auto& [key, seen] : current_) {
    const auto found = averages_.find(key);
    if (found == averages_.end()) {
      averages_.emplace(key, options_.weight * seen);
    } else {
      found->second = options_.weight * seen + (1 - options_.weight) * found->second;
    }
  }
  std::erase_if(averages_, [this](const auto& e) { return e.second < options_.age_out_value; });
  current_.clear();
  current_total_ = 0;
  allocate();
}

void KeyRates::allocate() {
  double total = 0;
  double log_total = 0;
  for (const auto& [key, average] : averages_) {
    total += std::max(1.0, average);
    log_total += std::log10(std::max(1.0, average));
  }
  burst_limit_ = total * options_.burst_multiple;
  rates_.clear();
  has_rates_ = !averages_.empty();
  const double interval_seconds = static_cast<double>(options_.adjustment_interval.ms) / 1000;
  const double goal = options_.goal_kind == Options::Goal::kRate ? total / options_.goal
                                                                 : options_.goal * interval_seconds;
  const double ratio = log_total > 0 ? goal / log_total : 0;
  double leftover = 0;
  std::size_t remaining = averages_.size();
  for (const auto& [key, average_raw] : averages_) {
    const double average = std::max(1.0, average_raw);
    const double extra = leftover / static_cast<double>(remaining--);
    const double key_goal = std::max(1.0, std::log10(average) * ratio) + extra;
    leftover -= extra;
    if (average <= key_goal) {
      leftover += key_goal - average;
      rates_[key] = 1;
    } else {
      rates_[key] = std::ceil(average / key_goal);
    }
  }
}

std::string DynamicPolicy::key_of(const TraceFacts& trace) const {
  std::string out;
  if (key_.key_index < trace.keys.size()) {
    for (const std::string& value : trace.keys[key_.key_index]) {
      out += value;
      out += kKeySeparator;
    }
  }
  if (key_.use_trace_length) out += std::to_string(trace.span_count);
  return out;
}

Vote DynamicPolicy::vote(const TraceFacts& trace, Voting voting) {
  const std::string key = key_of(trace);
  last_rate_ = rates_.rate(key, trace.now);
  if (voting == Voting::kCharge) rates_.count(key, trace.now);
  return Vote::plain(RandomnessSet::from(threshold_of(1 / last_rate_)));
}

std::string DynamicPolicy::detail(const TraceFacts& trace) const {
  return fmt::format("key \"{}\", 1 in {}", key_of(trace), last_rate_);
}

const RulesPolicy::Rule* RulesPolicy::owner_of(const TraceFacts& trace) const {
  const auto found = std::find_if(rules_.begin(), rules_.end(), [&trace](const Rule& rule) {
    return (trace.conditions & rule.conditions) == rule.conditions &&
           (trace.conditions & rule.excluded).none() && trace.span_count >= rule.spans_min &&
           trace.span_count <= rule.spans_max;
  });
  return found == rules_.end() ? nullptr : &*found;
}

Vote RulesPolicy::vote(const TraceFacts& trace, Voting voting) {
  owner_ = owner_of(trace);
  if (owner_ == nullptr) return Vote::if_true(true);
  if (owner_->is_drop) return {.kind = Vote::Kind::kDrop, .sampled = RandomnessSet::all()};
  if (owner_->sampler) return Vote::plain(owner_->sampler->vote(trace, voting).sampled);
  return Vote::plain(RandomnessSet::from(owner_->threshold));
}

std::string RulesPolicy::detail(const TraceFacts& trace) const {
  const Rule* owner = owner_of(trace);
  if (owner == nullptr) return "no rule matched";
  if (owner->sampler) return owner->sampler->detail(trace);
  if (owner->is_drop) return "the rule drops";
  return owner->threshold >= kKeepNone
             ? "the rule keeps nothing"
             : fmt::format("1 in {:.6g}", owner->threshold.adjusted_count());
}

std::string RulesPolicy::decider() const { return owner_ ? name() + "/" + owner_->name : name(); }

}  // namespace tarsier::tracing
