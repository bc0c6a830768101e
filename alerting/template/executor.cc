#include "alerting/template/executor.h"

#include <algorithm>

#include "alerting/template/print.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

bool is_literal(NodeType type) {
  return type == NodeType::kBool || type == NodeType::kNumber || type == NodeType::kString;
}

Value number_value(const Node& node) {
  const bool written_real = node.text.find_first_of(".eEpP") != std::string::npos &&
                            !node.text.starts_with("0x") && !node.text.starts_with("0X") &&
                            !node.text.starts_with('\'');
  return node.is_integer && !written_real ? Value(node.integer) : Value(node.real);
}

}  // namespace

Executor::Executor(const TemplateTrees& trees, const FunctionTable& functions,
                   FunctionContext context, const TemplateLimits& limits)
    : trees_(trees), functions_(functions), context_(std::move(context)), limits_(limits) {
  context_.expand = [this](const std::string& name, const Value& data) {
    return expand(name, data);
  };
}

Result<std::string> Executor::run(std::string_view name, const Value& data) {
  const auto found = trees_.find(name);
  if (found == trees_.end()) {
    return invalid("template: no template " + quote(name) + " associated with template");
  }
  tree_ = found->second.get();
  node_ = nullptr;
  out_.clear();
  steps_ = 0;
  depth_ = 0;
  variables_ = {{"$", data}};
  variables_begin_ = 0;
  TRY(walk(data, tree_->root));
  return std::move(out_);
}

Result<std::string> Executor::expand(const std::string& name, const Value& data) {
  const auto found = trees_.find(name);
  if (found == trees_.end()) return invalid("template " + quote(name) + " not defined");
  if (depth_ >= limits_.depth_max) return limit_exceeded("exceeded maximum template depth");
  ++depth_;
  const TemplateTree* outer_tree = std::exchange(tree_, found->second.get());
  const Node* outer_node = node_;
  std::string outer_out = std::exchange(out_, "");
  const std::size_t outer_begin = std::exchange(variables_begin_, variables_.size());
  variables_.emplace_back("$", data);
  const Result<Flow> flow = walk(data, tree_->root);
  if (!flow.ok()) return flow.status();
  variables_.resize(variables_begin_);
  variables_begin_ = outer_begin;
  tree_ = outer_tree;
  node_ = outer_node;
  --depth_;
  return std::exchange(out_, std::move(outer_out));
}

Status Executor::fail(const std::string& why) const {
  if (node_ == nullptr) return invalid("template: " + tree_->name + ": " + why);
  const std::string_view before = std::string_view(*tree_->text).substr(0, node_->position);
  const std::size_t line_start = before.rfind('\n');
  const std::size_t column =
      line_start == std::string_view::npos ? before.size() : before.size() - line_start - 1;
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  return invalid("template: " + tree_->parse_name + ":" + std::to_string(line) + ":" +
                 std::to_string(column) + ": executing " + quote(tree_->name) + " at <" +
                 node_text(*node_) + ">: " + why);
}

Status Executor::step() {
  if (++steps_ <= limits_.step_count_max) return {};
  return limit_exceeded("template " + quote(tree_->name) + " takes more than " +
                        std::to_string(limits_.step_count_max) + " steps");
}

Status Executor::write(std::string_view text) {
  if (out_.size() + text.size() > limits_.output_bytes_max) {
    return limit_exceeded("template " + quote(tree_->name) + " writes more than " +
                          std::to_string(limits_.output_bytes_max) + " bytes");
  }
  out_ += text;
  return {};
}

Status Executor::check_size(const Value& value) const {
  if (value.weight() <= limits_.output_bytes_max) return {};
  return limit_exceeded("template " + quote(tree_->name) + " makes a value of more than " +
                        std::to_string(limits_.output_bytes_max) + " bytes");
}

Result<Executor::Flow> Executor::walk(const Value& dot, const Node& node) {
  node_ = &node;
  TRY(step());
  switch (node.type) {
    case NodeType::kText: TRY(write(node.text)); return Flow::kNext;
    case NodeType::kList: return walk_list(dot, node);
    case NodeType::kIf:
    case NodeType::kWith: return walk_condition(dot, node);
    case NodeType::kRange: return walk_range(dot, node);
    case NodeType::kBreak: return Flow::kBreak;
    case NodeType::kContinue: return Flow::kContinue;
    case NodeType::kTemplate: TRY(walk_template(dot, node)); return Flow::kNext;
    case NodeType::kAction: {
      const Value value = TRY(eval_pipe(dot, node.children[0]));
      node_ = &node;
      if (!node.children[0].names.empty()) return Flow::kNext;
      std::string text;
      print_value(text, value);
      TRY(write(text));
      return Flow::kNext;
    }
    default: break;
  }
  return fail("unknown node: " + node_text(node));
}

Result<Executor::Flow> Executor::walk_list(const Value& dot, const Node& list) {
  for (const Node& child : list.children) {
    const Flow flow = TRY(walk(dot, child));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Executor::Flow> Executor::walk_condition(const Value& dot, const Node& node) {
  const std::size_t mark = variables_.size();
  const Value value = TRY(eval_pipe(dot, node.children[0]));
  Flow flow = Flow::kNext;
  if (value.truth()) {
    flow = TRY(walk(node.type == NodeType::kWith ? value : dot, node.children[1]));
  } else if (node.children.size() > 2) {
    flow = TRY(walk(dot, node.children[2]));
  }
  variables_.resize(mark);
  return flow;
}

Result<Executor::Flow> Executor::walk_range(const Value& dot, const Node& node) {
  const std::size_t outer = variables_.size();
  const Node& pipe = node.children[0];
  const Value value = TRY(eval_pipe(dot, pipe));
  const std::size_t mark = variables_.size();
  bool any = false;
  const auto iterate = [&](const Value& index, const Value& element) -> Result<Flow> {
    any = true;
    if (!pipe.names.empty()) {
      const bool two = pipe.names.size() > 1;
      const auto assign = [&](std::size_t which, const Value& v) {
        // A declaration has just pushed them; an assignment sets older ones.
        if (!pipe.assigns) {
          variables_[mark - pipe.names.size() + which].second = v;
          return;
        }
        for (std::size_t i = variables_.size(); i-- > variables_begin_;) {
          if (variables_[i].first != pipe.names[which]) continue;
          variables_[i].second = v;
          return;
        }
      };
      assign(0, two ? index : element);
      if (two) assign(1, element);
    }
    const Result<Flow> flow = walk(element, node.children[1]);
    variables_.resize(mark);
    return flow;
  };

  Flow flow = Flow::kNext;
  switch (value.kind()) {
    case ValueKind::kList: {
      std::int64_t i = 0;
      for (const Value& element : value.as_list()) {
        flow = TRY(iterate(Value(i++), element));
        if (flow == Flow::kBreak) break;
      }
      break;
    }
    case ValueKind::kMap:
      for (const auto& [key, element] : value.as_map()) {
        flow = TRY(iterate(Value(key), element));
        if (flow == Flow::kBreak) break;
      }
      break;
    case ValueKind::kInt:
      for (std::int64_t i = 0; i < value.as_int(); ++i) {
        flow = TRY(iterate(Value(i), Value(i)));
        if (flow == Flow::kBreak) break;
      }
      break;
    case ValueKind::kNone: break;
    default: return fail("range can't iterate over " + go_text(value));
  }
  flow = Flow::kNext;
  if (!any && node.children.size() > 2) flow = TRY(walk(dot, node.children[2]));
  variables_.resize(outer);
  return flow;
}

Status Executor::walk_template(const Value& dot, const Node& node) {
  const auto found = trees_.find(node.text);
  if (found == trees_.end()) return fail("template " + quote(node.text) + " not defined");
  if (depth_ >= limits_.depth_max) {
    return fail("exceeded maximum template depth (" + std::to_string(limits_.depth_max) + ")");
  }
  Value data;
  if (!node.children.empty()) data = TRY(eval_pipe(dot, node.children[0]));
  ++depth_;
  const TemplateTree* outer_tree = std::exchange(tree_, found->second.get());
  const std::size_t outer_begin = std::exchange(variables_begin_, variables_.size());
  variables_.emplace_back("$", data);
  TRY(walk(data, tree_->root));
  variables_.resize(variables_begin_);
  variables_begin_ = outer_begin;
  tree_ = outer_tree;
  node_ = &node;
  --depth_;
  return {};
}

Result<Value> Executor::eval_pipe(const Value& dot, const Node& pipe) {
  node_ = &pipe;
  TRY(step());
  Value value;
  for (std::size_t i = 0; i < pipe.children.size(); ++i) {
    value = TRY(eval_command(dot, pipe.children[i], i == 0 ? nullptr : &value));
  }
  for (const std::string& name : pipe.names) {
    if (!pipe.assigns) {
      variables_.emplace_back(name, value);
      continue;
    }
    for (std::size_t i = variables_.size(); i-- > variables_begin_;) {
      if (variables_[i].first != name) continue;
      variables_[i].second = value;
      break;
    }
  }
  return value;
}

Result<Value> Executor::eval_command(const Value& dot, const Node& command,
                                     const Value* final_value) {
  const Node& first = command.children[0];
  const Nodes* arguments = &command.children;
  switch (first.type) {
    case NodeType::kField:
      node_ = &first;
      return eval_fields(dot, dot, first, 0, arguments, final_value);
    case NodeType::kChain: return eval_chain(dot, first, arguments, final_value);
    case NodeType::kIdentifier: return eval_function(dot, first, command, arguments, final_value);
    case NodeType::kPipe: TRY(not_a_function(arguments, final_value)); return eval_pipe(dot, first);
    case NodeType::kVariable: return eval_variable(dot, first, arguments, final_value);
    default: break;
  }
  node_ = &first;
  TRY(not_a_function(arguments, final_value));
  switch (first.type) {
    case NodeType::kBool: return Value(first.integer != 0);
    case NodeType::kDot: return dot;
    case NodeType::kNil: return fail("nil is not a command");
    case NodeType::kNumber: return number_value(first);
    case NodeType::kString: return Value(first.text);
    default: break;
  }
  return fail("can't evaluate command " + quote(node_text(first)));
}

Status Executor::not_a_function(const Nodes* arguments, const Value* final_value) const {
  if ((arguments == nullptr || arguments->size() <= 1) && final_value == nullptr) return {};
  const std::string name = arguments == nullptr ? "" : node_text((*arguments)[0]);
  return fail("can't give argument to non-function " + name);
}

Result<Value> Executor::eval_function(const Value& dot, const Node& name, const Node& at,
                                      const Nodes* arguments, const Value* final_value) {
  node_ = &name;
  TRY(step());
  const auto found = functions_.find(name.text);
  if (found == functions_.end()) return fail(quote(name.text) + " is not a defined function");
  const TemplateFunction& function = found->second;
  const std::size_t written = arguments == nullptr ? 0 : arguments->size() - 1;
  const std::size_t given = written + (final_value != nullptr ? 1 : 0);
  const std::size_t fixed = function.arguments.size() - (function.variadic ? 1 : 0);
  if (function.variadic && given < fixed) {
    return fail("wrong number of args for " + name.text + ": want at least " +
                std::to_string(fixed) + " got " + std::to_string(written));
  }
  if (!function.variadic && given != fixed) {
    return fail("wrong number of args for " + name.text + ": want " + std::to_string(fixed) +
                " got " + std::to_string(given));
  }
  const auto type_of = [&](std::size_t i) {
    return function.arguments[std::min(i, function.arguments.size() - 1)];
  };
  if (name.text == "and" || name.text == "or") {
    // They evaluate no further than they must.
    Value value;
    for (std::size_t i = 0; i < written; ++i) {
      value = TRY(eval_argument(dot, ArgumentType::kAny, (*arguments)[i + 1]));
      if (value.truth() == (name.text == "or")) return value;
    }
    return final_value != nullptr ? *final_value : value;
  }
  std::vector<Value> values;
  values.reserve(given);
  for (std::size_t i = 0; i < written; ++i) {
    values.push_back(TRY(eval_argument(dot, type_of(i), (*arguments)[i + 1])));
  }
  if (final_value != nullptr) values.push_back(TRY(validate(*final_value, type_of(written))));
  Result<Value> result = function.call(context_, values);
  if (!result.ok()) {
    if (result.status().code() == Code::kLimit) return result.status();
    node_ = &at;
    return fail("error calling " + name.text + ": " + result.status().message());
  }
  TRY(check_size(*result));
  return result;
}

Result<Value> Executor::eval_fields(const Value& dot, Value receiver, const Node& node,
                                    std::size_t first, const Nodes* arguments,
                                    const Value* final_value) {
  for (std::size_t i = first; i + 1 < node.names.size(); ++i) {
    receiver = TRY(eval_field(dot, node.names[i], node, nullptr, nullptr, receiver));
  }
  return eval_field(dot, node.names.back(), node, arguments, final_value, receiver);
}

Result<Value> Executor::eval_field(const Value& dot, const std::string& name, const Node& node,
                                   const Nodes* arguments, const Value* final_value,
                                   const Value& receiver) {
  if (receiver.is_none()) return Value();
  const bool has_arguments =
      (arguments != nullptr && arguments->size() > 1) || final_value != nullptr;
  if (const ValueMethod* method = receiver.method(name); method != nullptr) {
    std::vector<Value> values;
    for (std::size_t i = 1; arguments != nullptr && i < arguments->size(); ++i) {
      values.push_back(TRY(eval_argument(dot, ArgumentType::kAny, (*arguments)[i])));
    }
    if (final_value != nullptr) values.push_back(*final_value);
    node_ = &node;
    if (values.size() != method->argument_count) {
      return fail("wrong number of args for " + name + ": want " +
                  std::to_string(method->argument_count) + " got " + std::to_string(values.size()));
    }
    Result<Value> result = method->call(receiver, values);
    if (!result.ok()) return fail(result.status().message());
    TRY(check_size(*result));
    return result;
  }
  if (receiver.kind() == ValueKind::kStruct) {
    if (const Value* field = receiver.field(name); field != nullptr) {
      if (has_arguments) {
        return fail(name + " has arguments but cannot be invoked as function");
      }
      return *field;
    }
  }
  if (receiver.kind() == ValueKind::kMap) {
    if (has_arguments) return fail(name + " is not a method but has arguments");
    const auto found = receiver.as_map().find(name);
    if (found != receiver.as_map().end()) return found->second;
    return receiver.missing_is_empty() ? Value("") : Value();
  }
  return fail("can't evaluate field " + name + " in type " + std::string(receiver.type_name()));
}

Result<Value> Executor::variable(const std::string& name) const {
  for (std::size_t i = variables_.size(); i-- > variables_begin_;) {
    if (variables_[i].first == name) return variables_[i].second;
  }
  return fail("undefined variable: " + name);
}

Result<Value> Executor::eval_variable(const Value& dot, const Node& node, const Nodes* arguments,
                                      const Value* final_value) {
  node_ = &node;
  Value value = TRY(variable(node.names[0]));
  if (node.names.size() == 1) {
    TRY(not_a_function(arguments, final_value));
    return value;
  }
  return eval_fields(dot, std::move(value), node, 1, arguments, final_value);
}

Result<Value> Executor::eval_chain(const Value& dot, const Node& node, const Nodes* arguments,
                                   const Value* final_value) {
  node_ = &node;
  if (node.children[0].type == NodeType::kNil) {
    return fail("indirection through explicit nil in " + node_text(node));
  }
  Value receiver = TRY(eval_argument(dot, ArgumentType::kAny, node.children[0]));
  node_ = &node;
  return eval_fields(dot, std::move(receiver), node, 0, arguments, final_value);
}

Result<Value> Executor::eval_argument(const Value& dot, ArgumentType type, const Node& node) {
  node_ = &node;
  TRY(step());
  switch (node.type) {
    case NodeType::kDot: return validate(dot, type);
    case NodeType::kNil:
      if (type == ArgumentType::kString || type == ArgumentType::kInt ||
          type == ArgumentType::kTime) {
        return fail("cannot assign nil to " + std::string(argument_type_name(type)));
      }
      return Value();
    case NodeType::kField:
      return validate(TRY(eval_fields(dot, dot, node, 0, nullptr, nullptr)), type);
    case NodeType::kVariable:
      return validate(TRY(eval_variable(dot, node, nullptr, nullptr)), type);
    case NodeType::kPipe: return validate(TRY(eval_pipe(dot, node)), type);
    case NodeType::kIdentifier:
      return validate(TRY(eval_function(dot, node, node, nullptr, nullptr)), type);
    case NodeType::kChain: return validate(TRY(eval_chain(dot, node, nullptr, nullptr)), type);
    default: break;
  }
  if (type == ArgumentType::kString) {
    if (node.type == NodeType::kString) return Value(node.text);
    return fail("expected string; found " + node_text(node));
  }
  if (type == ArgumentType::kInt) {
    if (node.type == NodeType::kNumber && node.is_integer) return Value(node.integer);
    return fail("expected integer; found " + node_text(node));
  }
  if (type != ArgumentType::kAny || !is_literal(node.type)) {
    return fail("can't handle " + node_text(node) + " for arg of type " +
                std::string(argument_type_name(type)));
  }
  if (node.type == NodeType::kBool) return Value(node.integer != 0);
  return node.type == NodeType::kNumber ? number_value(node) : Value(node.text);
}

Result<Value> Executor::validate(Value value, ArgumentType type) const {
  const std::string_view wanted = argument_type_name(type);
  bool fits = false;
  switch (type) {
    case ArgumentType::kAny: return value;
    case ArgumentType::kString: fits = value.kind() == ValueKind::kString; break;
    case ArgumentType::kInt: fits = value.kind() == ValueKind::kInt; break;
    case ArgumentType::kTime: fits = value.kind() == ValueKind::kTime; break;
    case ArgumentType::kStringList:
    case ArgumentType::kSamples:
    case ArgumentType::kSample: fits = value.is_none() || value.type_name() == wanted; break;
  }
  if (fits) return value;
  if (value.is_none()) return fail("invalid value; expected " + std::string(wanted));
  return fail("wrong type for value; expected " + std::string(wanted) + "; got " +
              std::string(value.type_name()));
}

}  // namespace tarsier::alerting
