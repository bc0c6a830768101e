#include "query/functions.h"

#include "query/parse/function_table.h"

namespace tarsier::query {

std::vector<FunctionName> function_names() {
  std::vector<FunctionName> names;
  for (const FunctionSignature& f : all_functions()) names.push_back({f.name, f.experimental});
  return names;
}

}  // namespace tarsier::query
