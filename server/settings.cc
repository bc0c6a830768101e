#include "server/settings.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

#include "base/duration.h"
#include "server/agent_mode.h"
#include "server/feature_flags.h"
#include "server/memory_guard.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

/// "/p/" and "p" are "/p", "/" is "".
std::string normalized_prefix(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.empty() ? "" : "/" + std::string(path);
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::string port_of(const std::string& address) { return address.substr(address.rfind(':') + 1); }

std::string loopback_of(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  const bool is_everywhere = host.empty() || host == "0.0.0.0" || host == "[::]";
  return is_everywhere ? "127.0.0.1:" + port_of(address) : address;
}

Result<ExternalUrl> external_url(const Flags& flags, const std::string& port) {
  ExternalUrl out;
  std::string path;
  if (const std::string& text = flags.text("web.external-url"); !text.empty()) {
    Result<Url> url = parse_url(text.find("://") == std::string::npos ? "http://" + text : text);
    if (!url.ok()) return std::move(url).status().with_prefix("--web.external-url");
    out.scheme = url->scheme;
    out.authority = url->authority();
    path = url->target.substr(0, url->target.find('?'));
  } else {
    out.authority = fmt::format("{}:{}", host_name(), port);
  }
  out.path = normalized_prefix(path);
  if (flags.is_set("web.route-prefix")) path = flags.text("web.route-prefix");
  out.prefix = normalized_prefix(path);
  if (flags.text("web.external-url").empty()) out.path = out.prefix;
  return out;
}

namespace {

constexpr std::string_view kMemoryLimitFlag = "storage.memory-limit";
/// Shares of that limit, where nothing else is said. The head has 70 (tsdb/options.h); what is left
/// is for the caches of the doors, the log and the process itself.
constexpr std::uint64_t kQueryPercent = 15;
constexpr std::uint64_t kResultCachePercent = 3;

/// Whether somebody set a limit.
bool has_memory_limit(const Flags& flags) {
  return flags.is_set(kMemoryLimitFlag) && flags.bytes(kMemoryLimitFlag) > 0;
}

Result<Config> read_config_file(const Flags& flags, FileSystem& files, const std::string& path) {
  const std::string prefix =
      fmt::format("couldn't load configuration (--config.file=\"{}\")", path);
  Result<std::string> text = read_file(files, path, kConfigBytesMax);
  if (!text.ok()) return not_found(prefix + ": " + text.status().message());
  Result<Config> config =
      parse_config(*text, {.file = path,
                           .files = &files,
                           .environment = environment_variable,
                           .prefers_protobuf = has_feature(flags, kStartZeroesFeature),
                           .is_agent = is_agent(flags)});
  if (!config.ok()) return invalid(prefix + ": " + config.status().message());
  return config;
}

}  // namespace

Result<Config> load_config(const Flags& flags, FileSystem& files, const std::string& own_address) {
  const bool adds_up = has_feature(flags, kAddUpDeltasFeature);
  const bool stores = has_feature(flags, kStoreDeltasFeature);
  if (adds_up && stores) {
    return invalid(fmt::format("--enable-feature: {} and {} exclude each other",
                               kAddUpDeltasFeature, kStoreDeltasFeature));
  }
  const std::string& path = flags.text("config.file");
  const bool has_file = flags.is_set("config.file") || files.exists(path);
  Config config =
      has_file ? TRY(read_config_file(flags, files, path)) : default_config(own_address);
  if (adds_up) config.otlp.delta = ingest::OtlpDelta::kAccumulate;
  if (stores) config.otlp.delta = ingest::OtlpDelta::kStore;
  return config;
}

HttpServerOptions http_server_options(const Flags& flags) {
  HttpServerOptions options;
  options.listen_addresses = flags.list("web.listen-address");
  options.connection_count_max = flags.number("web.max-connections");
  options.idle_timeout = flags.duration("web.read-timeout");
  options.body_timeout = flags.duration("web.read-timeout");
  options.header_timeout = std::min(options.header_timeout, options.body_timeout);
  return options;
}

tsdb::Options storage_options(const Flags& flags, const StorageConfig& config) {
  tsdb::Options options;
  const bool has_time = config.retention_time || flags.is_set("storage.tsdb.retention.time");
  const bool has_size = config.retention_bytes || flags.is_set("storage.tsdb.retention.size");
  // 15 days are the default only when nothing is said at all.
  if (has_time || has_size) {
    options.retention =
        config.retention_time.value_or(flags.duration("storage.tsdb.retention.time"));
    options.retention_bytes =
        config.retention_bytes.value_or(flags.bytes("storage.tsdb.retention.size"));
  }
  options.out_of_order_time_window = config.out_of_order_time_window;
  const std::string& sync = flags.text("storage.wal-sync");
  options.wal_sync = sync == "commit"     ? tsdb::WalSync::kCommit
                     : sync == "interval" ? tsdb::WalSync::kInterval
                                          : tsdb::WalSync::kNone;
  if (!flags.is_on("storage.tsdb.wal-compression")) {
    options.wal_compression = tsdb::WalCompression::kNone;
  } else if (flags.text("storage.tsdb.wal-compression-type") == "zstd") {
    options.wal_compression = tsdb::WalCompression::kZstd;
  }
  const std::string& seal_after = flags.text("storage.seal-after");
  options.seal_after =
      seal_after == "never" ? tsdb::kSealNever : parse_duration(seal_after).value();
  apply_tiers(config.tiers, options);
  options.block_range = std::max(flags.duration("storage.tsdb.min-block-duration"), seconds(1));
  const Duration tenth{options.retention.ms > 0 ? options.retention.ms / 10 : days(31).ms};
  options.block_range_max =
      flags.is_set("storage.tsdb.max-block-duration")
          ? flags.duration("storage.tsdb.max-block-duration")
          : std::clamp(tenth, std::min(options.block_range, days(31)), days(31));
  const std::string& shipped = flags.text("storage.tsdb.delay-compact-file.path");
  const bool is_compacting = !flags.is_set("storage.tsdb.max-block-duration") ||
                             options.block_range_max > options.block_range;
  if (!shipped.empty() || !is_compacting) {
    // Equal lengths are how a sidecar has wanted it for years; it is there once it has its list.
    options.shipping = {
        shipped.empty() ? join_path(data_path(flags), tsdb::kShippedListName) : shipped,
        !shipped.empty()};
    // Blocks of series that ended overlap the others, and halt Thanos' compactor.
    options.ended_series_min = SIZE_MAX;
  }
  options.maintenance_percent =
      std::clamp<std::uint64_t>(flags.number("storage.maintenance-percent"), 1, 100);
  options.head_series_max = flags.number("storage.head-series-max");
  options.exemplars_max = static_cast<std::size_t>(config.exemplars_max);
  options.metric_series_max = config.metric_series_max;
  options.label_series_max = config.label_series_max;
  options.memory_limit_bytes = flags.is_set(kMemoryLimitFlag) ? flags.bytes(kMemoryLimitFlag)
                                                              : available_memory_bytes() / 4 * 3;
  return options;
}

std::uint64_t result_cache_bytes(const Flags& flags) {
  const std::uint64_t bytes = flags.bytes("query.result-cache-size");
  if (!has_memory_limit(flags) || flags.is_set("query.result-cache-size")) return bytes;
  return std::min(bytes, flags.bytes(kMemoryLimitFlag) / 100 * kResultCachePercent);
}

query::EngineOptions engine_options(const Flags& flags, const GlobalConfig& config) {
  query::EngineOptions options;
  options.lookback_delta = flags.duration("query.lookback-delta");
  options.subquery_step = config.evaluation_interval;
  options.samples_max = flags.number("query.max-samples");
  options.memory_total_max = flags.bytes("query.max-memory");
  if (options.memory_total_max == 0) {
    options.memory_total_max = has_memory_limit(flags)
                                   ? flags.bytes(kMemoryLimitFlag) / 100 * kQueryPercent
                                   : available_memory_bytes() / 4;
  }
  options.memory_max = flags.bytes("query.max-memory-per-query");
  if (options.memory_max == 0) options.memory_max = options.memory_total_max / 2;
  options.experimental_functions = has_feature(flags, "promql-experimental-functions");
  options.extended_range_selectors = has_feature(flags, "promql-extended-range-selectors");
  options.binary_fill_modifiers = has_feature(flags, "promql-binop-fill-modifiers");
  options.type_and_unit_labels = has_feature(flags, "type-and-unit-labels");
  options.delayed_name_removal = has_feature(flags, "promql-delayed-name-removal");
  return options;
}

query::ApiOptions query_api_options(const Flags& flags) {
  query::ApiOptions options;
  options.timeout = flags.duration("query.timeout");
  options.per_step_stats = has_feature(flags, "promql-per-step-stats");
  return options;
}

}  // namespace tarsier::server
