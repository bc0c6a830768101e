#include "server/status_api.h"

#include <array>
#include <limits>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "base/api.h"
#include "base/duration.h"
#include "base/rfc3339.h"
#include "server/flags.h"
#include "server/version.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kStatisticsDefault = 10;
constexpr std::size_t kStatisticsMax = 10'000;

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string working_directory() {
  std::array<char, 4096> path{};
  return ::getcwd(path.data(), path.size()) ? path.data() : "";
}

void write_build_info(JsonWriter& json) {
  json.begin_object()
      .field("version", kPrometheusVersion)
      .field("revision", "")
      .field("branch", "")
      .field("buildUser", "")
      .field("buildDate", "")
      .field("goVersion", compiler_version())
      .field("tarsierVersion", version())
      .end_object();
}

void write_entries(JsonWriter& json, std::string_view name,
                   const std::vector<tsdb::HeadStatistics::Entry>& entries) {
  json.key(name).begin_array();
  for (const auto& entry : entries) {
    json.begin_object().field("name", entry.name).field("value", entry.value).end_object();
  }
  json.end_array();
}

Result<std::size_t> statistics_limit(const HttpRequest& request) {
  const std::string_view text = request.parameter("limit").value_or("");
  if (text.empty()) return kStatisticsDefault;
  const Result<std::size_t> limit = parse_api_limit(text);
  if (!limit.ok() || *limit == 0) return invalid("limit must be a positive number");
  if (*limit > kStatisticsMax) return invalid("limit must not exceed 10000");
  return limit;
}

}  // namespace

HttpResponse build_info_response() { return api_success(write_build_info); }

HttpResponse version_response() {
  HttpResponse response;
  JsonWriter json(response.body);
  write_build_info(json);
  return response;
}

HttpResponse runtime_info_response(const RuntimeInfo& info) {
  return api_success([&](JsonWriter& json) {
    json.begin_object()
        .field("startTime", format_rfc3339(info.start_time))
        .field("CWD", working_directory())
        .field("hostname", host_name())
        .field("serverTime", format_rfc3339(info.now))
        .field("reloadConfigSuccess", info.config_is_good)
        .field("lastConfigTime", format_rfc3339(info.config_time))
        .field("corruptionCount", std::int64_t{0})
        // Keys of a Go program, which clients expect to be there.
        .field("goroutineCount", std::int64_t{1})
        .field("GOMAXPROCS", static_cast<std::int64_t>(std::thread::hardware_concurrency()))
        .field("GOMEMLIMIT", std::numeric_limits<std::int64_t>::max())
        .field("GOGC", "")
        .field("GODEBUG", "")
        .field("storageRetention", info.storage_retention)
        .end_object();
  });
}

HttpResponse config_response(const std::string& yaml) {
  return api_success(
      [&](JsonWriter& json) { json.begin_object().field("yaml", yaml).end_object(); });
}

HttpResponse flags_response(const Flags& flags, Duration longest_block) {
  std::map<std::string, std::string> all = flags.all();
  // Thanos compares it with the shortest.
  if (longest_block > Duration{}) {
    all["storage.tsdb.max-block-duration"] = format_duration(longest_block);
  }
  return api_success([&](JsonWriter& json) {
    json.begin_object();
    for (const auto& [name, value] : all) json.field(name, value);
    json.end_object();
  });
}

HttpResponse head_statistics_response(
    const HttpRequest& request,
    const std::function<tsdb::HeadStatistics(std::size_t)>& statistics) {
  const Result<std::size_t> limit = statistics_limit(request);
  if (!limit.ok()) return api_error(limit.status());
  const tsdb::HeadStatistics head = statistics(*limit);
  return api_success([&](JsonWriter& json) {
    json.begin_object().key("headStats").begin_object();
    json.field("numSeries", head.series_count)
        .field("numLabelPairs", head.label_pair_count)
        .field("chunkCount", head.chunk_count)
        .field("minTime", head.min_time.ms)
        .field("maxTime", head.max_time.ms)
        .end_object();
    write_entries(json, "seriesCountByMetricName", head.series_count_by_metric_name);
    write_entries(json, "labelValueCountByLabelName", head.label_value_count_by_label_name);
    write_entries(json, "memoryInBytesByLabelName", head.memory_bytes_by_label_name);
    write_entries(json, "seriesCountByLabelValuePair", head.series_count_by_label_pair);
    // Ours: who grew since yesterday.
    if (head.growth_since != kMaxTimestamp) {
      json.key("growth").begin_object();
      json.field("since", head.growth_since.ms)
          .field("numSeries", head.series_count_before)
          .field("seriesCreated", head.series_created);
      write_entries(json, "seriesCountByMetricName", head.growth_by_metric_name);
      json.end_object();
    }
    json.end_object();
  });
}

HttpResponse replay_response(const tsdb::Opening::Segments& segments) {
  return api_success([&](JsonWriter& json) {
    json.begin_object()
        .field("min", std::uint64_t{segments.first})
        .field("max", std::uint64_t{segments.last})
        .field("current", std::uint64_t{segments.current})
        .end_object();
  });
}

HttpResponse blocks_response(const std::vector<tsdb::BlockSummary>& blocks) {
  return api_success([&](JsonWriter& json) {
    json.begin_object().key("blocks").begin_array();
    for (const tsdb::BlockSummary& block : blocks) {
      json.begin_object().field("ulid", block.ulid);
      json.field("minTime", block.min_time.ms).field("maxTime", block.max_time.ms);
      json.key("stats").begin_object();
      json.field("numSamples", block.sample_count)
          .field("numSeries", block.series_count)
          .field("numChunks", block.chunk_count)
          .end_object();
      json.key("compaction").begin_object().field("level", block.compaction_level).end_object();
      json.field("version", 1).end_object();
    }
    json.end_array().end_object();
  });
}

std::string describe_retention(Duration time, std::uint64_t bytes) {
  std::string out = time.ms > 0 ? format_duration(time) : "";
  if (bytes == 0) return out;
  static constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}{}{}", out, out.empty() ? "" : " or ", bytes, kUnits[unit]);
}

}  // namespace tarsier::server
