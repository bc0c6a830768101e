#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/template/function.h"
#include "alerting/template/node.h"
#include "alerting/template/value.h"

namespace tarsier::alerting {

/// Runs one template over one value, as Go's text/template with missingkey=zero. Made for one
/// expansion; one thread. Borrows what it is given.
class Executor final {
 public:
  Executor(const TemplateTrees& trees, const FunctionTable& functions, FunctionContext context,
           const TemplateLimits& limits);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// kInvalid with Go's text: `template: x:1:3: executing "x" at <.Foo>: ...`; kLimit.
  Result<std::string> run(std::string_view name, const Value& data);

 private:
  enum class Flow : unsigned char { kNext, kBreak, kContinue };
  using Nodes = std::vector<Node>;

  Result<std::string> expand(const std::string& name, const Value& data);
  Status fail(const std::string& why) const;
  Status step();
  Status write(std::string_view text);
  Status check_size(const Value& value) const;

  Result<Flow> walk(const Value& dot, const Node& node);
  Result<Flow> walk_list(const Value& dot, const Node& list);
  Result<Flow> walk_condition(const Value& dot, const Node& node);
  Result<Flow> walk_range(const Value& dot, const Node& node);
  Status walk_template(const Value& dot, const Node& node);

  Result<Value> eval_pipe(const Value& dot, const Node& pipe);
  Result<Value> eval_command(const Value& dot, const Node& command, const Value* final_value);
  /// `arguments` begins with the function or field itself.
  Result<Value> eval_function(const Value& dot, const Node& name, const Node& at,
                              const Nodes* arguments, const Value* final_value);
  Result<Value> eval_fields(const Value& dot, Value receiver, const Node& node, std::size_t first,
                            const Nodes* arguments, const Value* final_value);
  Result<Value> eval_field(const Value& dot, const std::string& name, const Node& node,
                           const Nodes* arguments, const Value* final_value, const Value& receiver);
  Result<Value> eval_variable(const Value& dot, const Node& node, const Nodes* arguments,
                              const Value* final_value);
  Result<Value> eval_chain(const Value& dot, const Node& node, const Nodes* arguments,
                           const Value* final_value);
  Result<Value> eval_argument(const Value& dot, ArgumentType type, const Node& node);
  Result<Value> validate(Value value, ArgumentType type) const;
  Status not_a_function(const Nodes* arguments, const Value* final_value) const;

  Result<Value> variable(const std::string& name) const;

  const TemplateTrees& trees_;
  const FunctionTable& functions_;
  FunctionContext context_;
  const TemplateLimits limits_;

  const TemplateTree* tree_ = nullptr;  // What is being executed.
  const Node* node_ = nullptr;          // Where: for error texts.
  std::vector<std::pair<std::string, Value>> variables_;
  std::size_t variables_begin_ = 0;  // Those before belong to callers.
  std::string out_;
  std::size_t steps_ = 0;
  int depth_ = 0;
};

}  // namespace tarsier::alerting
