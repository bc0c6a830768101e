#pragma once

#include <string>

namespace tarsier {

/// The fewest digits that read back to the same double, filled up with zeros, never with an
/// exponent: "0.1", "1000000000000000000000000000000". "NaN", "+Inf", "-Inf". What Go prints with
/// %f and precision -1, and Prometheus for scalars and in the canonical form of a query.
std::string plain_number(double v);

/// The same, but with an exponent of at least two digits where it is below -4 or above 5, as Go's
/// %g and %v have it: "123456", "1e+06".
std::string short_number(double v);

}  // namespace tarsier
