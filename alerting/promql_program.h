#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "alerting/increase_windows.h"
#include "base/cancel.h"
#include "base/result.h"
#include "base/time.h"
#include "query/parse.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

/// Queries with `$window` that are arithmetic over sums of rate() or increase(), for several
/// windows: computed step by step instead of from all samples of each window, with the same result
/// to the bit. What several of them sum is summed once. One thread at a time.
class PromqlProgram final {
 public:
  /// Nothing for queries of other shapes: the engine is for them.
  static std::unique_ptr<PromqlProgram> compile(const std::vector<std::string>& queries,
                                                const std::vector<Duration>& windows);

  /// Moves on to `t`, later than before.
  Status advance(tsdb::Queryable& storage, Timestamp t, const CancelToken* cancel);
  /// Samples came late or went: what is known of windows is read again.
  void reset();
  /// The answer of one of the queries for one window at the last `t`.
  std::map<tsdb::Labels, double> value(std::size_t window, std::size_t query = 0) const;
  std::size_t series_count() const;

 private:
  using Vector = std::map<tsdb::Labels, double>;
  using Value = std::variant<double, Vector>;
  struct Node {
    enum class Kind : unsigned char { kNumber, kSum, kBinary, kOrNumber };
    Kind kind = Kind::kNumber;
    double number = 0;
    std::size_t sum = 0;
    query::BinaryOp op = query::BinaryOp::kAdd;
    std::unique_ptr<Node> left;
    std::unique_ptr<Node> right;
  };
  std::unique_ptr<Node> read(const query::Expr& expression);
  std::unique_ptr<Node> read_binary(const query::Binary& binary);
  std::unique_ptr<Node> read_sum(const query::Aggregate& sum);
  Value evaluate(const Node& node, std::size_t window) const;

  std::vector<Duration> windows_;
  std::vector<std::unique_ptr<Node>> roots_;  ///< By query.
  struct Sum {
    std::string text;  ///< Equal texts are computed once.
    std::unique_ptr<IncreaseWindows> windows;
  };
  std::vector<Sum> sums_;
};

}  // namespace tarsier::alerting
