#pragma once

#include <span>

namespace tarsier::alerting {

struct ValueMethod;

/// `.Format`, `.Add`, `.Unix` and the others of Go's time.Time.
std::span<const ValueMethod> time_methods();
/// `.Hours`, `.String` and the others of Go's time.Duration.
std::span<const ValueMethod> duration_methods();

}  // namespace tarsier::alerting
