#include "alerting/template/executor.h"

#include <algorithm>

#include "alerting/template/print.h"
#include "base/quote.h"

// How pipelines, commands and fields become values; what a template does with them is in
// executor.cc.

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
