#include "query/plan/info_selector.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "tsdb/labels.h"

namespace tarsier::query {
namespace {

/// The times of the first selector in `e`: its own `@` and offset, else those of the subqueries
/// around it, from the inside out, until one has `@`.
std::optional<TimeShift> first_shift(const Expr& e) {
  if (e.kind == ExprKind::kSelector) {
    const TimeShift& own = as<Selector>(e).shift;
    TimeShift shift;
    shift.offset.constant = own.offset.constant;
    shift.at = own.at;
    return shift;
  }
  for (const Expr* child : children_of(e)) {
    std::optional<TimeShift> shift = first_shift(*child);
    if (!shift) continue;
    if (e.kind == ExprKind::kSubquery && !shift->at) {
      const TimeShift& outer = as<Subquery>(e).shift;
      shift->offset.constant = shift->offset.constant + outer.offset.constant;
      shift->at = outer.at;
    }
    return shift;
  }
  return std::nullopt;
}

Status complete(Call& call) {
  if (call.arguments.size() == 1) {
    auto selector = std::make_unique<Selector>();
    selector->is_label_selector = true;
    selector->source = call.source;
    call.arguments.push_back(std::move(selector));
  }
  auto& selector = as<Selector>(*call.arguments[1]);
  const auto names = [](const tsdb::Matcher& m) { return m.name() == tsdb::kMetricName; };
  auto& matchers = selector.matchers;
  const bool has_name = std::any_of(matchers.begin(), matchers.end(), names);
  const bool has_positive =
      std::any_of(matchers.begin(), matchers.end(),
                  [&](const tsdb::Matcher& m) { return names(m) && !m.is_negative(); });
  if (!has_name) {
    matchers.push_back(tsdb::Matcher::equal(std::string(tsdb::kMetricName), "target_info"));
  } else if (!has_positive) {
    matchers.push_back(TRY(
        tsdb::Matcher::create(tsdb::MatchOp::kRegex, std::string(tsdb::kMetricName), ".+_info")));
  }
  if (std::optional<TimeShift> shift = first_shift(*call.arguments[0])) {
    selector.shift = std::move(*shift);
  }
  return {};
}

}  // namespace

Status complete_info_selectors(Expr& root) {
  for (Expr* child : children_of(root)) TRY(complete_info_selectors(*child));
  if (root.kind == ExprKind::kCall && as<Call>(root).function.id == FunctionId::kInfo) {
    return complete(as<Call>(root));
  }
  return {};
}

}  // namespace tarsier::query
