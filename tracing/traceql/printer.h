#pragma once

#include <string>

#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

/// The canonical text: parsing it gives an equal tree.
std::string print(const Query& query);
std::string print(const Field& field);
std::string print(const Scalar& scalar);
std::string print(const Static& value);

}  // namespace tarsier::tracing::traceql
