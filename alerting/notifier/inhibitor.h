#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "alerting/alert.h"
#include "alerting/notifier_config.h"
#include "base/time.h"

namespace tarsier::alerting {

/// Which alerts mute which others: the inhibition rules over the alerts of one moment. Borrows
/// rules and alerts; made anew when either changes.
class Inhibitor final {
 public:
  Inhibitor(const std::vector<InhibitRule>& rules, const std::map<Fingerprint, Alert>& alerts);

  /// The firing alerts that mute one with these labels; empty when none does.
  std::vector<Fingerprint> inhibitors(const tsdb::Labels& labels, Timestamp now) const;

 private:
  struct Source {
    Fingerprint fingerprint;
    Timestamp ends_at;
    bool is_target_too = false;
  };
  struct Index {
    const InhibitRule* rule;
    std::map<std::string, std::vector<Source>> by_equal;  // By the values of the equal labels.
  };
  std::vector<Index> indexes_;
};

}  // namespace tarsier::alerting
