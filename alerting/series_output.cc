#include "alerting/series_output.h"

#include <utility>

#include "tsdb/sample.h"

namespace tarsier::alerting {
namespace {

bool is_refusal(tsdb::AppendOutcome outcome) {
  return outcome != tsdb::AppendOutcome::kAppended && outcome != tsdb::AppendOutcome::kIgnored;
}

tsdb::AppendOutcome append_to(tsdb::Appender& appender, tsdb::SeriesRef ref,
                              const OutputSample& sample, Timestamp t) {
  if (!sample.histogram) return appender.append(ref, {.t = t, .v = sample.value});
  return appender.append_float_histogram(ref, t, *sample.histogram);
}

/// Appends to the series `ref` says, or that the labels say when the head no longer knows it.
Result<tsdb::AppendOutcome> append(tsdb::Appender& appender, const OutputSample& sample,
                                   tsdb::SeriesRef& ref, Timestamp t) {
  if (ref.value != 0) {
    const tsdb::AppendOutcome outcome = append_to(appender, ref, sample, t);
    if (outcome != tsdb::AppendOutcome::kUnknownSeries) return outcome;
  }
  ref = TRY(appender.resolve(sample.labels));
  return append_to(appender, ref, sample, t);
}

}  // namespace

std::shared_ptr<const SeriesOutput::Known> SeriesOutput::known() const {
  MutexLock lock(mutex_);
  return known_;
}

void SeriesOutput::publish(Known known) {
  auto next = std::make_shared<const Known>(std::move(known));
  MutexLock lock(mutex_);
  known_.swap(next);
}

SeriesOutput::Report SeriesOutput::write(tsdb::Appender& appender,
                                         const std::vector<OutputSample>& samples, Timestamp t) {
  Report report;
  const std::shared_ptr<const Known> before = known();
  if (samples.empty() && before->empty()) return report;
  const auto refuse = [&](tsdb::AppendOutcome outcome) {
    if (report.refused_count++ == 0) report.first_refusal = tsdb::append_outcome_text(outcome);
  };
  std::vector<tsdb::SeriesRef> refs(samples.size());
  bool is_steady = samples.size() == before->size();  // The same series as last time.
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto known = before->find(samples[i].labels);
    const tsdb::SeriesRef former = known == before->end() ? tsdb::SeriesRef{} : known->second;
    refs[i] = former;
    const Result<tsdb::AppendOutcome> outcome = append(appender, samples[i], refs[i], t);
    if (!outcome.ok()) {
      appender.rollback();
      report.status = outcome.status();
      return report;
    }
    if (is_refusal(*outcome)) refuse(*outcome);
    if (known == before->end() || refs[i] != former) is_steady = false;
  }
  Known now;
  if (!is_steady) {
    for (std::size_t i = 0; i < samples.size(); ++i) now.emplace(samples[i].labels, refs[i]);
    for (const auto& [labels, former] : *before) {
      if (now.contains(labels)) continue;
      report.has_ended = true;
      tsdb::SeriesRef ref = former;
      // A refused marker means that somebody else goes on with the series.
      static_cast<void>(
          append(appender, {.labels = labels, .value = tsdb::stale_marker()}, ref, t));
    }
  }
  report.status = appender.commit().status();
  if (!report.status.ok()) return report;
  for (const tsdb::LateRefusal& refusal : appender.refused_at_commit()) refuse(refusal.outcome);
  if (!is_steady) publish(std::move(now));
  return report;
}

void SeriesOutput::expect(const tsdb::Labels& labels) {
  Known next = *known();
  next.emplace(labels, tsdb::SeriesRef{});
  publish(std::move(next));
}

void SeriesOutput::forget_if(const std::function<bool(const tsdb::Labels&)>& is_others) {
  Known next = *known();
  std::erase_if(next, [&](const auto& entry) { return is_others(entry.first); });
  publish(std::move(next));
}

bool SeriesOutput::has(const tsdb::Labels& labels) const { return known()->contains(labels); }

std::vector<tsdb::Labels> SeriesOutput::series() const {
  std::vector<tsdb::Labels> out;
  for (const auto& [labels, ref] : *known()) out.push_back(labels);
  return out;
}

std::size_t SeriesOutput::size() const { return known()->size(); }

void SeriesOutput::take_over(SeriesOutput& former) {
  Known next = *known();
  for (const auto& [labels, ref] : *former.known()) next.emplace(labels, ref);
  former.publish({});
  publish(std::move(next));
}

}  // namespace tarsier::alerting
