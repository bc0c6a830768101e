#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/time.h"
#include "tsdb/db.h"
#include "tsdb/opening.h"

namespace tarsier::server {

class Flags;

// Answers of /api/v1/status/* that are functions of what they show. Any number of threads.

struct RuntimeInfo {
  Timestamp start_time;
  Timestamp now;
  Timestamp config_time;
  bool config_is_good = true;
  std::string storage_retention;  ///< `15d or 512MiB`.
};

HttpResponse build_info_response();
/// The same without the envelope: /version.
HttpResponse version_response();
HttpResponse runtime_info_response(const RuntimeInfo& info);
/// `yaml` as render_config() gave it.
HttpResponse config_response(const std::string& yaml);
/// `longest_block` is what is in force where no flag says it; 0 shows the flag.
HttpResponse flags_response(const Flags& flags, Duration longest_block = {});
/// Reads the parameter `limit` and asks for that many.
HttpResponse head_statistics_response(
    const HttpRequest& request, const std::function<tsdb::HeadStatistics(std::size_t)>& statistics);
/// How far the log is replayed.
HttpResponse replay_response(const tsdb::Opening::Segments& segments);
HttpResponse blocks_response(const std::vector<tsdb::BlockSummary>& blocks);

/// `15d or 512MiB`, as runtimeinfo says it.
std::string describe_retention(Duration time, std::uint64_t bytes);

}  // namespace tarsier::server
