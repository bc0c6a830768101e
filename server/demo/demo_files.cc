#include "server/demo/demo_files.h"

#include <fmt/format.h>

#include "server/demo/shop.h"

namespace tarsier::server {

std::string demo_config(const DemoAddresses& addresses) {
  std::string out = fmt::format(R"(# Written by `tarsier demo` at every start.
global:
  scrape_interval: 5s
  evaluation_interval: 5s

storage:
  tsdb:
    # The shop's last hours are written at the start, when the server has samples of now already.
    out_of_order_time_window: 1d

rule_files: [{}]
slo_files: [{}]

traces:
  span_metrics:
    interval: 5s
    dimensions: [http.route]

scrape_configs:
- job_name: tarsier
  static_configs:
  - targets: ["{}"]
)",
                                kDemoRulesName, kDemoObjectivesName, addresses.server);
  if (!addresses.node_exporter.empty()) {
    out += fmt::format("- job_name: node\n  static_configs:\n  - targets: [\"{}\"]\n",
                       addresses.node_exporter);
  }
  out += "- job_name: shop\n  static_configs:\n";
  for (const std::string& service : Shop::services()) {
    out += fmt::format(
        "  - targets: [\"{0}\"]\n"
        "    labels: {{__metrics_path__: /metrics/{1}, instance: {1}-0, service: {1}}}\n",
        addresses.shop, service);
  }
  return out;
}

std::string demo_rules() {
  return R"(# Written by `tarsier demo` at every start.
groups:
- name: shop
  rules:
  - record: service:http_requests:rate1m
    expr: sum by (service) (rate(http_requests_total{job="shop"}[1m]))
  - record: service:http_request_duration_seconds:p99_5m
    expr: histogram_quantile(0.99, sum by (service, le) (rate(http_request_duration_seconds_bucket{job="shop"}[5m])))
  - alert: ServiceDown
    expr: up{job="shop"} == 0
    for: 1m
    labels: {severity: page}
    annotations:
      summary: '{{ $labels.service }} does not answer'
  - alert: OrdersFail
    expr: sum(rate(shop_orders_total{outcome="failed"}[2m])) / sum(rate(shop_orders_total[2m])) > 0.1
    for: 30s
    labels: {severity: page, service: checkout}
    annotations:
      summary: '{{ $value | humanizePercentage }} of the orders fail'
)";
}

std::string demo_objectives() {
  return R"(# Written by `tarsier demo` at every start.
slos:
- name: availability
  service: checkout
  description: Orders are taken.
  objective: 99.9
  sli:
    errors: 'http_requests_total{job="shop",service="checkout",code=~"5.."}'
    total: 'http_requests_total{job="shop",service="checkout"}'
- name: latency
  service: frontend
  description: Pages come within half a second.
  objective: 99
  sli:
    latency: {histogram: 'http_request_duration_seconds{job="shop",service="frontend"}', below: 500ms}
- name: availability
  service: frontend
  description: Pages come, one budget for each.
  objective: 99.5
  group_by: [handler]
  sli:
    errors: 'http_requests_total{job="shop",service="frontend",code=~"5.."}'
    total: 'http_requests_total{job="shop",service="frontend"}'
)";
}

}  // namespace tarsier::server
