#include "query/parse/printer.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/number_text.h"
#include "base/quote.h"
#include "tsdb/labels.h"

namespace tarsier::query {

namespace {

/// A string literal the lexer accepts: it refuses U+FFFD unless escaped.
std::string string_literal(std::string_view text) {
  static constexpr std::string_view kReplacement = "\uFFFD";
  std::string out = quote(text);
  for (std::size_t at = out.find(kReplacement); at != std::string::npos;
       at = out.find(kReplacement, at)) {
    out.replace(at, kReplacement.size(), "\\ufffd");
  }
  return out;
}

std::string label_name(const std::string& name) {
  return tsdb::is_legacy_label_name(name) ? name : string_literal(name);
}

std::string label_list(std::span<const std::string> names) {
  std::string out = "(";
  for (const std::string& name : names) {
    if (out.size() > 1) out += ", ";
    out += label_name(name);
  }
  return out + ")";
}

std::string matcher_text(const tsdb::Matcher& m) {
  static constexpr std::string_view kOps[] = {"=", "!=", "=~", "!~"};
  return fmt::format("{}{}{}", label_name(m.name()), kOps[static_cast<std::size_t>(m.op())],
                     string_literal(m.value()));
}

std::string duration_expression(const DurationExpr& d) {
  const auto binary = [&d](std::string_view op) {
    return fmt::format("{} {} {}", duration_expression(*d.left), op, duration_expression(*d.right));
  };
  const auto call = [&d](std::string_view name) {
    return fmt::format("{}({}, {})", name, duration_expression(*d.left),
                       duration_expression(*d.right));
  };
  std::string out;
  switch (d.op) {
    case DurationOp::kNumber:
      out = d.is_duration ? format_duration(Duration{std::llround(d.seconds * 1000)})
                          : plain_number(d.seconds);
      break;
    case DurationOp::kStep: out = "step()"; break;
    case DurationOp::kRange: out = "range()"; break;
    case DurationOp::kMinOf: out = call("min_of"); break;
    case DurationOp::kMaxOf: out = call("max_of"); break;
    case DurationOp::kAdd: out = binary("+"); break;
    case DurationOp::kSubtract: out = binary("-"); break;
    case DurationOp::kMultiply: out = binary("*"); break;
    case DurationOp::kDivide: out = binary("/"); break;
    case DurationOp::kModulo: out = binary("%"); break;
    case DurationOp::kPower: out = binary("^"); break;
    case DurationOp::kPlus: out = duration_expression(*d.left); break;
    case DurationOp::kMinus: out = "-" + duration_expression(*d.left); break;
  }
  return d.in_parens ? "(" + out + ")" : out;
}

std::string duration_value(const DurationValue& d) {
  return d.expression ? duration_expression(*d.expression) : format_duration(d.constant);
}

/// A range or step in brackets. Below a millisecond it is held as 0, which could not be read back.
std::string bracket_duration(const DurationValue& d) {
  if (!d.expression && d.constant.ms == 0) return "0.0001";
  return duration_value(d);
}

std::string at_suffix(const AtModifier& at) {
  switch (at.anchor) {
    case AtModifier::Anchor::kNone: return "";
    case AtModifier::Anchor::kStart: return " @ start()";
    case AtModifier::Anchor::kEnd: return " @ end()";
    case AtModifier::Anchor::kTime: break;
  }
  const std::int64_t ms = at.time.ms;
  const std::uint64_t size =
      ms < 0 ? 0 - static_cast<std::uint64_t>(ms) : static_cast<std::uint64_t>(ms);
  return fmt::format(" @ {}{}.{:03}", ms < 0 ? "-" : "", size / 1000, size % 1000);
}

std::string offset_suffix(const DurationValue& offset) {
  if (!offset.expression && offset.constant.ms == 0) return "";
  return " offset " + duration_value(offset);
}

std::string_view extended_suffix(const Selector& s) {
  return s.anchored ? " anchored" : s.smoothed ? " smoothed" : "";
}

/// Name and matchers, without what shifts them in time.
std::string selector_core(const Selector& s) {
  std::vector<std::string> matchers;
  for (const tsdb::Matcher& m : s.matchers) {
    const bool is_the_name = m.name() == tsdb::kMetricName && m.op() == tsdb::MatchOp::kEqual &&
                             m.value() == s.name && !s.name.empty();
    if (!is_the_name) matchers.push_back(matcher_text(m));
  }
  std::ranges::sort(matchers);
  if (matchers.empty() && !s.name.empty()) return s.name;
  return fmt::format("{}{{{}}}", s.name, fmt::join(matchers, ","));
}

std::string matching_suffix(const VectorMatching& m) {
  const bool is_grouped =
      m.cardinality == Cardinality::kManyToOne || m.cardinality == Cardinality::kOneToMany;
  std::string out;
  if (m.on || !m.labels.empty() || is_grouped) {
    out += fmt::format(" {} {}", m.on ? "on" : "ignoring", label_list(m.labels));
  }
  if (is_grouped) {
    const bool left = m.cardinality == Cardinality::kManyToOne;
    out += fmt::format(" group_{} {}", left ? "left" : "right", label_list(m.include));
  }
  if (m.fill_left && m.fill_right && *m.fill_left == *m.fill_right) {
    return out + fmt::format(" fill ({})", short_number(*m.fill_left));
  }
  if (m.fill_left) out += fmt::format(" fill_left ({})", short_number(*m.fill_left));
  if (m.fill_right) out += fmt::format(" fill_right ({})", short_number(*m.fill_right));
  return out;
}

/// The operator with everything up to the right operand.
std::string operator_text(const Binary& b) {
  return fmt::format("{}{}{}", text_of(b.op), b.return_bool ? " bool" : "",
                     matching_suffix(b.matching));
}

/// `sum by (a) `, `sum`: everything before the parenthesis.
std::string aggregate_head(const Aggregate& a) {
  if (a.without) return fmt::format("{} without {} ", text_of(a.op), label_list(a.grouping));
  if (a.grouping.empty()) return std::string(text_of(a.op));
  return fmt::format("{} by {} ", text_of(a.op), label_list(a.grouping));
}

std::string subquery_suffix(const Subquery& s) {
  return fmt::format("[{}:{}]{}{}", bracket_duration(s.range),
                     s.has_step ? bracket_duration(s.step) : "", at_suffix(s.shift.at),
                     offset_suffix(s.shift.offset));
}

std::string_view sign_text(UnaryOp op) { return op == UnaryOp::kMinus ? "-" : "+"; }

std::string print_list(const std::vector<const Expr*>& expressions) {
  std::string out;
  for (const Expr* e : expressions) {
    if (!out.empty()) out += ", ";
    out += print(*e);
  }
  return out;
}

constexpr std::size_t kLineLengthMax = 100;

/// Appends to one text: an expression may be as deep as it is long.
class PrettyPrinter final {
 public:
  /// `level` 0 continues the line; a deeper one stands on a line of its own.
  void run(const Expr& e, std::size_t level);
  std::string take() { return std::move(out_); }

 private:
  void indent(std::size_t level) { out_.append(2 * level, ' '); }
  void run_in_parens(std::string_view head, const std::vector<const Expr*>& inside,
                     std::size_t level);
  void run_unary(const Unary& e, std::size_t level);
  bool fits(const Expr& e);

  std::string out_;
  std::unordered_map<const Expr*, bool> fits_;
};

/// Whether the expression has room on one line. Children are asked first: to write out what holds a
/// long one only to measure it would cost the length of the query at every level.
bool PrettyPrinter::fits(const Expr& e) {
  if (const auto known = fits_.find(&e); known != fits_.end()) return known->second;
  const bool is_short =
      std::ranges::all_of(children_of(e), [this](const Expr* child) { return fits(*child); }) &&
      print(e).size() <= kLineLengthMax;
  fits_.emplace(&e, is_short);
  return is_short;
}

void PrettyPrinter::run_in_parens(std::string_view head, const std::vector<const Expr*>& inside,
                                  std::size_t level) {
  indent(level);
  out_ += head;
  std::string_view before = "(\n";
  for (const Expr* e : inside) {
    out_ += before;
    run(*e, level + 1);
    before = ",\n";
  }
  out_ += '\n';
  indent(level);
  out_ += ')';
}

/// The sign stands where the operand's margin would end.
void PrettyPrinter::run_unary(const Unary& e, std::size_t level) {
  indent(level);
  out_ += sign_text(e.op);
  const std::size_t begin = out_.size();
  run(*e.operand, level);
  out_.erase(begin, out_.find_first_not_of(' ', begin) - begin);
}

void PrettyPrinter::run(const Expr& e, std::size_t level) {
  if (e.kind == ExprKind::kUnary) return run_unary(as<Unary>(e), level);
  if (e.kind == ExprKind::kStepInvariant) return run(*as<StepInvariant>(e).inner, level);
  if (fits(e)) {
    // A subquery that fits has no margin even on a line of its own, as in Prometheus.
    if (e.kind != ExprKind::kSubquery) indent(level);
    out_ += print(e);
    return;
  }
  switch (e.kind) {
    case ExprKind::kAggregate:
      return run_in_parens(aggregate_head(as<Aggregate>(e)), children_of(e), level);
    case ExprKind::kCall: return run_in_parens(as<Call>(e).function.name, children_of(e), level);
    case ExprKind::kParen: return run_in_parens("", children_of(e), level);
    case ExprKind::kBinary: {
      const auto& b = as<Binary>(e);
      run(*b.left, level + 1);
      out_ += '\n';
      indent(level);
      out_ += operator_text(b);
      out_ += '\n';
      return run(*b.right, level + 1);
    }
    case ExprKind::kSubquery:
      run(*as<Subquery>(e).inner, level);
      out_ += subquery_suffix(as<Subquery>(e));
      return;
    default:  // A leaf: there is no place to break the line.
      indent(level);
      out_ += print(e);
  }
}

}  // namespace

std::string print(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kNumber: {
      const auto& n = as<Number>(e);
      if (!n.is_duration) return plain_number(n.value);
      return format_duration(Duration{std::llround(n.value * 1000)});
    }
    case ExprKind::kString: return string_literal(as<String>(e).value);
    case ExprKind::kSelector: {
      const auto& s = as<Selector>(e);
      return fmt::format("{}{}{}{}", selector_core(s), at_suffix(s.shift.at), extended_suffix(s),
                         offset_suffix(s.shift.offset));
    }
    case ExprKind::kRange: {
      const Selector& s = *as<Range>(e).selector;
      return fmt::format("{}[{}]{}{}{}", selector_core(s), bracket_duration(as<Range>(e).range),
                         extended_suffix(s), at_suffix(s.shift.at), offset_suffix(s.shift.offset));
    }
    case ExprKind::kSubquery:
      return print(*as<Subquery>(e).inner) + subquery_suffix(as<Subquery>(e));
    case ExprKind::kUnary:
      return fmt::format("{}{}", sign_text(as<Unary>(e).op), print(*as<Unary>(e).operand));
    case ExprKind::kBinary: {
      const auto& b = as<Binary>(e);
      return fmt::format("{} {} {}", print(*b.left), operator_text(b), print(*b.right));
    }
    case ExprKind::kAggregate:
      return fmt::format("{}({})", aggregate_head(as<Aggregate>(e)), print_list(children_of(e)));
    case ExprKind::kCall:
      return fmt::format("{}({})", as<Call>(e).function.name, print_list(children_of(e)));
    case ExprKind::kParen: return "(" + print(*as<Paren>(e).inner) + ")";
    case ExprKind::kStepInvariant: return print(*as<StepInvariant>(e).inner);
  }
  CHECK(false, "no such kind of expression");
  return "";
}

std::string print_pretty(const Expr& e) {
  PrettyPrinter printer;
  printer.run(e, 0);
  return printer.take();
}

}  // namespace tarsier::query
