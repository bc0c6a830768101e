#pragma once

#include <cstdint>

#include "query/histogram/arithmetic.h"

namespace tarsier::query {

/// What a sum or mean of histograms has met, for those who tell the user.
struct CombinationLog {
  bool is_compatible = true;  ///< Once false, there is no result.
  bool is_reconciled = false;
  bool saw_reset = false;
  bool saw_no_reset = false;

  bool hints_collide() const { return saw_reset && saw_no_reset; }
  void see(tsdb::CounterResetHint hint) {
    saw_reset = saw_reset || hint == tsdb::CounterResetHint::kReset;
    saw_no_reset = saw_no_reset || hint == tsdb::CounterResetHint::kNotReset;
  }
  void see(const Combination& combination) {
    is_compatible = is_compatible && combination.is_compatible;
    is_reconciled = is_reconciled || combination.is_reconciled;
  }
  void merge(const CombinationLog& other) {
    is_compatible = is_compatible && other.is_compatible;
    is_reconciled = is_reconciled || other.is_reconciled;
    saw_reset = saw_reset || other.saw_reset;
    saw_no_reset = saw_no_reset || other.saw_no_reset;
  }
};

/// A sum of histograms that carries the rounding errors of every field along (as CompensatedSum
/// does of one number). The errors are a histogram of the same layout.
class CompensatedHistogram final {
 public:
  /// Begins anew with `h`; memory is reused.
  void start(const HistogramView& h);
  Combination add(const HistogramView& h);
  /// Adds `other`'s sum, and its errors to ours.
  Combination merge(const CompensatedHistogram& other);
  void scale(double factor);
  void shrink(double divisor);  ///< Sum and errors divided.
  bool is_infinite() const;     ///< Any field.
  const tsdb::FloatHistogram& sum() const { return sum_; }
  /// Sum plus errors, each divided by `divisor` before.
  void value(double divisor, tsdb::FloatHistogram& out) const;

 private:
  Combination fit(const HistogramView& h, const HistogramView*& fitted);

  tsdb::FloatHistogram sum_;
  tsdb::FloatHistogram errors_;
  tsdb::FloatHistogram moved_;
  HistogramView moved_view_{};
};

/// Sum or mean of the histograms of one group or window, in order.
class HistogramSum final {
 public:
  void clear() { *this = HistogramSum(); }
  void add(const HistogramView& h);
  void merge(const HistogramSum& other);
  std::uint64_t count() const { return count_; }
  const CombinationLog& log() const { return log_; }
  /// REQUIRES: something was added, and all of it was compatible.
  void value(tsdb::FloatHistogram& out) const { sum_.value(1, out); }

 private:
  CompensatedHistogram sum_;
  CombinationLog log_;
  std::uint64_t count_ = 0;
};

/// The mean stays finite where the sum does not: from the histogram on that would make any field
/// infinite it is a running mean (as CompensatedMean is of one number).
class HistogramMean final {
 public:
  void add(const HistogramView& h);
  void merge(const HistogramMean& other);
  std::uint64_t count() const { return count_; }
  const CombinationLog& log() const { return log_; }
  void value(tsdb::FloatHistogram& out) const {
    sum_.value(is_running_ ? 1 : static_cast<double>(count_), out);
  }

 private:
  void add_to_mean(const HistogramView& h, double weight);

  CompensatedHistogram sum_;  // Or, once `is_running_`, the mean.
  CombinationLog log_;
  std::uint64_t count_ = 0;
  bool is_running_ = false;
};

}  // namespace tarsier::query
