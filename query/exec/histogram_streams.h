#pragma once

#include <string>

#include "query/exec/context.h"
#include "query/exec/stream.h"
#include "query/histogram/view.h"
#include "query/parse/ast.h"

namespace tarsier::query {

// What functions of one element do with native histograms.

/// Numbers only; histograms become absent.
StreamPtr only_floats(StreamPtr child);
/// The same, telling the user if any was left out.
StreamPtr only_floats(Context& context, StreamPtr child, std::string info, SourceRange where);
/// Every value times -1.
StreamPtr negated(StreamPtr child);

/// A number out of each histogram; floats become absent.
using HistogramNumber = double (*)(const HistogramView&);
StreamPtr histogram_numbers(StreamPtr child, HistogramNumber number);

}  // namespace tarsier::query
