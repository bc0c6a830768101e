#include "tracing/sampling_decision.h"

namespace tarsier::tracing {

std::string_view trigger_name(DecisionTrigger trigger) {
  switch (trigger) {
    case DecisionTrigger::kTimer: return "timer";
    case DecisionTrigger::kIdle: return "idle";
    case DecisionTrigger::kMemory: return "memory";
    case DecisionTrigger::kSize: return "size";
    case DecisionTrigger::kShutdown: return "shutdown";
    case DecisionTrigger::kEarly: return "early";
    case DecisionTrigger::kDisk: return "disk";
  }
  return "unknown";
}

}  // namespace tarsier::tracing
