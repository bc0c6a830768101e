#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace tarsier::server {

struct ShopOptions {
  std::uint64_t seed = 1;
  double requests_per_second = 10;
};

/// What one service answered on one route, as its client library would count it.
struct ShopRoute {
  std::map<int, std::uint64_t> count_by_code;
  std::vector<std::uint64_t> buckets;  ///< Not cumulative; the last is beyond every bound.
  double seconds_sum = 0;
};

/// A shop that nobody runs: visitors look at pages, fill carts and pay, through seven services, two
/// databases and two banks. One seed gives one sequence of visitors, whatever the clock; during an
/// incident one of the banks becomes slow and fails, and so do most of the orders paid there.
/// Counts what it does, and tells it as spans. No clock, no network. One thread at a time.
class Shop final {
 public:
  Shop(ShopOptions options, Timestamp start);

  static const std::vector<std::string>& services();
  /// Upper bounds of the buckets, in seconds.
  static const std::vector<double>& bounds();

  /// One incident at a time; a new one replaces the old.
  void plan_incident(Timestamp start, Timestamp end);
  bool has_incident(Timestamp t) const { return t >= incident_start_ && t < incident_end_; }
  Timestamp incident_start() const { return incident_start_; }
  Timestamp incident_end() const { return incident_end_; }

  /// Lets visitors come until `until`. Their spans, finished or not by then, as an OTLP request;
  /// empty if `wants_spans` is false or nobody came.
  std::string advance(Timestamp until, bool wants_spans);

  /// What a service exposes, in Prometheus' text format. `labels` ("job=\"shop\",") come first in
  /// every series, `timestamp` after every value unless it is empty: for writing history.
  std::string metrics(std::string_view service, std::string_view labels = {},
                      std::string_view timestamp = {}) const;

  /// By service and "METHOD /route".
  const std::map<std::pair<std::string, std::string>, ShopRoute>& routes() const { return routes_; }
  std::uint64_t visitor_count() const { return visitor_count_; }
  std::uint64_t span_count() const { return span_count_; }

 private:
  class Visit;

  double uniform();
  double normal();

  const ShopOptions options_;
  std::mt19937_64 random_;
  Timestamp next_visitor_;
  Timestamp incident_start_ = kMaxTimestamp;
  Timestamp incident_end_ = kMaxTimestamp;
  std::map<std::pair<std::string, std::string>, ShopRoute> routes_;
  std::map<std::string, std::uint64_t> orders_by_outcome_;
  double revenue_euros_ = 0;
  double open_carts_ = 20;
  std::uint64_t visitor_count_ = 0;
  std::uint64_t span_count_ = 0;
};

}  // namespace tarsier::server
