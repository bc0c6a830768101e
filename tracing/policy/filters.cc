#include "tracing/policy/filters.h"

#include <cmath>

#include <fmt/format.h>

namespace tarsier::tracing {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

}  // namespace

std::uint64_t salted_hash(std::string_view salt, TraceId id) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const char c : salt) add(static_cast<unsigned char>(c));
  for (const std::uint64_t half : {id.high, id.low}) {
    for (int shift = 56; shift >= 0; shift -= 8) add(static_cast<unsigned char>(half >> shift));
  }
  return hash;
}

std::string duration_text(std::uint64_t duration_ns) {
  const double ms = static_cast<double>(duration_ns) / 1e6;
  return ms < 1000 ? fmt::format("{:.4g} ms", ms) : fmt::format("{:.4g} s", ms / 1000);
}

Vote LatencyPolicy::vote(const TraceFacts& trace, Voting) {
  // Whole milliseconds would let 99.9 ms count as 99: compared in nanoseconds.
  const std::uint64_t ns = trace.duration_ns();
  if (bounds_.upper_threshold_ms == 0) return Vote::if_true(ns >= bounds_.threshold_ms * kNsPerMs);
  return Vote::if_true(ns > bounds_.threshold_ms * kNsPerMs &&
                       ns <= bounds_.upper_threshold_ms * kNsPerMs);
}

std::string LatencyPolicy::detail(const TraceFacts& trace) const {
  std::string out = fmt::format("took {}, threshold {} ms", duration_text(trace.duration_ns()),
                                bounds_.threshold_ms);
  if (bounds_.upper_threshold_ms != 0) out += fmt::format(" to {} ms", bounds_.upper_threshold_ms);
  return out;
}

Vote ConditionPolicy::vote(const TraceFacts& trace, Voting) {
  const bool is_met = trace.conditions[condition_];
  if (match_ == Match::kPlain) return Vote::if_true(is_met);
  return {.kind = Vote::Kind::kInverted, .sampled = RandomnessSet::if_true(!is_met)};
}

std::string ConditionPolicy::detail(const TraceFacts& trace) const {
  return text_ + (trace.conditions[condition_] ? ": on some span" : ": on no span");
}

std::string AnyConditionPolicy::detail(const TraceFacts& trace) const {
  return fmt::format("{} of {} conditions met", (trace.conditions & conditions_).count(),
                     conditions_.count());
}

Vote SpanCountPolicy::vote(const TraceFacts& trace, Voting) {
  return Vote::if_true(trace.span_count >= bounds_.min_spans &&
                       (bounds_.max_spans == 0 || trace.span_count <= bounds_.max_spans));
}

std::string SpanCountPolicy::detail(const TraceFacts& trace) const {
  std::string out = fmt::format("{} spans, at least {}", trace.span_count, bounds_.min_spans);
  if (bounds_.max_spans != 0) out += fmt::format(", at most {}", bounds_.max_spans);
  return out;
}

std::string ThresholdPolicy::detail(const TraceFacts& trace) const {
  if (threshold_ >= kKeepNone) return "keeps nothing";
  return fmt::format("rv {:014x}, th {}", trace.randomness, encode_threshold(threshold_));
}

Vote SaltedPolicy::vote(const TraceFacts& trace, Voting) {
  if (draw_.percentage >= 100) return Vote::if_true(true);
  if (draw_.salt_index < trace.draws.size()) {
    return Vote::if_true(trace.draws[draw_.salt_index] < draw_.percentage / 100);
  }
  const double limit = std::ldexp(draw_.percentage / 100, 64);
  if (!(limit > 0)) return Vote::if_true(false);
  return Vote::if_true(salted_hash(draw_.hash_salt, trace.id) <= static_cast<std::uint64_t>(limit));
}

std::string SaltedPolicy::detail(const TraceFacts& trace) const {
  return fmt::format("hash {:016x}, {} % kept", salted_hash(draw_.hash_salt, trace.id),
                     draw_.percentage);
}

}  // namespace tarsier::tracing
