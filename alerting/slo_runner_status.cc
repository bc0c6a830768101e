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

std::shared_ptr<const SloStatus> SloRunner::status_of(const Entry& entry) const {
  auto status = std::make_shared<SloStatus>();
  status->slo = entry.slo;
  status->is_ready = entry.is_ready();
  status->last_error = entry.last_error;
  const auto add = [&](const tsdb::Labels& labels, const auto& group, EventCounts cumulative) {
    status->groups.push_back({.group = labels,
                              .reading = group.reading,
                              .tiers = group.tiers,
                              .verdicts = group.verdicts,
                              .cumulative = cumulative});
  };
  if (entry.counter) {
    for (const auto& [labels, group] : entry.counter->groups()) {
      // A group that has not been judged yet has nothing to show.
      if (!group->is_ready() || group->reading.windows.empty()) continue;
      const std::int64_t step = options_.clock.step_of(group->reading.t);
      add(labels, *group, group->at(step).value_or(EventCounts{}));
    }
  } else {
    for (const auto& [labels, group] : entry.ratios->groups()) add(labels, group, {});
  }
  if (entry.absence) add({}, *entry.absence, {});
  for (const auto& [labels, alert] : entry.alerts.records()) {
    if (alert.state != AlertState::kInactive) status->alerts.push_back(alert);
  }
  return status;
}

void SloRunner::publish(const Entry& entry) {
  std::shared_ptr<const SloStatus> status = status_of(entry);
  MutexLock lock(mutex_);
  published_[entry.slo->id()].swap(status);  // The former one is freed without the lock.
}

void SloRunner::publish_all() {
  std::map<std::string, std::shared_ptr<const SloStatus>, std::less<>> all;
  for (const std::unique_ptr<Entry>& entry : entries_) all[entry->slo->id()] = status_of(*entry);
  MutexLock lock(mutex_);
  published_.swap(all);
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
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<const SloStatus>> out;
  for (const auto& [id, status] : published_) out.push_back(status);
  return out;
}

std::shared_ptr<const SloStatus> SloRunner::find(std::string_view id) const {
  MutexLock lock(mutex_);
  const auto found = published_.find(id);
  return found == published_.end() ? nullptr : found->second;
}

void SloRunner::collect(MetricWriter& out) const {
  std::map<SloState, std::size_t> by_state;
  for (const std::shared_ptr<const SloStatus>& slo : status()) {
    ++by_state[gravest_state(*slo)];
  }
  std::size_t count = 0;
  for (const SloState state : {SloState::kOk, SloState::kBurning, SloState::kNoTraffic,
                               SloState::kNoData, SloState::kUnknown}) {
    count += by_state[state];
    out.gauge("tarsier_slo_objectives_by_state", "Objectives by the gravest state of their groups.",
              static_cast<double>(by_state[state]), {{"state", slo_state_name(state)}});
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
