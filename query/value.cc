#include "query/value.h"

namespace tarsier::query {

std::string_view result_type_name(ResultType type) {
  switch (type) {
    case ResultType::kScalar: return "scalar";
    case ResultType::kString: return "string";
    case ResultType::kVector: return "vector";
    case ResultType::kMatrix: return "matrix";
  }
  return "none";
}

}  // namespace tarsier::query
