#include "alerting/template/executor.h"

#include <algorithm>

#include "alerting/template/print.h"
#include "base/quote.h"

namespace tarsier::alerting {
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

}  // namespace tarsier::alerting
