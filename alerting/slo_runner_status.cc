// What others ask of objectives.

#include <algorithm>

#include "alerting/slo_entry.h"
#include "alerting/slo_runner.h"

namespace tarsier::alerting {

SloState gravest_state(const SloStatus& status) {
  static constexpr SloState kByGravity[] = {SloState::kBurning, SloState::kNoData,
                                            SloState::kUnknown, SloState::kNoTraffic};
  for (const SloState state : kByGravity) {
    const bool is_there =
        std::any_of(status.groups.begin(), status.groups.end(),
                    [&](const SloGroupStatus& one) { return one.verdicts.state == state; });
    if (is_there) return state;
  }
  return status.groups.empty() ? SloState::kUnknown : SloState::kOk;
}

void SloRunner::publish(const Entry& entry) {
  MutexLock lock(entry.shown->mutex);
  SloStatus& status = entry.shown->status;
  status.slo = entry.slo;
  status.is_ready = entry.is_ready();
  status.last_error = entry.last_error;
  std::size_t count = 0;
  const auto add = [&count](SloStatus& out, const tsdb::Labels& labels, const auto& group,
                            EventCounts cumulative) {
    // In the place of what was there: ten thousand objectives need no new memory at every step.
    if (out.groups.size() <= count) out.groups.emplace_back();
    SloGroupStatus& one = out.groups[count++];
    one.group = labels;
    one.reading = group.reading;
    one.tiers = group.tiers;
    one.verdicts = group.verdicts;
    one.cumulative = cumulative;
  };
  if (entry.counter) {
    for (const auto& [labels, group] : entry.counter->groups()) {
      // A group that has not been judged yet has nothing to show.
      if (!group->is_ready() || group->reading.windows.empty()) continue;
      const std::int64_t step = options_.clock.step_of(group->reading.t);
      add(status, labels, *group, group->at(step).value_or(EventCounts{}));
    }
  } else {
    for (const auto& [labels, group] : entry.ratios->groups()) add(status, labels, group, {});
  }
  if (entry.absence) add(status, {}, *entry.absence, {});
  status.groups.resize(count);
  status.alerts.clear();
  for (const auto& [labels, alert] : entry.alerts.records()) {
    if (alert.state != AlertState::kInactive) status.alerts.push_back(alert);
  }
}

void SloRunner::publish_all() {
  std::map<std::string, std::shared_ptr<const Shown>, std::less<>> all;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    publish(*entry);
    all[entry->slo->id()] = entry->shown;
  }
  {
    MutexLock lock(mutex_);
    published_.swap(all);
  }
  count_states();
}

void SloRunner::count_states() {
  std::array<std::uint64_t, kSloStates> counts{};
  for (const std::unique_ptr<Entry>& entry : entries_) {
    MutexLock lock(entry->shown->mutex);
    ++counts[static_cast<std::size_t>(gravest_state(entry->shown->status))];
  }
  for (std::size_t i = 0; i < kSloStates; ++i) objectives_by_state_[i] = counts[i];
}

std::vector<std::pair<std::string, Severity>> SloRunner::burning_services() const {
  std::map<std::string, Severity> out;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    const std::string& service = entry->slo->definition().service;
    if (service.empty() || entry->alerts.empty()) continue;
    const auto add = [&](const Verdicts& verdicts) {
      for (const Severity severity : {Severity::kPage, Severity::kTicket}) {
        if (!verdicts.of(severity).is_active) continue;
        const auto known = out.emplace(service, severity).first;
        known->second = std::min(known->second, severity);
      }
    };
    if (entry->counter) {
      for (const auto& [labels, group] : entry->counter->groups()) add(group->verdicts);
    } else {
      for (const auto& [labels, group] : entry->ratios->groups()) add(group.verdicts);
    }
  }
  return {out.begin(), out.end()};
}

std::vector<std::shared_ptr<const SloStatus>> SloRunner::status() const {
  std::vector<std::shared_ptr<const Shown>> all;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, shown] : published_) all.push_back(shown);
  }
  std::vector<std::shared_ptr<const SloStatus>> out;
  out.reserve(all.size());
  for (const std::shared_ptr<const Shown>& shown : all) {
    MutexLock lock(shown->mutex);
    out.push_back(std::make_shared<const SloStatus>(shown->status));
  }
  return out;
}

std::shared_ptr<const SloStatus> SloRunner::find(std::string_view id) const {
  std::shared_ptr<const Shown> shown;
  {
    MutexLock lock(mutex_);
    const auto found = published_.find(id);
    if (found == published_.end()) return nullptr;
    shown = found->second;
  }
  MutexLock lock(shown->mutex);
  return std::make_shared<const SloStatus>(shown->status);
}

void SloRunner::collect(MetricWriter& out) const {
  std::uint64_t count = 0;
  for (const SloState state : {SloState::kOk, SloState::kBurning, SloState::kNoTraffic,
                               SloState::kNoData, SloState::kUnknown}) {
    const std::uint64_t here = objectives_by_state_[static_cast<std::size_t>(state)].load();
    count += here;
    out.gauge("tarsier_slo_objectives_by_state", "Objectives by the gravest state of their groups.",
              static_cast<double>(here), {{"state", slo_state_name(state)}});
  }
  out.gauge("tarsier_slo_objectives", "Objectives that are configured.",
            static_cast<double>(count));
  out.gauge("tarsier_slo_followed_series", "Series whose samples are counted for objectives.",
            static_cast<double>(series_count_.load()));
  out.counter("tarsier_slo_evaluations_total", "Evaluations of all objectives.",
              static_cast<double>(evaluations_.load()));
  out.counter("tarsier_slo_evaluation_failures_total",
              "Objectives, series or notifications that failed.",
              static_cast<double>(failures_.load()));
  out.counter("tarsier_slo_recounts_total",
              "Objectives counted anew from stored samples: new ones, and after late samples.",
              static_cast<double>(recounts_.load()));
  out.gauge("tarsier_slo_evaluation_seconds", "How long the last evaluation took.",
            evaluation_seconds_.load());
  if (doors_.history != nullptr) {
    out.gauge("tarsier_slo_history_bytes", "Size of the files of counted events.",
              static_cast<double>(doors_.history->size_bytes()));
  }
}

}  // namespace tarsier::alerting
