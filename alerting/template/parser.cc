#include "alerting/template/parser.h"

#include <optional>
#include <utility>
#include <vector>

#include "alerting/template/lexer.h"
#include "alerting/template/literal.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

constexpr int kNestingMax = 100;

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
        is_function_(is_function),
        tokens_(lex_template(*text_)) {}

  Status run(TemplateTrees& trees) {
    Node root;
    while (peek().type != TokenType::kEnd) {
      if (peek().type == TokenType::kLeftDelimiter) {
        const std::size_t back = at_;
        ++at_;
        if (next_word().type == TokenType::kDefine) {
          TRY(definition());
          continue;
        }
        at_ = back;
      }
      std::optional<ListEnd> end;
      Node node = TRY(text_or_action(end));
      if (end) return fail("unexpected " + std::string(end_text(*end)));
      root.children.push_back(std::move(node));
    }
    add(std::string(name_), std::move(root));
    for (auto& [name, tree] : found_) {
      if (!trees.contains(name) || !is_empty(tree->root)) trees[name] = std::move(tree);
    }
    return {};
  }

 private:
  const Token& peek() const { return tokens_[at_]; }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    last_line_ = token.line;
    return token;
  }
  const Token& peek_word() {
    while (peek().type == TokenType::kSpace) ++at_;
    last_line_ = peek().line;
    return peek();
  }
  const Token& next_word() {
    peek_word();
    return next();
  }

  Status fail(const std::string& why) const {
    return invalid("template: " + std::string(name_) + ":" + std::to_string(last_line_) + ": " +
                   why);
  }
  Status unexpected(const Token& token, std::string_view context) const {
    if (token.type == TokenType::kError) return fail(token.text);
    return fail("unexpected " + describe(token) + " in " + std::string(context));
  }
  static std::string_view end_text(ListEnd end) {
    return end == ListEnd::kEnd ? "{{end}}" : "{{else}}";
  }
  Status expect(TokenType type, std::string_view context) {
    const Token& token = next_word();
    return token.type == type ? Status() : unexpected(token, context);
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
      return unexpected(token, context);
    }
    Result<std::string> name = unquote_go(token.text);
    if (!name.ok()) return fail(name.status().message());
    return name;
  }

  /// The body of a `define` or `block`: it knows no variables of its surroundings.
  Status body(std::string name, std::string_view context) {
    std::vector<std::string> outer = std::exchange(variables_, {"$"});
    const int outer_ranges = std::exchange(range_depth_, 0);
    auto [list, end] = TRY(list_until_end());
    if (end != ListEnd::kEnd) {
      return fail("unexpected " + std::string(end_text(end)) + " in " + std::string(context));
    }
    variables_ = std::move(outer);
    range_depth_ = outer_ranges;
    add(std::move(name), std::move(list));
    return {};
  }

  Status definition() {
    std::string name = TRY(template_name(next_word(), "define clause"));
    TRY(expect(TokenType::kRightDelimiter, "define clause"));
    return body(std::move(name), "define clause");
  }

  Result<std::pair<Node, ListEnd>> list_until_end() {
    if (++nesting_ > kNestingMax) return fail("actions are nested too deeply");
    Node list;
    list.position = peek_word().position;
    while (peek_word().type != TokenType::kEnd) {
      std::optional<ListEnd> end;
      Node node = TRY(text_or_action(end));
      if (end) {
        --nesting_;
        return std::pair(std::move(list), *end);
      }
      list.children.push_back(std::move(node));
    }
    return fail("unexpected EOF");
  }

  Result<Node> text_or_action(std::optional<ListEnd>& end) {
    const Token& token = next_word();
    if (token.type == TokenType::kText) {
      Node node;
      node.type = NodeType::kText;
      node.position = token.position;
      node.text = token.text;
      return node;
    }
    if (token.type != TokenType::kLeftDelimiter) return unexpected(token, "input");
    return action(end);
  }

  Result<Node> action(std::optional<ListEnd>& end) {
    const std::size_t back = at_;
    const Token& token = next_word();
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
        const TokenType following = peek_word().type;
        // The `if` of `else if` is read by whoever owns the `else`.
        if (following != TokenType::kIf && following != TokenType::kWith) {
          TRY(expect(TokenType::kRightDelimiter, "else"));
        }
        return Node();
      }
      case TokenType::kEndKeyword:
        end = ListEnd::kEnd;
        TRY(expect(TokenType::kRightDelimiter, "end"));
        return Node();
      default: break;
    }
    at_ = back;
    Node node;
    node.type = NodeType::kAction;
    node.position = peek().position;
    node.children.push_back(TRY(pipeline("command", TokenType::kRightDelimiter)));
    return node;
  }

  Result<Node> leave_range(const Token& token, NodeType type, std::string_view word) {
    Node node;
    node.type = type;
    node.position = token.position;
    const Token& following = next_word();
    if (following.type != TokenType::kRightDelimiter) return unexpected(following, word);
    if (range_depth_ == 0) return fail(std::string(word) + " outside {{range}}");
    return node;
  }

  Result<Node> control(NodeType type, std::string_view context) {
    const std::size_t known = variables_.size();
    Node node;
    node.type = type;
    node.children.push_back(TRY(pipeline(context, TokenType::kRightDelimiter)));
    node.position = node.children[0].position;
    if (type == NodeType::kRange) ++range_depth_;
    auto [list, end] = TRY(list_until_end());
    if (type == NodeType::kRange) --range_depth_;
    node.children.push_back(std::move(list));
    if (end == ListEnd::kElse) node.children.push_back(TRY(else_list(type)));
    variables_.resize(known);
    return node;
  }

  Result<Node> else_list(NodeType type) {
    Node list;
    list.position = peek().position;
    const bool goes_on = (type == NodeType::kIf && peek().type == TokenType::kIf) ||
                         (type == NodeType::kWith && peek().type == TokenType::kWith);
    if (goes_on) {
      next();
      if (++nesting_ > kNestingMax) return fail("actions are nested too deeply");
      list.children.push_back(TRY(control(type, type == NodeType::kIf ? "if" : "with")));
      --nesting_;
      return list;
    }
    if (peek().type == TokenType::kIf || peek().type == TokenType::kWith) {
      return unexpected(peek(), "else");
    }
    auto [inner, end] = TRY(list_until_end());
    if (end != ListEnd::kEnd) return fail("expected end; found " + std::string(end_text(end)));
    return std::move(inner);
  }

  Result<Node> block() {
    const Token& token = next_word();
    Node node;
    node.type = NodeType::kTemplate;
    node.position = token.position;
    node.text = TRY(template_name(token, "block clause"));
    node.children.push_back(TRY(pipeline("block clause", TokenType::kRightDelimiter)));
    TRY(body(node.text, "block clause"));
    return node;
  }

  Result<Node> template_call() {
    const Token& token = next_word();
    Node node;
    node.type = NodeType::kTemplate;
    node.position = token.position;
    node.text = TRY(template_name(token, "template clause"));
    if (peek_word().type == TokenType::kRightDelimiter) {
      next();
      return node;
    }
    node.children.push_back(TRY(pipeline("template clause", TokenType::kRightDelimiter)));
    return node;
  }

  /// Reads `$x :=`, `$i, $x :=` or `$x =` if it is there.
  Status declarations(Node& pipe, std::string_view context) {
    while (peek_word().type == TokenType::kVariable) {
      const std::size_t back = at_;
      const std::string name = next().text;
      const Token& following = peek_word();
      const bool is_comma = following.type == TokenType::kCharacter && following.text == ",";
      if (following.type != TokenType::kAssign && following.type != TokenType::kDeclare &&
          !is_comma) {
        at_ = back;
        return {};
      }
      pipe.names.push_back(name);
      variables_.push_back(name);
      pipe.assigns = following.type == TokenType::kAssign;
      next();
      if (!is_comma) return {};
      if (context != "range" || pipe.names.size() > 1) {
        return fail("too many declarations in " + std::string(context));
      }
      if (peek_word().type != TokenType::kVariable) {
        return fail("range can only initialize variables");
      }
    }
    return {};
  }

  Result<Node> pipeline(std::string_view context, TokenType end) {
    if (++nesting_ > kNestingMax) return fail("actions are nested too deeply");
    Node pipe;
    pipe.type = NodeType::kPipe;
    pipe.position = peek_word().position;
    TRY(declarations(pipe, context));
    for (;;) {
      const Token& token = peek_word();
      if (token.type == end) {
        next();
        TRY(check_pipeline(pipe, context));
        --nesting_;
        return pipe;
      }
      if (!starts_operand(token.type)) return unexpected(token, context);
      pipe.children.push_back(TRY(command()));
    }
  }

  static bool starts_operand(TokenType type) {
    switch (type) {
      case TokenType::kBool:
      case TokenType::kCharacterConstant:
      case TokenType::kDot:
      case TokenType::kField:
      case TokenType::kIdentifier:
      case TokenType::kNumber:
      case TokenType::kNil:
      case TokenType::kRawString:
      case TokenType::kString:
      case TokenType::kVariable:
      case TokenType::kLeftParenthesis: return true;
      default: return false;
    }
  }

  Status check_pipeline(const Node& pipe, std::string_view context) const {
    if (pipe.children.empty()) return fail("missing value for " + std::string(context));
    for (std::size_t i = 1; i < pipe.children.size(); ++i) {
      switch (pipe.children[i].children[0].type) {
        case NodeType::kBool:
        case NodeType::kDot:
        case NodeType::kNil:
        case NodeType::kNumber:
        case NodeType::kString:
          return fail("non executable command in pipeline stage " + std::to_string(i + 1));
        default: break;
      }
    }
    return {};
  }

  Result<Node> command() {
    Node node;
    node.type = NodeType::kCommand;
    node.position = peek_word().position;
    for (;;) {
      peek_word();
      if (starts_operand(peek().type)) node.children.push_back(TRY(operand()));
      const Token& token = peek();
      if (token.type == TokenType::kSpace) continue;
      if (token.type == TokenType::kPipe) {
        next();
        break;
      }
      if (token.type == TokenType::kRightDelimiter || token.type == TokenType::kRightParenthesis) {
        break;
      }
      last_line_ = token.line;
      return unexpected(token, "operand");
    }
    if (node.children.empty()) return fail("empty command");
    return node;
  }

  Result<Node> operand() {
    Node node = TRY(term());
    if (peek().type != TokenType::kField) return node;
    const std::size_t position = peek().position;
    std::vector<std::string> fields;
    while (peek().type == TokenType::kField) fields.push_back(next().text.substr(1));
    switch (node.type) {
      case NodeType::kField:
      case NodeType::kVariable:
        node.names.insert(node.names.end(), fields.begin(), fields.end());
        node.position = position;
        return node;
      case NodeType::kBool:
      case NodeType::kString:
      case NodeType::kNumber:
      case NodeType::kNil:
      case NodeType::kDot: return fail("unexpected . after term " + quote(node_text(node)));
      default: break;
    }
    Node chain;
    chain.type = NodeType::kChain;
    chain.position = position;
    chain.names = std::move(fields);
    chain.children.push_back(std::move(node));
    return chain;
  }

  Result<Node> term() {
    const Token& token = next();
    Node node;
    node.position = token.position;
    node.text = token.text;
    switch (token.type) {
      case TokenType::kIdentifier:
        node.type = NodeType::kIdentifier;
        if (!is_function_(token.text)) {
          return fail("function " + quote(token.text) + " not defined");
        }
        return node;
      case TokenType::kDot: node.type = NodeType::kDot; return node;
      case TokenType::kNil: node.type = NodeType::kNil; return node;
      case TokenType::kVariable:
        node.type = NodeType::kVariable;
        node.names = {token.text};
        for (const std::string& known : variables_) {
          if (known == token.text) return node;
        }
        return fail("undefined variable " + quote(token.text));
      case TokenType::kField:
        node.type = NodeType::kField;
        node.names = {token.text.substr(1)};
        return node;
      case TokenType::kBool:
        node.type = NodeType::kBool;
        node.integer = token.text == "true" ? 1 : 0;
        return node;
      case TokenType::kCharacterConstant:
      case TokenType::kNumber: return number(token);
      case TokenType::kString:
      case TokenType::kRawString: {
        node.type = NodeType::kString;
        node.source = token.text;
        Result<std::string> value = unquote_go(token.text);
        if (!value.ok()) return fail(value.status().message());
        node.text = std::move(value).value();
        return node;
      }
      default: break;
    }
    // Only a parenthesis is left of what can start an operand.
    return pipeline("parenthesized pipeline", TokenType::kRightParenthesis);
  }

  Result<Node> number(const Token& token) const {
    Node node;
    node.type = NodeType::kNumber;
    node.position = token.position;
    node.text = token.text;
    const Status status = token.type == TokenType::kCharacterConstant
                              ? read_character_constant(token.text, node)
                              : read_number(token.text, node);
    if (!status.ok()) return fail(status.message());
    return node;
  }

  const std::string_view name_;
  const std::shared_ptr<const std::string> text_;
  const std::function<bool(std::string_view)>& is_function_;
  const std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int last_line_ = 1;
  int nesting_ = 0;
  int range_depth_ = 0;
  std::vector<std::string> variables_{"$"};
  std::vector<std::pair<std::string, std::shared_ptr<const TemplateTree>>> found_;
};

}  // namespace

Status parse_template(std::string_view name, std::string_view text,
                      const std::function<bool(std::string_view)>& is_function,
                      TemplateTrees& trees) {
  return Parser(name, text, is_function).run(trees);
}

}  // namespace tarsier::alerting
