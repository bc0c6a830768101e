#pragma once

#include <string_view>
#include <vector>

namespace tarsier::query {

/// One function of the language, as editors need to know it.
struct FunctionName {
  std::string_view name;
  bool is_experimental = false;
};

/// All of them, sorted by name.
std::vector<FunctionName> function_names();

}  // namespace tarsier::query
