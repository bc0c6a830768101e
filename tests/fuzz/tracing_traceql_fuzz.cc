#include <string>

#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tracing/traceql/parser.h"
#include "tracing/traceql/printer.h"

namespace tarsier {

/// What is accepted can be printed, and means the same when read again.
void fuzz_one(Bytes input) {
  using namespace tracing::traceql;
  const ParseLimits limits{.length_max = 1 << 14};
  const Result<Query> parsed = parse_query(as_text(input), limits);
  if (!parsed.ok()) return;
  const std::string printed = print(*parsed);
  const Result<Query> again = parse_query(printed, {.length_max = 1 << 20, .depth_max = 1000});
  CHECK(again.ok(), printed);
  CHECK(*again == *parsed, printed);
}

}  // namespace tarsier
