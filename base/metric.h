#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/summary_metric.h"
#include "base/time.h"

namespace tarsier {

/// A number that only grows. Relaxed atomics: a scrape may see two counters at slightly different
/// moments, never a torn value. Any number of threads.
class Counter final {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A number that goes up and down. Any number of threads.
class Gauge final {
 public:
  void set(double v) { value_.store(v, std::memory_order_relaxed); }
  void add(double v) {
    double old = value_.load(std::memory_order_relaxed);
    while (!value_.compare_exchange_weak(old, old + v, std::memory_order_relaxed)) {
    }
  }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// A classic histogram with bounds fixed at construction. Any number of threads.
class HistogramMetric final {
 public:
  /// `bounds` are the upper bounds in ascending order, without +Inf.
  explicit HistogramMetric(std::vector<double> bounds);
  void observe(double v);
  const std::vector<double>& bounds() const { return bounds_; }
  /// Observations at or below bound `i`; `i` = bounds().size() counts all.
  std::uint64_t cumulative_count(std::size_t i) const;
  double sum() const { return sum_.value(); }

 private:
  const std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> counts_;
  Gauge sum_;
};

using MetricLabels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Renders our own metrics as text exposition format 0.0.4. Each component keeps its metrics in one
/// struct and has `void collect(MetricWriter&) const`. All samples of a family must be written one
/// after another; HELP and TYPE come with the first. One thread at a time.
class MetricWriter final {
 public:
  void counter(std::string_view name, std::string_view help, double value,
               MetricLabels labels = {});
  void gauge(std::string_view name, std::string_view help, double value, MetricLabels labels = {});
  void histogram(std::string_view name, std::string_view help, const HistogramMetric& histogram,
                 MetricLabels labels = {});
  /// One sample per quantile, then sum and count.
  void summary(std::string_view name, std::string_view help, const SummaryMetric& summary,
               std::initializer_list<double> quantiles, Timestamp now, MetricLabels labels = {});
  std::string take() { return std::move(out_); }

 private:
  void header(std::string_view name, std::string_view help, std::string_view type);
  /// A label of the sample's own, such as `le`.
  using OwnLabel = std::pair<std::string_view, std::string_view>;
  void sample(std::string_view name, std::string_view suffix, MetricLabels labels,
              OwnLabel own_label, double value);

  std::string out_;
  std::string family_;
};

}  // namespace tarsier
