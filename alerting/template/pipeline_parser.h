#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/template/node.h"
#include "alerting/template/token_cursor.h"
#include "base/result.h"

namespace tarsier::alerting {

/// What stands within an action: `$x := .Labels.job | printf "%q"`. Borrows both. One thread at a
/// time.
class PipelineParser final {
 public:
  PipelineParser(TokenCursor& in, const std::function<bool(std::string_view)>& is_function)
      : in_(in), is_function_(is_function) {}

  /// Reads to `end` and behind it; `context` is what errors call it. What it declares is known from
  /// then on.
  Result<Node> pipeline(std::string_view context, TokenType end);

  /// The variables known here, the innermost last: whoever opens a scope shortens them again.
  std::vector<std::string> variables{"$"};

 private:
  Status declarations(Node& pipe, std::string_view context);
  Status check(const Node& pipe, std::string_view context) const;
  Result<Node> command();
  Result<Node> operand();
  Result<Node> term();
  Result<Node> number(const Token& token) const;

  TokenCursor& in_;
  const std::function<bool(std::string_view)>& is_function_;
};

}  // namespace tarsier::alerting
