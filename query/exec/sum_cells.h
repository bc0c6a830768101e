#pragma once

#include <cmath>

#include "query/exec/row.h"
#include "query/functions/compensated.h"

namespace tarsier::query {

// What `sum` and `avg` hold of the numbers of one group at one step: `add` a value, `merge` what
// came after, `value`, which is absent while the cell is `empty`.

/// Begun with the first value.
struct SumCell {
  CompensatedSum sum;
  bool is_used = false;

  void add(double v) {
    if (is_used) {
      sum.add(v);
    } else {
      sum.sum = v;
      is_used = true;
    }
  }
  void merge(const SumCell& other) {
    if (!other.is_used) return;
    add(other.sum.sum);
    if (!std::isinf(sum.sum)) sum.error += other.sum.error;
  }
  bool empty() const { return !is_used; }
  double value() const { return is_used ? sum.value() : absent_value(); }
};

struct AvgCell {
  CompensatedMean mean;

  void add(double v) { mean.add(v); }
  void merge(const AvgCell& other) { mean.merge(other.mean); }
  bool empty() const { return mean.count == 0; }
  double value() const { return empty() ? absent_value() : mean.value(); }
};

}  // namespace tarsier::query
