#include "alerting/alert.h"

#include <charconv>

#include <fmt/format.h>

namespace tarsier::alerting {
namespace {

constexpr std::uint64_t kFnvOffset = 14695981039346656037u;
constexpr std::uint64_t kFnvPrime = 1099511628211u;

void mix(std::uint64_t& hash, std::string_view text) {
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= kFnvPrime;
  }
  hash ^= 0xFF;  // No UTF-8 text holds this byte: it separates.
  hash *= kFnvPrime;
}

}  // namespace

std::string_view alert_state_name(AlertState state) {
  switch (state) {
    case AlertState::kInactive: return "inactive";
    case AlertState::kPending: return "pending";
    case AlertState::kFiring: return "firing";
  }
  return "inactive";
}

std::string_view resolve_reason_text(ResolveReason reason) {
  switch (reason) {
    case ResolveReason::kNone: return "";
    case ResolveReason::kConditionOver: return "condition over";
    case ResolveReason::kRuleRemoved: return "rule removed";
    case ResolveReason::kDataStopped: return "data stopped";
  }
  return "";
}

std::string Fingerprint::to_string() const { return fmt::format("{:016x}", value); }

Fingerprint fingerprint_of(const tsdb::Labels& labels) {
  Fingerprint out{kFnvOffset};
  for (const tsdb::LabelView& label : labels) {
    mix(out.value, label.name);
    mix(out.value, label.value);
  }
  return out;
}

std::optional<Fingerprint> parse_fingerprint(std::string_view text) {
  Fingerprint out;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out.value, 16);
  if (text.size() != 16 || error != std::errc{} || stop != end) return std::nullopt;
  return out;
}

}  // namespace tarsier::alerting
