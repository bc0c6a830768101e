#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <tuple>
#include <vector>

#include "alerting/alert.h"
#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// Alerts that wait for somebody, oldest first, at most `capacity` of them. A message about the
/// same moment of an alert's life (its beginning, its end) takes the place of the earlier one. One
/// thread at a time.
class AlertQueue final {
 public:
  struct Entry {
    std::uint64_t number;  ///< Grows from message to message.
    Alert alert;
  };

  explicit AlertQueue(std::size_t capacity) : capacity_(capacity) {}

  /// False: it was full, and the oldest had to go.
  bool add(const Alert& alert);
  /// The oldest ones, at most `count`.
  std::vector<Entry> oldest(std::size_t count) const;
  /// Those with these numbers, as far as nothing has taken their place meanwhile.
  void remove(const std::vector<std::uint64_t>& numbers);

  std::vector<Alert> alerts() const;
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  /// Of the last message that came, there still or not; 0: none ever.
  std::uint64_t last_number() const { return last_number_; }

 private:
  using Key = std::tuple<tsdb::Labels, Timestamp, AlertState>;
  static Key key_of(const Alert& alert) { return {alert.labels, alert.starts_at, alert.state}; }
  void erase(std::uint64_t number);

  const std::size_t capacity_;
  std::deque<Entry> entries_;  ///< Sorted by number.
  std::map<Key, std::uint64_t> numbers_;
  std::uint64_t last_number_ = 0;
};

}  // namespace tarsier::alerting
