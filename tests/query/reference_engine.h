#pragma once

#include "base/result.h"
#include "base/time.h"
#include "query/engine.h"
#include "query/value.h"
#include "tsdb/querier.h"

namespace tarsier::testing {

/// The slow, obvious PromQL: walks the tree once per step and computes each element by itself,
/// straight from the language's definition. What the engine is compared with; never to ship. Floats
/// and the stable language only: the rest is refused with kInvalid. Of `options` it knows the
/// lookback, the subquery step and delayed name removal.
Result<query::QueryResult> evaluate_reference(tsdb::Queryable& storage,
                                              const query::QueryRequest& request,
                                              const query::EngineOptions& options);

}  // namespace tarsier::testing
