#include "alerting/alert_queue.h"

#include <algorithm>

namespace tarsier::alerting {

bool AlertQueue::add(const Alert& alert) {
  const auto [known, is_new] = numbers_.try_emplace(key_of(alert), 0);
  if (!is_new) erase(known->second);
  known->second = ++last_number_;
  entries_.push_back({.number = last_number_, .alert = alert});
  if (entries_.size() <= capacity_) return true;
  numbers_.erase(key_of(entries_.front().alert));
  entries_.pop_front();
  return false;
}

void AlertQueue::erase(std::uint64_t number) {
  const auto entry =
      std::lower_bound(entries_.begin(), entries_.end(), number,
                       [](const Entry& e, std::uint64_t wanted) { return e.number < wanted; });
  if (entry != entries_.end() && entry->number == number) entries_.erase(entry);
}

std::vector<AlertQueue::Entry> AlertQueue::oldest(std::size_t count) const {
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(std::min(count, entries_.size()));
  return {entries_.begin(), end};
}

void AlertQueue::remove(const std::vector<std::uint64_t>& numbers) {
  for (const std::uint64_t number : numbers) {
    const auto entry =
        std::lower_bound(entries_.begin(), entries_.end(), number,
                         [](const Entry& e, std::uint64_t wanted) { return e.number < wanted; });
    if (entry == entries_.end() || entry->number != number) continue;
    numbers_.erase(key_of(entry->alert));
    entries_.erase(entry);
  }
}

std::vector<Alert> AlertQueue::alerts() const {
  std::vector<Alert> out;
  for (const Entry& entry : entries_) out.push_back(entry.alert);
  return out;
}

}  // namespace tarsier::alerting
