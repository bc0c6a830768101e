#include "server/flags.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/posix_file.h"
#include "base/quote.h"
#include "server/config_reader.h"

namespace tarsier::server {
namespace {

enum class Kind : unsigned char {
  kText,
  kList,
  kSwitch,
  kDuration,
  kNumber,
  kBytes,
  kChoice,
  kDurationOrNever
};
enum class Use : unsigned char {
  kActive,
  kIdle,     ///< Taken without a word: it changes nothing that users could notice.
  kIgnored,  ///< Taken with a warning when it is set.
};

struct Spec {
  std::string_view name;
  Kind kind;
  std::string_view default_value;
  Use use;
  std::string_view help;  ///< A choice's help begins with its choices: "a|b: help".
};

constexpr Kind kText = Kind::kText;
constexpr Kind kList = Kind::kList;
constexpr Kind kSwitch = Kind::kSwitch;
constexpr Kind kTime = Kind::kDuration;
constexpr Kind kNumber = Kind::kNumber;
constexpr Kind kBytes = Kind::kBytes;
constexpr Kind kChoice = Kind::kChoice;
constexpr Kind kTimeOrNever = Kind::kDurationOrNever;
constexpr Use kActive = Use::kActive;
constexpr Use kIdle = Use::kIdle;
constexpr Use kIgnored = Use::kIgnored;

constexpr Spec kSpecs[] = {
    {"config.file", kText, "prometheus.yml", kActive, "Configuration file."},
    {"config.tarsier-file", kText, "", kIgnored, ""},
    {"config.auto-reload", kSwitch, "false", kIgnored, ""},
    {"config.auto-reload-interval", kTime, "30s", kIdle, ""},
    {"web.listen-address", kList, "0.0.0.0:9090", kActive, "Where to listen. Repeatable."},
    {"web.config.file", kText, "", kActive,
     "TLS, client certificates and users of every listener."},
    {"web.read-timeout", kTime, "5m", kActive,
     "Longest time to read a request, and to wait for one."},
    {"web.max-connections", kNumber, "512", kActive, "Connections at a time."},
    {"web.max-notifications-subscribers", kNumber, "16", kActive,
     "Clients that listen to notifications at a time."},
    {"web.external-url", kText, "", kActive, "Under which URL users reach this server."},
    {"web.route-prefix", kText, "", kActive,
     "Prefix of every path; default: that of the external URL."},
    {"web.user-assets", kText, "", kIgnored, ""},
    {"web.enable-lifecycle", kSwitch, "false", kActive, "Allow POST /-/reload and /-/quit."},
    {"web.enable-admin-api", kSwitch, "false", kActive,
     "Allow deleting series and making snapshots through the API."},
    {"web.enable-remote-write-receiver", kSwitch, "true", kActive, "Take remote writes."},
    {"web.remote-write-receiver.accepted-protobuf-messages", kList, "prometheus.WriteRequest",
     kIdle, ""},
    {"web.enable-otlp-receiver", kSwitch, "true", kActive,
     "Receive OTLP metrics on /api/v1/otlp/v1/metrics."},
    {"web.enable-influx-receiver", kSwitch, "true", kActive,
     "Take InfluxDB's line protocol on /write and /api/v2/write."},
    {"web.enable-import-receiver", kSwitch, "true", kActive,
     "Take VictoriaMetrics' exports and Prometheus text on /api/v1/import."},
    {"web.enable-pushgateway", kSwitch, "true", kActive,
     "Take what jobs push, as a Pushgateway, on /metrics/job."},
    {"web.console.templates", kText, "consoles", kIdle, ""},
    {"web.console.libraries", kText, "console_libraries", kIdle, ""},
    {"web.page-title", kText, "Tarsier", kActive, "Title of the landing page."},
    {"web.cors.origin", kText, ".*", kActive, "Origins that browsers may ask from, a regex."},
    {"web.search.max-limit", kNumber, "10000", kActive,
     "Largest limit a request to the search API may give; 0: any."},
    {"storage.tsdb.path", kText, "data/", kActive, "Data directory."},
    {"storage.tsdb.retention.time", kTime, "0s", kActive, "Keep samples this long; default 15d."},
    {"storage.tsdb.retention.size", kBytes, "0B", kActive,
     "Keep at most this much; default: no limit."},
    {"storage.tsdb.no-lockfile", kSwitch, "false", kIgnored, ""},
    {"storage.tsdb.head-chunks-write-queue-size", kNumber, "0", kIdle, ""},
    {"storage.tsdb.delay-compact-file.path", kText, "", kActive,
     "Thanos' list of shipped blocks; others are not compacted or sealed."},
    {"storage.tsdb.min-block-duration", kTime, "2h", kActive,
     "Length of the blocks cut from the head; other than 2h for tests only."},
    {"storage.tsdb.max-block-duration", kTime, "0s", kActive,
     "Longest block compaction makes; default a tenth of the retention."},
    {"storage.tsdb.max-block-chunk-segment-size", kBytes, "0B", kIdle, ""},
    {"storage.tsdb.wal-segment-size", kBytes, "0B", kIdle, ""},
    {"storage.tsdb.wal-compression", kSwitch, "true", kActive, "Compress the log."},
    {"storage.tsdb.wal-compression-type", kChoice, "snappy", kActive,
     "snappy|zstd: How. Prometheus before 2.46 does not read zstd."},
    {"storage.tsdb.allow-overlapping-compaction", kSwitch, "true", kIdle, ""},
    {"storage.tsdb.samples-per-chunk", kNumber, "120", kIdle, ""},
    {"storage.tsdb.block-reload-interval", kTime, "1m", kIdle, ""},
    {"storage.tsdb.delayed-compaction.max-percent", kNumber, "10", kIdle, ""},
    {"storage.wal-sync", kChoice, "commit", kActive,
     "commit|interval|none: When an acknowledged write is on disk."},
    {"storage.head-series-max", kNumber, "0", kActive,
     "Refuse series beyond this many; 0: no limit."},
    {"storage.seal-after", kTimeOrNever, "24h", kActive,
     "Seal blocks this much older than the newest sample; never: none."},
    {"storage.maintenance-percent", kNumber, "75", kActive,
     "Share of a core's time that work on blocks may take."},
    {"storage.memory-limit", kBytes, "0B", kActive,
     "Memory of the process; default 75 % of cgroup limit or RAM."},
    {"storage.traces.path", kText, "", kActive,
     "Where traces are kept; default tarsier/traces in the data directory."},
    {"storage.remote.flush-deadline", kTime, "1m", kIdle, ""},
    {"storage.remote.read-sample-limit", kNumber, "50000000", kActive,
     "Samples of one remote read that asks for samples; 0: no limit."},
    {"storage.remote.read-concurrent-limit", kNumber, "10", kActive,
     "Remote reads at a time; others wait. 0: no limit."},
    {"storage.remote.read-max-bytes-in-frame", kNumber, "1048576", kActive,
     "Bytes of one frame of a streamed remote read."},
    {"otlp.grpc-address", kText, "", kActive,
     "Where OTLP/gRPC listens; default port 4317 of that host; empty: nowhere."},
    {"otlp.http-address", kText, "", kActive,
     "Where OTLP/HTTP listens; default port 4318 of that host; empty: nowhere."},
    {"rules.alert.for-outage-tolerance", kTime, "1h", kActive,
     "Longest outage after which a pending alert's wait is resumed."},
    {"rules.alert.for-grace-period", kTime, "10m", kActive,
     "Least time between a restore from series and firing."},
    {"rules.alert.resend-delay", kTime, "1m", kActive,
     "Least time between two notifications of one alert."},
    {"rules.alert.history-retention", kTime, "90d", kActive,
     "How long what happened to alerts is kept, at most 64 MiB of it."},
    {"rules.max-concurrent-evals", kNumber, "4", kActive,
     "Rule groups, and independent rules, evaluated at a time."},
    {"alertmanager.notification-queue-capacity", kNumber, "10000", kActive,
     "Alerts that may wait for one Alertmanager."},
    {"alertmanager.notification-batch-size", kNumber, "256", kActive,
     "Alerts in one request to an Alertmanager."},
    {"alertmanager.drain-notification-queue-on-shutdown", kSwitch, "true", kActive,
     "Send what waits before ending."},
    {"query.lookback-delta", kTime, "5m", kActive, "How old a sample may be and still count."},
    {"query.timeout", kTime, "2m", kActive, "Longest time a query may take."},
    {"query.max-concurrency", kNumber, "20", kActive, "Queries at a time."},
    {"query.log-file", kText, "", kActive,
     "Write every finished query to this file; global.query_log_file goes first."},
    {"query.result-cache-size", kBytes, "64MB", kActive,
     "Memory for answers repeated range queries start from; 0: off."},
    {"query.max-memory", kBytes, "0B", kActive,
     "Memory of all queries; default 15 % of a set limit, or 25 % of RAM."},
    {"query.max-memory-per-query", kBytes, "0B", kActive,
     "Memory one query may hold; default half of what all may."},
    {"query.max-samples", kNumber, "50000000", kActive, "Samples one query may hold."},
    {"enable-feature", kList, "", kActive, "Such as promql-experimental-functions. Repeatable."},
    {"agent", kSwitch, "false", kActive,
     "Scrape, receive and forward (remote_write); no queries, no history."},
    {"storage.agent.path", kText, "data-agent/", kActive, "Data directory of an agent."},
    {"storage.agent.wal-segment-size", kBytes, "0B", kIdle, ""},
    {"storage.agent.wal-compression", kSwitch, "true", kActive, "Compress an agent's log."},
    {"storage.agent.wal-compression-type", kChoice, "snappy", kActive, "snappy|zstd: How."},
    {"storage.agent.wal-truncate-frequency", kTime, "2h", kIdle, ""},
    {"storage.agent.retention.min-time", kTime, "5m", kActive,
     "An agent takes samples this much older than its newest."},
    {"storage.agent.retention.max-time", kTime, "4h", kIdle, ""},
    {"storage.agent.no-lockfile", kSwitch, "false", kIgnored, ""},
    {"scrape.discovery-reload-interval", kTime, "5s", kIdle, ""},
    {"scrape.adjust-timestamps", kSwitch, "true", kIdle, ""},
    {"scrape.timestamp-tolerance", kTime, "2ms", kIdle, ""},
    {"auto-gomaxprocs", kSwitch, "true", kIdle, ""},
    {"auto-gomemlimit", kSwitch, "true", kIdle, ""},
    {"auto-gomemlimit.ratio", kText, "0.9", kIdle, ""},
    {"auto-gomemlimit.refresh-interval", kTime, "0s", kIdle, ""},
    {"web.ui-dir", kText, "", kIgnored, ""},
    {"log.level", kChoice, "info", kActive, "debug|info|warn|error: Least important lines to log."},
    {"log.format", kChoice, "logfmt", kActive, "logfmt|json: Form of log lines."},
};

const Spec* find_spec(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kSpecs), std::end(kSpecs),
                                         [&](const Spec& spec) { return spec.name == name; });
  return found == std::end(kSpecs) ? nullptr : found;
}

std::optional<bool> parse_switch(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::string_view choices_of(const Spec& spec) { return spec.help.substr(0, spec.help.find(':')); }

bool is_choice(const Spec& spec, std::string_view value) {
  for (std::string_view rest = choices_of(spec); !rest.empty();) {
    const std::size_t size = std::min(rest.find('|'), rest.size());
    if (rest.substr(0, size) == value) return true;
    rest.remove_prefix(std::min(size + 1, rest.size()));
  }
  return false;
}

Status check_value(const Spec& spec, std::string_view value) {
  const auto wrong = [&](std::string_view why) {
    return invalid(fmt::format("invalid value {} for --{}: {}", quote(value), spec.name, why));
  };
  switch (spec.kind) {
    case Kind::kText:
    case Kind::kList: return {};
    case Kind::kSwitch: return parse_switch(value) ? Status() : wrong("want true or false");
    case Kind::kNumber: return parse_number(value) ? Status() : wrong("want a whole number");
    case Kind::kChoice:
      return is_choice(spec, value) ? Status()
                                    : wrong(fmt::format("want one of {}", choices_of(spec)));
    case Kind::kDurationOrNever:
      if (value == "never") return {};
      [[fallthrough]];
    case Kind::kDuration: {
      const Result<Duration> parsed = parse_duration(value);
      return parsed.ok() ? Status() : wrong(parsed.status().message());
    }
    case Kind::kBytes: {
      const Result<std::uint64_t> parsed = parse_bytes(value);
      return parsed.ok() ? Status() : wrong(parsed.status().message());
    }
  }
  return {};
}

const Spec& spec_of(std::string_view name, std::initializer_list<Kind> kinds) {
  const Spec* spec = find_spec(name);
  CHECK(spec && std::find(kinds.begin(), kinds.end(), spec->kind) != kinds.end(),
        std::string(name));
  return *spec;
}

}  // namespace

Flags::Flags() {
  for (const Spec& spec : kSpecs) {
    std::vector<std::string>& values = values_[std::string(spec.name)];
    if (spec.kind != Kind::kList || !spec.default_value.empty()) {
      values.emplace_back(spec.default_value);
    }
  }
}

Status Flags::set(std::string_view name, std::string_view value) {
  const Spec& spec = *find_spec(name);
  TRY(check_value(spec, value));
  std::vector<std::string>& values = values_.find(name)->second;
  const bool is_first = !std::exchange(is_set_[std::string(name)], true);
  if (is_first || spec.kind != Kind::kList) values.clear();
  values.emplace_back(value);
  if (is_first && spec.use == Use::kIgnored && value != spec.default_value) {
    warnings_.push_back(fmt::format("--{} has no effect in this version", name));
  }
  return {};
}

Result<Flags> Flags::parse(std::span<const std::string> arguments) {
  Flags flags;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--") || argument.size() == 2) {
      return invalid(fmt::format("unexpected {}", argument));
    }
    const std::size_t equals = std::min(argument.find('='), argument.size());
    std::string name = argument.substr(2, equals - 2);
    const bool has_value = equals < argument.size();
    const Spec* spec = find_spec(name);
    bool is_negated = false;
    if (!spec && name.starts_with("no-") && !has_value) {
      name.erase(0, 3);
      spec = find_spec(name);
      is_negated = true;
    }
    if (!spec || (is_negated && spec->kind != Kind::kSwitch)) {
      return invalid(fmt::format("unknown long flag '{}'", argument.substr(0, equals)));
    }
    if (has_value) {
      TRY(flags.set(name, std::string_view(argument).substr(equals + 1)));
    } else if (spec->kind == Kind::kSwitch) {
      TRY(flags.set(name, is_negated ? "false" : "true"));
    } else if (i + 1 < arguments.size()) {
      TRY(flags.set(name, arguments[++i]));
    } else {
      return invalid(fmt::format("expected argument for flag '--{}'", name));
    }
  }
  return flags;
}

bool Flags::is_set(std::string_view name) const {
  CHECK(find_spec(name), std::string(name));
  return is_set_.contains(name);
}

const std::string& Flags::text(std::string_view name) const {
  spec_of(name, {Kind::kText, Kind::kChoice, Kind::kDurationOrNever});
  return values_.find(name)->second.at(0);
}

const std::vector<std::string>& Flags::list(std::string_view name) const {
  spec_of(name, {Kind::kList});
  return values_.find(name)->second;
}

bool Flags::is_on(std::string_view name) const {
  spec_of(name, {Kind::kSwitch});
  return *parse_switch(values_.find(name)->second.at(0));
}

Duration Flags::duration(std::string_view name) const {
  spec_of(name, {Kind::kDuration});
  return *parse_duration(values_.find(name)->second.at(0));
}

std::uint64_t Flags::number(std::string_view name) const {
  spec_of(name, {Kind::kNumber});
  return *parse_number(values_.find(name)->second.at(0));
}

std::uint64_t Flags::bytes(std::string_view name) const {
  spec_of(name, {Kind::kBytes});
  return *parse_bytes(values_.find(name)->second.at(0));
}

std::map<std::string, std::string> Flags::all() const {
  std::map<std::string, std::string> out;
  for (const auto& [name, values] : values_) {
    out.emplace(name, fmt::format("{}", fmt::join(values, ",")));
  }
  return out;
}

std::string Flags::help() {
  std::string out;
  for (const Spec& spec : kSpecs) {
    if (spec.use != Use::kActive) continue;
    std::string_view help = spec.help;
    std::string left = fmt::format("  --{}", spec.name);
    if (spec.kind == Kind::kChoice) {
      left += fmt::format("={}", choices_of(spec));
      help.remove_prefix(std::min(help.find(':') + 2, help.size()));
    }
    out += left.size() < 36 ? fmt::format("{:<36}{}", left, help)
                            : fmt::format("{}\n{:36}{}", left, "", help);
    const bool is_plain = spec.default_value.empty() || spec.default_value.starts_with('0') ||
                          spec.kind == Kind::kSwitch;
    if (!is_plain || spec.name == "web.listen-address") {
      out += fmt::format(" [{}]", spec.default_value);
    }
    out += '\n';
  }
  return out;
}

Result<std::vector<std::string>> expand_argument_files(std::span<const std::string> arguments) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  std::vector<std::string> out;
  for (const std::string& argument : arguments) {
    if (!argument.starts_with('@')) {
      out.push_back(argument);
      continue;
    }
    const std::string text = TRY(read_file(*files, argument.substr(1), 1 << 20));
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t size = std::min(rest.find('\n'), rest.size());
      if (size > 0) out.emplace_back(rest.substr(0, size));
      rest.remove_prefix(std::min(size + 1, rest.size()));
    }
  }
  return out;
}

}  // namespace tarsier::server
