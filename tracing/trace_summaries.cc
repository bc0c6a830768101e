#include "tracing/trace_summaries.h"

#include <algorithm>
#include <map>

namespace tarsier::tracing {
namespace {

constexpr std::size_t kKeysMax = 100'000;
constexpr std::uint32_t kUnknown = UINT32_MAX;

/// How the conditions of the policies that are tried out are found among recorded bits.
struct Translation {
  std::vector<std::uint32_t> from;  ///< Per new condition: the recorded bit.
  ConditionBits unknown;
  bool has_key = false;
};

ConditionBits translate(const ConditionBits& recorded, const Translation& translation) {
  ConditionBits out;
  for (std::size_t i = 0; i < translation.from.size(); ++i) {
    if (translation.from[i] != kUnknown && recorded[translation.from[i]]) out.set(i);
  }
  return out;
}

void add_to(Simulation::Totals& totals, const JudgedTrace& trace, double weight) {
  ++totals.traces;
  totals.spans += trace.span_count;
  totals.bytes += trace.byte_count;
  totals.errors += trace.has_error;
  totals.estimated_traces += weight;
}

}  // namespace

std::uint32_t TraceSummaries::number_of(const ConditionSet& conditions) {
  Recorded recorded;
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    recorded.conditions.push_back(conditions.text(i));
  }
  if (conditions.key_count() > 0) recorded.key = conditions.key_text(0);
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < recorded_.size(); ++i) {
    if (recorded_[i].conditions == recorded.conditions && recorded_[i].key == recorded.key) {
      return static_cast<std::uint32_t>(i);
    }
  }
  recorded_.push_back(std::move(recorded));
  return static_cast<std::uint32_t>(recorded_.size() - 1);
}

void TraceSummaries::add(JudgedTrace summary, const std::vector<std::vector<std::string>>& keys) {
  if (traces_max_ == 0) return;
  std::string key_text;
  if (!keys.empty()) {
    for (const std::string& value : keys[0]) key_text.append(value).append(1, '\0');
  }
  const MutexLock lock(mutex_);
  if (!key_text.empty()) {
    const auto found = key_numbers_.find(key_text);
    if (found != key_numbers_.end()) {
      summary.key = found->second;
    } else if (keys_.size() < kKeysMax) {
      summary.key = static_cast<std::uint32_t>(keys_.size());
      keys_.push_back(keys[0]);
      key_numbers_.emplace(std::move(key_text), summary.key);
    }
  }
  if (chunks_.empty() || chunks_.back()->size() == kChunkSize) {
    chunks_.push_back(std::make_shared<Chunk>());
    chunks_.back()->reserve(kChunkSize);
    if (chunks_.size() * kChunkSize > traces_max_ + kChunkSize) chunks_.pop_front();
  }
  chunks_.back()->push_back(summary);
}

Simulation TraceSummaries::simulate(TailSampler& sampler) const {
  std::vector<std::shared_ptr<const Chunk>> chunks;
  std::vector<Recorded> recorded;
  std::vector<std::vector<std::string>> keys;
  {
    const MutexLock lock(mutex_);
    chunks.assign(chunks_.begin(), chunks_.end());
    // The last one is still written to.
    if (!chunks.empty()) chunks.back() = std::make_shared<const Chunk>(*chunks_.back());
    recorded = recorded_;
    keys.assign(keys_.begin(), keys_.end());
  }
  const ConditionSet& conditions = sampler.conditions();
  Simulation out;
  std::vector<Translation> translations(recorded.size());
  for (std::size_t set = 0; set < recorded.size(); ++set) {
    const std::vector<std::string>& texts = recorded[set].conditions;
    for (std::size_t i = 0; i < conditions.size(); ++i) {
      const auto found = std::find(texts.begin(), texts.end(), conditions.text(i));
      translations[set].from.push_back(
          found == texts.end() ? kUnknown : static_cast<std::uint32_t>(found - texts.begin()));
      if (found == texts.end()) translations[set].unknown.set(i);
    }
    translations[set].has_key =
        conditions.key_count() == 1 && conditions.key_text(0) == recorded[set].key;
  }

  std::map<const Policy*, std::uint64_t> deciders;
  ConditionBits unrecorded;
  std::vector<std::vector<std::string>> trace_keys(1);
  Timestamp first = kMaxTimestamp;
  Timestamp last = kMinTimestamp;
  for (const auto& chunk : chunks) {
    for (const JudgedTrace& trace : *chunk) {
      const Translation& translation = translations[trace.policies];
      trace_keys[0] = keys[trace.key];
      TraceFacts facts{.id = trace.id,
                       .randomness = trace.randomness,
                       .start_ns = 0,
                       .end_ns = trace.duration_ns,
                       .span_count = trace.span_count,
                       .byte_count = trace.byte_count,
                       .conditions = translate(trace.conditions, translation),
                       .operation = trace.operation,
                       .keys = trace_keys,
                       .now = trace.decided_at,
                       .draws = {}};
      first = std::min(first, trace.decided_at);
      last = std::max(last, trace.decided_at);
      out.span_count += trace.span_count;
      add_to(out.all, trace, 1);
      if (trace.is_kept) add_to(out.kept_before, trace, 0);
      // What was not asked may have been either way; if that matters, nobody can tell.
      bool is_known = conditions.key_count() == 0 || translation.has_key;
      if (translation.unknown.any()) {
        const bool without = sampler.judge(facts, Voting::kPeek).is_kept;
        TraceFacts with = facts;
        with.conditions |= translation.unknown;
        is_known &= sampler.judge(with, Voting::kPeek).is_kept == without;
        unrecorded |= translation.unknown;
      }
      if (!is_known) {
        add_to(out.unknown, trace, 0);
        continue;
      }
      const TailSampler::Verdict verdict = sampler.judge(facts, Voting::kCharge);
      if (!verdict.is_kept) continue;
      const double probability = verdict.is_limited ? 0 : verdict.kept.probability();
      add_to(out.kept_now, trace, probability > 0 ? 1 / probability : 0);
      ++deciders[verdict.decider];
    }
  }
  out.trace_count = out.all.traces;
  out.seconds = last > first ? static_cast<double>((last - first).ms) / 1000 : 0;
  for (const auto& [policy, traces] : deciders) {
    out.by_policy.push_back({policy ? policy->name() : "", traces});
  }
  std::sort(out.by_policy.begin(), out.by_policy.end(),
            [](const auto& a, const auto& b) { return a.traces > b.traces; });
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    if (unrecorded[i]) out.unrecorded.push_back(conditions.text(i));
  }
  return out;
}

std::size_t TraceSummaries::size() const {
  const MutexLock lock(mutex_);
  return chunks_.empty() ? 0 : (chunks_.size() - 1) * kChunkSize + chunks_.back()->size();
}

std::size_t TraceSummaries::memory_bytes() const {
  const MutexLock lock(mutex_);
  return chunks_.size() * kChunkSize * sizeof(JudgedTrace);
}

}  // namespace tarsier::tracing
