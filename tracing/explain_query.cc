#include "tracing/explain_query.h"

#include <vector>

#include "tracing/traceql/metrics.h"
#include "tracing/traceql/parser.h"
#include "tracing/traceql/pipeline.h"
#include "tracing/traceql/printer.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing {

Result<std::string> explain_traceql(std::string_view text) {
  const traceql::Query query = TRY(traceql::parse_query(text));
  std::string out = "query:      " + print(query) + "\n";
  std::vector<const std::vector<traceql::Stage>*> pipelines;
  if (query.metrics) {
    collect_pipelines(*query.metrics, pipelines);
  } else {
    pipelines.push_back(&query.pipeline);
  }
  out += std::string("gives:      ") + (query.metrics ? "time series" : "span sets") + "\n";
  std::vector<const traceql::Field*> filters;
  std::vector<traceql::Attribute> attributes;
  bool narrows = true;
  for (const auto* pipeline : pipelines) {
    narrows = collect_filters(*pipeline, filters) && narrows;
    collect_attributes(*pipeline, attributes);
  }
  if (!narrows) {
    out += "passes over: nothing, every span in the time range is looked at\n";
  } else {
    out += "passes over: groups in which no span may pass\n";
    for (const traceql::Field* filter : filters) out += "            { " + print(*filter) + " }\n";
  }
  out += "reads:     ";
  for (const traceql::Attribute& attribute : attributes) out += " " + attribute_text(attribute);
  return out + (attributes.empty() ? " no attribute\n" : "\n");
}

}  // namespace tarsier::tracing
