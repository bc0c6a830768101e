#include "tests/bench/compare_queries.h"

#include <algorithm>

#include <fmt/format.h>

#include "tests/bench/compare_http.h"

namespace tarsier::bench {
namespace {

using enum Query::Kind;

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size()))
    ++count;
  return count;
}

}  // namespace

const std::vector<Query>& general_queries() {
  static const std::vector<Query> queries = {
      {kRange, R"(node_load1{instance="10.1.0.10:9100"})", 15},
      {kRange, R"(sum by (mode) (rate(node_cpu_seconds_total[5m])))", 60},
      {kRange, R"(1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])))", 60},
      {kRange, R"(node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)", 60},
      {kRange, R"(sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[5m])))",
       60},
      {kRange, R"(rate(node_disk_io_time_seconds_total{instance="10.1.0.10:9100"}[5m]))", 30},
      {kInstant,
       R"(min by (instance, mountpoint) (node_filesystem_avail_bytes / node_filesystem_size_bytes))"},
      {kInstant, R"(predict_linear(node_filesystem_free_bytes[1h], 4 * 3600) < 0)"},
      {kRange, R"(sum by (job, code) (rate(http_requests_total[5m])))", 60},
      {kRange,
       R"(sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m])))",
       60},
      {kRange, R"(sum(rate(http_request_duration_seconds_bucket[5m])))", 60},
      {kRange,
       R"(histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m]))))",
       60},
      {kRange,
       R"(histogram_quantile(0.5, sum by (le) (rate(http_request_duration_seconds_bucket{job="cart"}[5m]))))",
       60},
      {kRange,
       R"(sum by (job) (rate(http_request_duration_seconds_sum[5m])) / sum by (job) (rate(http_request_duration_seconds_count[5m])))",
       60},
      {kInstant, R"(topk(5, rate(http_requests_total[5m])))"},
      {kRange, R"(topk(5, sum by (handler) (rate(http_requests_total[5m]))))", 60},
      {kRange, R"(http_requests_total{code="200",job="cart"})", 60},
      {kInstant, R"(count({__name__=~".*_total",job="node-exporter"}))"},
      {kInstant, R"(count by (job) ({__name__!=""}))"},
      {kRange,
       R"(sum by (node) (rate(container_cpu_usage_seconds_total[5m]) * on (namespace, pod) group_left (pod_ip) kube_pod_info))",
       60},
      {kRange,
       R"(max by (namespace) (quantile_over_time(0.9, container_memory_working_set_bytes[10m])))",
       60},
      {kRange, R"(sum by (namespace) (container_memory_working_set_bytes))", 15},
      {kInstant, R"(sum by (namespace) (increase(kube_pod_container_status_restarts_total[1h])))"},
      {kInstant, R"(sum by (phase) (kube_pod_status_phase))"},
      {kRange, R"(max_over_time(go_goroutines[10m]) > 2 * min_over_time(go_goroutines[10m]))", 300},
      {kLabelValues, "pod"},
  };
  return queries;
}

const std::vector<Query>& long_queries() {
  static const std::vector<Query> queries = {
      {kRange, R"(sum by (mode) (rate(node_cpu_seconds_total[5m])))", 300},
      {kRange, R"(avg by (instance) (node_load5))", 60},
      {kRange, R"(sum by (job) (rate(http_requests_total[10m])))", 300},
      {kRange,
       R"(histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[10m]))))",
       300},
      {kRange, R"(max by (namespace) (max_over_time(container_memory_working_set_bytes[1h])))",
       600},
      {kRange, R"(sum(increase(http_requests_total{code="500"}[1h])))", 600},
      {kRange, R"(avg_over_time(node_memory_MemAvailable_bytes[30m]))", 300},
      {kInstant, R"(sum by (job) (increase(http_requests_total[6h])))"},
      {kInstant, R"(quantile(0.95, avg_over_time(container_memory_rss[6h])))"},
  };
  return queries;
}

std::string query_path(const Query& query, std::int64_t end_seconds, int range_seconds) {
  const std::int64_t start_seconds = end_seconds - range_seconds;
  switch (query.kind) {
    case kInstant:
      return fmt::format("/api/v1/query?query={}&time={}&nocache=1", url_encoded(query.text),
                         end_seconds);
    case kRange:
      return fmt::format("/api/v1/query_range?query={}&start={}&end={}&step={}&nocache=1",
                         url_encoded(query.text), start_seconds, end_seconds, query.step_seconds);
    case kLabelValues:
      return fmt::format("/api/v1/label/{}/values?start={}&end={}", query.text, start_seconds,
                         end_seconds);
  }
  return "";
}

std::size_t result_count(const Query& query, std::string_view answer) {
  if (query.kind != kLabelValues) return count_of(answer, "\"metric\":");
  const std::size_t begin = answer.find("\"data\":[");
  if (begin == std::string_view::npos) return 0;
  const std::string_view list = answer.substr(begin + 8, answer.find(']', begin) - begin - 8);
  return list.empty() ? 0 : count_of(list, ",") + 1;
}

}  // namespace tarsier::bench
