#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "query/engine.h"
#include "query/parse/ast.h"
#include "tests/query/reference_annotations.h"
#include "tests/query/reference_values.h"
#include "tsdb/querier.h"

namespace tarsier::testing {

/// The steps an expression is evaluated at: of the query, or of a subquery.
struct Steps {
  Timestamp start;
  Timestamp end;
  Duration step;
  bool has_one() const { return step.ms == 0 || end - start < step; }
};

/// One of them.
struct Moment {
  Timestamp t;
  Steps steps;
};

/// Without `__name__`, `__type__` and `__unit__`.
tsdb::Labels without_metadata(const tsdb::Labels& labels);

/// The oracle's walk over the tree: every node gives its value at one step, from the values of its
/// children at that step. One query, one thread.
class ReferenceEvaluator final {
 public:
  struct Settings {
    Duration lookback;
    Duration subquery_step;
    bool delays_name_removal = false;
  };
  /// Borrows all it is given.
  ReferenceEvaluator(const tsdb::Querier& querier, const query::QueryRequest& request,
                     const Settings& settings)
      : querier_(querier), request_(request), settings_(settings), annotator_(request.text) {}

  /// Finds the selectors of whose histograms only count and sum are asked. To be called first.
  void look_at(const query::Expr& root) { look_at(root, false, false); }

  Result<double> scalar(const query::Expr& e, const Moment& at);
  Result<Vector> vector(const query::Expr& e, const Moment& at);
  Result<std::vector<Window>> matrix(const query::Expr& e, const Moment& at);
  /// The vector as the user sees it: the names that were to be dropped are gone.
  Result<Vector> final_vector(const query::Expr& e, const Moment& at);
  query::Annotations take_annotations() { return annotator_.take(); }

 private:
  struct Series {
    tsdb::Labels labels;
    std::vector<tsdb::Sample> samples;
    std::vector<HistogramSample> histograms;  ///< Stale markers have one as their sum.
  };

  void look_at(const query::Expr& e, bool asks_statistics, bool needs_buckets);

  // reference_evaluator.cc: selectors, subqueries, scalars, unary.
  Result<const std::vector<Series>*> series_of(const query::Selector& s);
  Timestamp data_time(const query::TimeShift& shift, Timestamp t) const;
  /// Each series' newest sample; with its time as value if asked for.
  Result<Vector> selected(const query::Selector& s, const Moment& at, bool takes_time);
  HistogramPtr seen(const query::Selector& s, const Series& series, std::size_t i,
                    Timestamp begin) const;
  Result<std::vector<Window>> windows(const query::Range& r, const Moment& at);
  Result<std::vector<Window>> subquery(const query::Subquery& s, const Moment& at);
  Result<Vector> negated(const query::Unary& u, const Moment& at);
  Element nameless(Element element) const;
  Result<Vector> without_duplicates(Vector v) const;
  Result<Vector> checked(Vector v, const Moment& at) const;
  /// For mistakes in a parameter that count at whichever step they are.
  Result<std::vector<double>> at_all_steps(const query::Expr& parameter, const Moment& at);

  // reference_binary.cc
  Result<Vector> binary(const query::Binary& b, const Moment& at);
  Result<Vector> with_scalar(const query::Binary& b, const Moment& at);
  Vector set_operation(const query::Binary& b, const Vector& left, const Vector& right) const;
  Result<Vector> matched(const query::Binary& b, Vector left, Vector right);
  /// One operator between two elements. Nothing if they do not go together, which is remembered.
  struct Combined {
    double value = 0;  ///< Of comparisons 1 or 0.
    HistogramPtr histogram;
  };
  std::optional<Combined> combined(const query::Binary& b, const Element& left,
                                   const Element& right);
  /// Of all such remarks about one operator at one step only the last is told.
  struct LastRemark {
    std::string text;
    bool is_warning = false;
  };
  void tell_last(const query::Binary& b);

  // reference_aggregate.cc
  Result<Vector> aggregate(const query::Aggregate& a, const Moment& at);
  Result<Vector> ranked(const query::Aggregate& a, const Moment& at);
  /// sum and avg of a group with histograms; nothing if it has no value.
  std::optional<Element> mixed_total(const query::Aggregate& a, const Vector& elements);
  Vector floats_of(const query::Aggregate& a, Vector elements);
  Result<Vector> counted_values(const query::Aggregate& a, const Moment& at);
  void warn_of_extremes(const std::vector<double>& quantiles, query::SourceRange where);

  // reference_functions.cc
  Result<Vector> call(const query::Call& c, const Moment& at);
  Result<Vector> range_call(const query::Call& c, const Moment& at);
  Status check_range_collisions(const query::Call& c, const Moment& at);
  Result<Vector> label_replace(const query::Call& c, const Moment& at);
  Result<Vector> label_join(const query::Call& c, const Moment& at);
  RangeOutcome range_value(const query::Call& c, const Window& w,
                           const std::vector<double>& parameters, Timestamp step_time) const;
  Result<Vector> histogram_numbers(const query::Call& c, const Moment& at);
  Result<Vector> histogram_call(const query::Call& c, const Moment& at);
  Result<Vector> sorted(const query::Call& c, const Moment& at);
  Result<Vector> absent(const query::Call& c, const Moment& at);
  Result<Vector> clamped(const query::Call& c, const Moment& at);
  Result<Vector> timestamps(const query::Call& c, const Moment& at);
  std::string optional_metric(const Element& e) const;

  const tsdb::Querier& querier_;
  const query::QueryRequest& request_;
  const Settings settings_;
  Annotator annotator_;
  std::map<const query::Selector*, std::vector<Series>> series_;
  std::set<const query::Selector*> statistics_only_;
  LastRemark last_remark_;
};

/// Whether the value cannot depend on the step.
bool is_step_invariant(const query::Expr& e);

inline constexpr const char* kSameLabelset = "vector cannot contain metrics with the same labelset";

}  // namespace tarsier::testing
