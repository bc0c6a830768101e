#pragma once

#include <atomic>
#include <cstdint>
#include <map>

#include "query/exec/context.h"
#include "query/exec/range_source.h"
#include "query/exec/stream.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// What one operator of a running query did. Times include those of the operators below it: reading
/// a stream reads what it is made of. Any number of threads.
struct OperatorFigures {
  std::atomic<std::uint64_t> series{0};
  std::atomic<std::uint64_t> rows{0};     ///< Read, each as often as it was asked for.
  std::atomic<std::uint64_t> samples{0};  ///< Values in them; of a range, the samples read.
  std::atomic<std::uint64_t> nanoseconds{0};
  std::atomic<std::uint64_t> memory_bytes{0};  ///< Held when the operator was made.
};

/// The figures of every operator of a plan. The tree must outlive it.
class Analysis final {
 public:
  explicit Analysis(const Expr& root) { add(root); }
  OperatorFigures& of(const Expr& e) { return figures_.at(&e); }

 private:
  void add(const Expr& e);
  std::map<const Expr*, OperatorFigures> figures_;
};

/// `stream` with everything that is read through it counted in `figures`.
StreamPtr measured(const Context& context, OperatorFigures& figures, StreamPtr stream);
RangePtr measured(const Context& context, OperatorFigures& figures, RangePtr source);

/// Times the making of one operator for the scope it lives in.
class OperatorTimer final {
 public:
  OperatorTimer(const Context& context, OperatorFigures& figures);
  ~OperatorTimer();

 private:
  const Context& context_;
  OperatorFigures& figures_;
  const double begun_;
  const std::uint64_t held_;
};

}  // namespace tarsier::query
