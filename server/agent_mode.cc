#include "server/agent_mode.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/api.h"

namespace tarsier::server {
namespace {

constexpr std::array<std::string_view, 6> kAgentFlags = {"storage.agent.path",
                                                         "storage.agent.wal-segment-size",
                                                         "storage.agent.wal-compression",
                                                         "storage.agent.wal-compression-type",
                                                         "storage.agent.retention.min-time",
                                                         "storage.agent.retention.max-time"};

constexpr std::array<std::string_view, 14> kServerFlags = {"storage.tsdb.path",
                                                           "storage.tsdb.retention.time",
                                                           "storage.tsdb.retention.size",
                                                           "storage.tsdb.min-block-duration",
                                                           "storage.tsdb.max-block-duration",
                                                           "storage.remote.read-sample-limit",
                                                           "storage.remote.read-concurrent-limit",
                                                           "storage.remote.read-max-bytes-in-frame",
                                                           "rules.alert.for-outage-tolerance",
                                                           "rules.alert.for-grace-period",
                                                           "rules.alert.resend-delay",
                                                           "query.timeout",
                                                           "query.max-concurrency",
                                                           "query.max-samples"};

constexpr std::array<std::string_view, 13> kRefusedPrefixes = {
    "/api/v1/query",         "/api/v1/series", "/api/v1/label", "/api/v1/read",
    "/api/v1/alertmanagers", "/api/v1/alerts", "/api/v1/rules", "/api/v1/status/tsdb",
    "/api/v1/admin/tsdb",    "/api/v1/search", "/federate",     "/api/tarsier/v1/explain",
    "/api/tarsier/v1/alerts"};

template <std::size_t n>
std::vector<std::string> flags_that_are_set(const Flags& flags,
                                            const std::array<std::string_view, n>& names) {
  std::vector<std::string> out;
  for (const std::string_view name : names) {
    if (flags.is_set(name)) out.push_back(fmt::format("\"--{}\"", name));
  }
  return out;
}

}  // namespace

bool is_agent(const Flags& flags) { return flags.is_on("agent"); }

const std::string& data_path(const Flags& flags) {
  return flags.text(is_agent(flags) ? "storage.agent.path" : "storage.tsdb.path");
}

Status check_mode_flags(const Flags& flags) {
  if (is_agent(flags)) {
    const std::vector<std::string> wrong = flags_that_are_set(flags, kServerFlags);
    if (wrong.empty()) return {};
    return invalid(fmt::format("The following flag(s) can not be used in agent mode: [{}]",
                               fmt::join(wrong, " ")));
  }
  const std::vector<std::string> wrong = flags_that_are_set(flags, kAgentFlags);
  if (wrong.empty()) return {};
  return invalid(fmt::format("The following flag(s) can only be used in agent mode: [{}]",
                             fmt::join(wrong, " ")));
}

tsdb::Options agent_storage_options(const Flags& flags, tsdb::Options options) {
  if (!flags.is_on("storage.agent.wal-compression")) {
    options.wal_compression = tsdb::WalCompression::kNone;
  } else if (flags.text("storage.agent.wal-compression-type") == "zstd") {
    options.wal_compression = tsdb::WalCompression::kZstd;
  }
  // Samples up to half a range old are taken.
  options.block_range =
      std::max(Duration{2 * flags.duration("storage.agent.retention.min-time").ms}, minutes(10));
  options.block_range_max = options.block_range;
  options.retention = minutes(1);
  options.retention_bytes = 0;
  return options;
}

bool is_refused_by_agent(std::string_view path) {
  return std::any_of(kRefusedPrefixes.begin(), kRefusedPrefixes.end(),
                     [&](std::string_view prefix) { return path.starts_with(prefix); });
}

HttpResponse agent_refusal() {
  return api_error(ApiErrorType::kExecution, "unavailable with Prometheus Agent");
}

}  // namespace tarsier::server
