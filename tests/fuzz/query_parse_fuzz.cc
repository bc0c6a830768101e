#include <string>

#include "base/check.h"
#include "query/parse.h"
#include "query/parse/duration.h"
#include "query/parse/printer.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// What is accepted can be printed, and means the same when read again; what is refused is refused
/// at a place inside the query.
void fuzz_one(Bytes input) {
  const query::ParseOptions options = {.experimental_functions = true,
                                       .extended_range_selectors = true,
                                       .fill_modifiers = true,
                                       .length_max = 1 << 14};
  query::ParseError error;
  Result<query::ExprPtr> parsed = query::parse_expression(as_text(input), options, &error);
  if (!parsed.ok()) {
    CHECK(error.range.begin <= input.size());
    return;
  }
  CHECK((*parsed)->source.end <= input.size());
  const std::string printed = query::print(**parsed);
  const Result<query::ExprPtr> again = query::parse_expression(printed, options);
  if (!again.ok()) {
    // The canonical form may be longer than what was written.
    CHECK(printed.size() > options.length_max, printed + ": " + again.status().message());
    return;
  }
  CHECK(query::print(**again) == printed, printed);
  (void)query::print_pretty(**parsed);
  (void)query::resolve_durations(**parsed, {.step = seconds(15), .range = hours(1)}).ok();
}

}  // namespace tarsier
