#pragma once

#include <string>

namespace tarsier {

/// The fewest digits that read back to the same double, filled up with zeros, never with an
/// exponent: "0.1", "1000000000000000000000000000000". "NaN", "+Inf", "-Inf". What Go prints with
/// %f and precision -1, and Prometheus for scalars and in the canonical form of a query.
std::string plain_number(double v);
void append_plain_number(std::string& out, double v);

/// The fewest digits, always with an exponent of at least two digits: "1.5e+21", "0e+00"; names as
/// above. What Go prints with %e and precision -1.
void append_scientific_number(std::string& out, double v);

/// As plain_number, but with an exponent where it is below -4 or above 5, as Go's
/// %g and %v have it: "123456", "1e+06".
std::string short_number(double v);

}  // namespace tarsier
