#include "alerting/template/parser.h"

#include <optional>
#include <utility>
#include <vector>

#include "alerting/template/literal.h"
#include "alerting/template/pipeline_parser.h"
#include "alerting/template/token_cursor.h"

namespace tarsier::alerting {
namespace {

/// Whether nothing but space and definitions is in it: such a text does not replace a template.
bool is_empty(const Node& node) {
  if (node.type == NodeType::kText) {
    return node.text.find_first_not_of(" \t\r\n") == std::string::npos;
  }
  if (node.type != NodeType::kList) return false;
  for (const Node& child : node.children) {
    if (!is_empty(child)) return false;
  }
  return true;
}

/// How an inner list ended.
enum class ListEnd : unsigned char { kEnd, kElse };

class Parser final {
 public:
  Parser(std::string_view name, std::string_view text,
         const std::function<bool(std::string_view)>& is_function)
      : name_(name),
        text_(std::make_shared<const std::string>(text)),
        in_(name, *text_),
        pipelines_(in_, is_function) {}

  Status run(TemplateTrees& trees) {
    Node root;
    while (in_.peek().type != TokenType::kEnd) {
      if (in_.peek().type == TokenType::kLeftDelimiter) {
        const std::size_t back = in_.position();
        in_.next();
        if (in_.next_word().type == TokenType::kDefine) {
          TRY(definition());
          continue;
        }
        in_.go_back(back);
      }
      std::optional<ListEnd> end;
      Node node = TRY(text_or_action(end));
      if (end) return in_.fail("unexpected " + std::string(end_text(*end)));
      root.children.push_back(std::move(node));
    }
    add(std::string(name_), std::move(root));
    for (auto& [name, tree] : found_) {
      if (!trees.contains(name) || !is_empty(tree->root)) trees[name] = std::move(tree);
    }
    return {};
  }

 private:
  static std::string_view end_text(ListEnd end) {
    return end == ListEnd::kEnd ? "{{end}}" : "{{else}}";
  }
  void add(std::string name, Node root) {
    auto tree = std::make_shared<TemplateTree>();
    tree->name = name;
    tree->parse_name = std::string(name_);
    tree->text = text_;
    tree->root = std::move(root);
    found_.emplace_back(std::move(name), std::move(tree));
  }

  Result<std::string> template_name(const Token& token, std::string_view context) {
    if (token.type != TokenType::kString && token.type != TokenType::kRawString) {
      return in_.unexpected(token, context);
    }
    Result<std::string> name = unquote_go(token.text);
    if (!name.ok()) return in_.fail(name.status().message());
    return name;
  }

  /// The body of a `define` or `block`: it knows no variables of its surroundings.
  Status body(std::string name, std::string_view context) {
    std::vector<std::string> outer = std::exchange(pipelines_.variables, {"$"});
    const int outer_ranges = std::exchange(range_depth_, 0);
    auto [list, end] = TRY(list_until_end());
    if (end != ListEnd::kEnd) {
      return in_.fail("unexpected " + std::string(end_text(end)) + " in " + std::string(context));
    }
    pipelines_.variables = std::move(outer);
    range_depth_ = outer_ranges;
    add(std::move(name), std::move(list));
    return {};
  }

  Status definition() {
    std::string name = TRY(template_name(in_.next_word(), "define clause"));
    TRY(in_.expect(TokenType::kRightDelimiter, "define clause"));
    return body(std::move(name), "define clause");
  }

  Result<std::pair<Node, ListEnd>> list_until_end() {
    TRY(in_.enter());
    Node list;
    list.position = in_.peek_word().position;
    while (in_.peek_word().type != TokenType::kEnd) {
      std::optional<ListEnd> end;
      Node node = TRY(text_or_action(end));
      if (end) {
        in_.leave();
        return std::pair(std::move(list), *end);
      }
      list.children.push_back(std::move(node));
    }
    return in_.fail("unexpected EOF");
  }

  Result<Node> text_or_action(std::optional<ListEnd>& end) {
    const Token& token = in_.next_word();
    if (token.type == TokenType::kText) {
      Node node;
      node.type = NodeType::kText;
      node.position = token.position;
      node.text = token.text;
      return node;
    }
    if (token.type != TokenType::kLeftDelimiter) return in_.unexpected(token, "input");
    return action(end);
  }

  Result<Node> action(std::optional<ListEnd>& end) {
    const std::size_t back = in_.position();
    const Token& token = in_.next_word();
    switch (token.type) {
      case TokenType::kBlock: return block();
      case TokenType::kBreak: return leave_range(token, NodeType::kBreak, "{{break}}");
      case TokenType::kContinue: return leave_range(token, NodeType::kContinue, "{{continue}}");
      case TokenType::kIf: return control(NodeType::kIf, "if");
      case TokenType::kRange: return control(NodeType::kRange, "range");
      case TokenType::kWith: return control(NodeType::kWith, "with");
      case TokenType::kTemplate: return template_call();
      case TokenType::kElse: {
        end = ListEnd::kElse;
        const TokenType following = in_.peek_word().type;
        // The `if` of `else if` is read by whoever owns the `else`.
        if (following != TokenType::kIf && following != TokenType::kWith) {
          TRY(in_.expect(TokenType::kRightDelimiter, "else"));
        }
        return Node();
      }
      case TokenType::kEndKeyword:
        end = ListEnd::kEnd;
        TRY(in_.expect(TokenType::kRightDelimiter, "end"));
        return Node();
      default: break;
    }
    in_.go_back(back);
    Node node;
    node.type = NodeType::kAction;
    node.position = in_.peek().position;
    node.children.push_back(TRY(pipelines_.pipeline("command", TokenType::kRightDelimiter)));
    return node;
  }

  Result<Node> leave_range(const Token& token, NodeType type, std::string_view word) {
    Node node;
    node.type = type;
    node.position = token.position;
    const Token& following = in_.next_word();
    if (following.type != TokenType::kRightDelimiter) return in_.unexpected(following, word);
    if (range_depth_ == 0) return in_.fail(std::string(word) + " outside {{range}}");
    return node;
  }

  Result<Node> control(NodeType type, std::string_view context) {
    const std::size_t known = pipelines_.variables.size();
    Node node;
    node.type = type;
    node.children.push_back(TRY(pipelines_.pipeline(context, TokenType::kRightDelimiter)));
    node.position = node.children[0].position;
    if (type == NodeType::kRange) ++range_depth_;
    auto [list, end] = TRY(list_until_end());
    if (type == NodeType::kRange) --range_depth_;
    node.children.push_back(std::move(list));
    if (end == ListEnd::kElse) node.children.push_back(TRY(else_list(type)));
    pipelines_.variables.resize(known);
    return node;
  }

  Result<Node> else_list(NodeType type) {
    Node list;
    list.position = in_.peek().position;
    const bool goes_on = (type == NodeType::kIf && in_.peek().type == TokenType::kIf) ||
                         (type == NodeType::kWith && in_.peek().type == TokenType::kWith);
    if (goes_on) {
      in_.next();
      TRY(in_.enter());
      list.children.push_back(TRY(control(type, type == NodeType::kIf ? "if" : "with")));
      in_.leave();
      return list;
    }
    if (in_.peek().type == TokenType::kIf || in_.peek().type == TokenType::kWith) {
      return in_.unexpected(in_.peek(), "else");
    }
    auto [inner, end] = TRY(list_until_end());
    if (end != ListEnd::kEnd) return in_.fail("expected end; found " + std::string(end_text(end)));
    return std::move(inner);
  }

  Result<Node> block() {
    const Token& token = in_.next_word();
    Node node;
    node.type = NodeType::kTemplate;
    node.position = token.position;
    node.text = TRY(template_name(token, "block clause"));
    node.children.push_back(TRY(pipelines_.pipeline("block clause", TokenType::kRightDelimiter)));
    TRY(body(node.text, "block clause"));
    return node;
  }

  Result<Node> template_call() {
    const Token& token = in_.next_word();
    Node node;
    node.type = NodeType::kTemplate;
    node.position = token.position;
    node.text = TRY(template_name(token, "template clause"));
    if (in_.peek_word().type == TokenType::kRightDelimiter) {
      in_.next();
      return node;
    }
    node.children.push_back(
        TRY(pipelines_.pipeline("template clause", TokenType::kRightDelimiter)));
    return node;
  }

  const std::string_view name_;
  const std::shared_ptr<const std::string> text_;
  TokenCursor in_;
  PipelineParser pipelines_;
  int range_depth_ = 0;
  std::vector<std::pair<std::string, std::shared_ptr<const TemplateTree>>> found_;
};

}  // namespace

Status parse_template(std::string_view name, std::string_view text,
                      const std::function<bool(std::string_view)>& is_function,
                      TemplateTrees& trees) {
  return Parser(name, text, is_function).run(trees);
}

}  // namespace tarsier::alerting
