#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "query/parse/ast.h"
#include "query/value.h"

namespace tarsier::query {

/// The corrections histogram_quantile made so that bucket counts never fall; merged over all steps.
struct MonotonicityFix {
  double bound_min = 0;
  double bound_max = 0;
  double difference_max = 0;
  std::uint64_t sample_count = 0;
  std::int64_t time_min_ms = 0;
  std::int64_t time_max_ms = 0;
};

/// Collects what a query has to tell, each text once. Any number of threads.
class Annotator final {
 public:
  /// `query` is the text positions refer to; borrowed.
  explicit Annotator(std::string_view query) : query_(query) {}

  /// `text` comes without the "PromQL warning: " in front. Positions are those of `where`.
  void warn(std::string text, SourceRange where);
  /// The same of something that is counted: "... (3 occurrences)".
  void warn_often(std::string text, SourceRange where, std::uint64_t occurrences);
  /// A warning that is about no place in the query; told as it is.
  void warn_plainly(std::string text);
  void inform(std::string text, SourceRange where);
  void inform_of_fix(std::string text, SourceRange where, const MonotonicityFix& fix);

  Annotations take();

 private:
  struct Fixed {
    SourceRange where;
    MonotonicityFix fix;
  };

  const std::string_view query_;
  Mutex mutex_;
  // Text to position. Of equal texts from several places that of the node evaluated last stays,
  // whichever thread came first.
  std::map<std::string, SourceRange> warnings_ GUARDED_BY(mutex_);
  std::set<std::string> plain_warnings_ GUARDED_BY(mutex_);
  std::map<std::string, SourceRange> infos_ GUARDED_BY(mutex_);
  std::map<std::string, Fixed> fixes_ GUARDED_BY(mutex_);
  struct Often {
    SourceRange where;
    std::uint64_t occurrences = 0;
  };
  std::map<std::string, Often> often_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::query
