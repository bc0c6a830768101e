#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"

namespace tarsier::alerting {

enum class SilenceState : unsigned char { kExpired, kActive, kPending };
/// "expired", "active", "pending".
std::string_view silence_state_name(SilenceState state);

/// Mutes every alert that all its matchers match, for a while.
struct Silence {
  std::string id;  ///< A UUID.
  std::vector<tsdb::Matcher> matchers;
  Timestamp starts_at;
  Timestamp ends_at;
  Timestamp updated_at;
  std::string created_by;
  std::string comment;

  SilenceState state_at(Timestamp now) const;
  bool matches(const tsdb::Labels& labels) const;
  bool operator==(const Silence&) const = default;
};

}  // namespace tarsier::alerting
