#include "tests/query/promqltest.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <regex>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/duration.h"
#include "query/parse.h"
#include "query/parse/literal.h"
#include "query/parse/printer.h"
#include "tests/query/promqltest_expectation.h"
#include "tests/query/promqltest_load.h"
#include "tests/query/series_notation.h"
#include "tests/support/table_storage.h"

namespace tarsier::testing {
namespace {

using query::Expr;
using query::ExprKind;
using query::ExprPtr;
using query::FunctionId;
using query::QueryRequest;
using query::QueryResult;
using query::ResultType;

std::string trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin));
}

/// Removes and returns the first word.
std::string take_word(std::string& text) {
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  std::string word = text.substr(0, end);
  text = trim(std::string_view(text).substr(end));
  return word;
}

const query::ParseOptions kStable = {};
const query::ParseOptions kExperimental = {
    .experimental_functions = true, .extended_range_selectors = true, .fill_modifiers = true};

template <typename Visit>
void for_each_node(const Expr& e, const Visit& visit) {
  visit(e);
  for (const Expr* child : query::children_of(e)) for_each_node(*child, visit);
}

class ScriptRunner final {
 public:
  ScriptRunner(std::string_view script, const PromqlEvaluator& evaluate) : evaluate_(evaluate) {
    std::istringstream lines{std::string(script)};
    for (std::string line; std::getline(lines, line);) {
      line = trim(line);
      lines_.push_back(line.starts_with('#') ? "" : line);
    }
  }

  PromqlReport run();

 private:
  bool at_block_end() const { return next_ >= lines_.size() || lines_[next_].empty(); }
  void fail(int line, std::string message) {
    report_.failures.push_back(fmt::format("line {}: {}", line, message));
  }
  Status run_block();
  Status load(std::string header);
  Result<Eval> read_eval(std::string header);
  Status read_expectation(std::string line, Eval& eval);
  Status read_expect(std::string line, Eval& eval);
  std::optional<std::string> skip_reason(const Eval& eval) const;
  void run_eval(const Eval& eval);

  Status check(const Eval& eval, const QueryRequest& request);
  Status check_instant(const Eval& eval, const std::string& text, Timestamp time);
  Status check_range_mode(const Eval& eval, const QueryResult& instant, const std::string& text,
                          Timestamp time);

  const PromqlEvaluator& evaluate_;
  std::vector<std::string> lines_;
  std::size_t next_ = 0;
  PromqlReport report_;

  TableStorage storage_;
  LoadedSeries loaded_;
};

PromqlReport ScriptRunner::run() {
  while (next_ < lines_.size()) {
    if (lines_[next_].empty()) {
      ++next_;
      continue;
    }
    const int line = static_cast<int>(next_) + 1;
    if (const Status status = run_block(); !status.ok()) {
      ++report_.run;
      fail(line, "script: " + status.message());
      while (!at_block_end()) ++next_;
    }
  }
  return std::move(report_);
}

Status ScriptRunner::run_block() {
  std::string line = lines_[next_];
  const std::string command = take_word(line);
  if (command == "clear") {
    ++next_;
    storage_.clear();
    loaded_.clear();
    return {};
  }
  if (command.starts_with("load")) return load(lines_[next_]);
  if (command.starts_with("eval")) {
    const Eval eval = TRY(read_eval(lines_[next_]));
    ++report_.run;
    run_eval(eval);
    return {};
  }
  return invalid("unknown command " + command);
}

Status ScriptRunner::load(std::string header) {
  const bool custom = take_word(header) == "load_with_nhcb";
  const Duration step = TRY(parse_duration(header));
  std::vector<SeriesLine> lines;
  for (++next_; !at_block_end(); ++next_) {
    const std::string& text = lines_[next_];
    const auto [labels, rest] = TRY(parse_labels_prefix(text));
    if (rest.starts_with("@st")) {
      TRY(loaded_.add_start_times(labels, rest.substr(3), step));
      continue;
    }
    lines.push_back(TRY(parse_series_line(text)));
  }
  for (const SeriesLine& line : lines) {
    for (std::size_t i = 0; i < line.slots.size(); ++i) {
      const Timestamp t{static_cast<std::int64_t>(i) * step.ms};
      if (line.slots[i]) {
        loaded_.add(line.labels, t, *line.slots[i]);
      } else if (const auto h = line.histograms.find(i); h != line.histograms.end()) {
        loaded_.add(line.labels, t, h->second.histogram);
      }
    }
  }
  if (custom) TRY(loaded_.add_custom_histograms(lines, step));
  loaded_.store(storage_);
  return {};
}

Result<Eval> ScriptRunner::read_eval(std::string header) {
  static const std::regex kInstant(R"(^eval(_\w+)?\s+instant\s+(?:at\s+(\S+)\s+)?(.+)$)");
  static const std::regex kRange(
      R"(^eval(_\w+)?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)$)");
  Eval eval;
  eval.line = static_cast<int>(next_) + 1;
  std::smatch parts;
  if (std::regex_match(header, parts, kInstant)) {
    if (parts[2].matched) eval.start = Timestamp{TRY(parse_duration(parts[2].str())).ms};
    eval.end = eval.start;
    eval.text = parts[3];
  } else if (std::regex_match(header, parts, kRange)) {
    eval.is_range = true;
    eval.start = Timestamp{TRY(parse_duration(parts[2].str())).ms};
    eval.end = Timestamp{TRY(parse_duration(parts[3].str())).ms};
    eval.step = TRY(parse_duration(parts[4].str()));
    eval.text = parts[5];
  } else {
    return invalid("not an eval line: " + header);
  }
  const std::string kind = parts[1];
  if (kind == "_fail") eval.failure = TextPattern{};
  if (kind == "_warn") eval.warnings.emplace_back();
  if (kind == "_info") eval.infos.emplace_back();
  if (kind == "_ordered") eval.ordered = true;
  for (++next_; !at_block_end(); ++next_) TRY(read_expectation(lines_[next_], eval));
  return eval;
}

Status ScriptRunner::read_expectation(std::string line, Eval& eval) {
  if (line.starts_with("expect ") || line.starts_with("expect\t")) return read_expect(line, eval);
  if (line.starts_with("expected_fail_message ")) {
    take_word(line);
    eval.failure = TextPattern{.text = line};
    return {};
  }
  if (line.starts_with("expected_fail_regexp ")) {
    take_word(line);
    eval.failure = TextPattern{.text = line, .is_regex = true};
    return {};
  }
  if (line.find_first_of(" \t{") == std::string::npos) {
    std::string digits = line;
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.erase(0, 1);
    if (const Result<double> number = query::parse_number(digits); number.ok()) {
      eval.scalar = negative ? -*number : *number;
      return {};
    }
  }
  eval.series.push_back(TRY(parse_series_line(line)));
  return {};
}

Status ScriptRunner::read_expect(std::string line, Eval& eval) {
  static const std::regex kAnnotation(
      R"(^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$)");
  static const std::regex kMatrix(
      R"(^expect range vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)$)");
  std::smatch parts;
  if (std::regex_match(line, parts, kMatrix)) {
    eval.matrix_start = Timestamp{TRY(parse_duration(parts[1].str())).ms};
    eval.matrix_step = TRY(parse_duration(parts[3].str()));
    return {};
  }
  if (line.starts_with("expect string ")) {
    const std::string literal = trim(line.substr(14));
    const Result<ExprPtr> parsed = query::parse_expression(literal);
    if (!parsed.ok() || (*parsed)->kind != ExprKind::kString) return invalid("not a string");
    eval.string = query::as<query::String>(**parsed).value;
    return {};
  }
  if (!std::regex_match(line, parts, kAnnotation)) return invalid("not an expectation: " + line);
  const std::string what = parts[1];
  const TextPattern pattern = {.text = trim(parts[3].str()), .is_regex = parts[2] == "regex"};
  if (what == "ordered") eval.ordered = true;
  if (what == "fail") eval.failure = pattern;
  if (what == "warn") eval.warnings.push_back(pattern);
  if (what == "info") eval.infos.push_back(pattern);
  if (what == "no_warn") eval.no_warn = true;
  if (what == "no_info") eval.no_info = true;
  return {};
}

std::optional<std::string> ScriptRunner::skip_reason(const Eval& eval) const {
  const Result<ExprPtr> parsed = query::parse_expression(eval.text, kExperimental);
  if (!parsed.ok()) return std::nullopt;  // Then it should be refused.
  if (!evaluate_.knows_experimental && !query::parse_expression(eval.text, kStable).ok()) {
    return "experimental";
  }
  if (!evaluate_.knows_start_times && loaded_.has_start_times()) return "start timestamps";
  return std::nullopt;
}

void ScriptRunner::run_eval(const Eval& eval) {
  if (const auto reason = skip_reason(eval)) {
    ++report_.skipped[*reason];
    return;
  }
  const auto outcome = [&]() -> Status {
    if (eval.is_range) {
      return check(eval,
                   {.text = eval.text, .start = eval.start, .end = eval.end, .step = eval.step});
    }
    return check_instant(eval, eval.text, eval.start);
  };
  Status status = outcome();
  if (status.ok()) {
    ++report_.passed;
  } else {
    fail(eval.line, fmt::format("{}: {}", eval.text, status.message()));
  }
}

// Comparing.

Status ScriptRunner::check(const Eval& eval, const QueryRequest& request) {
  const Result<QueryResult> got = evaluate_.ask(storage_, request);
  if (eval.failure) {
    if (got.ok()) return invalid("expected a failure");
    if (eval.failure->matches(got.status().message())) return {};
    return invalid(
        fmt::format("want the failure {}, got {}", eval.failure->text, got.status().message()));
  }
  if (!got.ok()) return invalid("fails with " + got.status().message());
  TRY(compare_annotations(eval.warnings, eval.no_warn, got->annotations.warnings, "warning"));
  TRY(compare_annotations(eval.infos, eval.no_info, got->annotations.infos, "info"));
  TRY(compare_result(eval, *got));
  if (eval.is_range) return {};
  return check_range_mode(eval, *got, request.text, request.start);
}

/// A passing instant query must say the same as the middle step of a range query.
Status ScriptRunner::check_range_mode(const Eval& eval, const QueryResult& instant,
                                      const std::string& text, Timestamp time) {
  if (eval.string || eval.matrix_start) return {};
  static const std::regex kContextual(R"((start|end|range|step)\(\))");
  if (std::regex_search(text, kContextual)) return {};
  const QueryRequest request = {
      .text = text, .start = time - minutes(1), .end = time + minutes(1), .step = minutes(1)};
  const Result<QueryResult> got = evaluate_.ask(storage_, request);
  if (!got.ok()) return invalid("in range mode: fails with " + got.status().message());
  if (eval.ordered) return {};
  if (got->type != ResultType::kMatrix) return invalid("in range mode: not a matrix");
  if (!std::ranges::is_sorted(got->matrix, {}, &query::MatrixSeries::labels)) {
    return invalid("in range mode: the matrix is not sorted by labels");
  }
  std::vector<query::VectorElement> middle;
  for (const query::MatrixSeries& series : got->matrix) {
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      if (series.points.times_ms[i] != time.ms) continue;
      middle.push_back({series.labels, series.points.values[i]});
    }
    const std::size_t histograms = series.histograms == nullptr ? 0 : series.histograms->size();
    for (std::size_t i = 0; i < histograms; ++i) {
      if (series.histograms->times_ms[i] != time.ms) continue;
      middle.push_back({series.labels, 0,
                        std::make_shared<const tsdb::FloatHistogram>(series.histograms->at(i))});
    }
  }
  Status status;
  if (instant.type == ResultType::kScalar) {
    if (middle.size() != 1) return invalid("in range mode: not one value");
    status = compare_scalar(time, *eval.scalar, middle[0].value);
  } else {
    status = compare_vector(eval, middle, false);
  }
  return status.ok() ? status : std::move(status).with_prefix("in range mode");
}

// Moving a query in time.

bool depends_on_time(const Expr& e) {
  if (e.kind == ExprKind::kCall) {
    switch (query::as<query::Call>(e).function.id) {
      case FunctionId::kTime:
      case FunctionId::kMinute:
      case FunctionId::kHour:
      case FunctionId::kDayOfWeek:
      case FunctionId::kDayOfMonth:
      case FunctionId::kDayOfYear:
      case FunctionId::kDaysInMonth:
      case FunctionId::kMonth:
      case FunctionId::kYear:
      case FunctionId::kPredictLinear:
      case FunctionId::kTimestamp:
      case FunctionId::kStart:
      case FunctionId::kEnd:
      case FunctionId::kRange:
      case FunctionId::kStep: return true;
      default: break;
    }
  }
  return std::ranges::any_of(query::children_of(e),
                             [](const Expr* child) { return depends_on_time(*child); });
}

/// Adds `@ time` to everything that has no time of its own.
void pin(Expr& e, Timestamp time) {
  const auto pin_shift = [time](query::TimeShift& shift) {
    if (shift.at.anchor == query::AtModifier::Anchor::kTime) return;
    shift.at = {.anchor = query::AtModifier::Anchor::kTime, .time = time};
  };
  if (e.kind == ExprKind::kSelector) pin_shift(query::as<query::Selector>(e).shift);
  if (e.kind == ExprKind::kSubquery) return pin_shift(query::as<query::Subquery>(e).shift);
  for (Expr* child : query::children_of(e)) pin(*child, time);
}

Status ScriptRunner::check_instant(const Eval& eval, const std::string& text, Timestamp time) {
  TRY(check(eval, {.text = text, .start = time, .end = time, .step = Duration{0}}));
  const Result<ExprPtr> parsed = query::parse_expression(text, kExperimental);
  if (!parsed.ok() || depends_on_time(**parsed)) return {};
  pin(**parsed, time);
  const std::string pinned = query::print(**parsed);
  std::vector<std::int64_t> others = {-10 * time.ms, 0, time.ms / 5, time.ms, 10 * time.ms};
  if (time.ms == 0) others = {-1000, 0, 1000};
  for (const std::int64_t other : others) {
    const Timestamp t{other};
    Status status = check(eval, {.text = pinned, .start = t, .end = t, .step = Duration{0}});
    if (!status.ok()) {
      return std::move(status).with_prefix(fmt::format("as {} at {} ms", pinned, other));
    }
  }
  return {};
}

}  // namespace

int PromqlReport::skipped_count() const {
  int count = 0;
  for (const auto& [reason, n] : skipped) count += n;
  return count;
}

std::string PromqlReport::summary() const {
  std::string reasons;
  for (const auto& [reason, n] : skipped) {
    reasons += fmt::format("{}{} {}", reasons.empty() ? " (" : ", ", n, reason);
  }
  if (!reasons.empty()) reasons += ")";
  return fmt::format("{} cases: {} passed, {} failed, {} skipped{}", run, passed, failures.size(),
                     skipped_count(), reasons);
}

PromqlReport run_promqltest(std::string_view script, const PromqlEvaluator& evaluate) {
  return ScriptRunner(script, evaluate).run();
}

std::vector<std::string> list_scripts(const std::string& directory) {
  std::vector<std::string> paths;
  if (!std::filesystem::is_directory(directory)) return paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".test") paths.push_back(entry.path().string());
  }
  std::ranges::sort(paths);
  return paths;
}

void expect_script_passes(const std::string& path, const PromqlEvaluator& evaluate) {
  std::ifstream file(path);
  std::stringstream script;
  script << file.rdbuf();
  const PromqlReport report = run_promqltest(script.str(), evaluate);
  const std::string name = std::filesystem::path(path).filename().string();
  std::cout << fmt::format("{:30} {}\n", name, report.summary());
  EXPECT_GT(report.run, 0) << path;
  for (const std::string& failure : report.failures) ADD_FAILURE() << name << " " << failure;
}

}  // namespace tarsier::testing
