#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// What a template sees of one sample: its labels with `__name__`, and its value.
struct TemplateSample {
  tsdb::Labels labels;
  double value = 0;
  /// The text of a native histogram; the value is then not used.
  std::optional<std::string> histogram;
};

/// Answers `query` inside a template: an instant query at `at`, samples in the engine's order. Its
/// error becomes the error of the expansion.
using TemplateQuery =
    std::function<Result<std::vector<TemplateSample>>(std::string_view expression, Timestamp at)>;

/// What an expansion may know of the world.
struct TemplateContext {
  Timestamp now;             ///< The evaluation time, without the group's query_offset.
  std::string external_url;  ///< `http://host:9090/prefix`, without a slash at its end.
  tsdb::Labels external_labels;
  TemplateQuery query;  ///< Empty: calling `query` is an error.
};

/// How much one template may do; beyond it the expansion fails with kLimit.
struct TemplateLimits {
  std::size_t output_bytes_max = std::size_t{1} << 20;
  std::size_t step_count_max = 1'000'000;  ///< Nodes walked: bounds the time of loops.
  int depth_max = 100;                     ///< Templates inside each other, and nested actions.
};

/// A label or annotation of an alerting rule: Go's text/template with Prometheus' functions and the
/// variables `$labels`, `$value`, `$externalLabels`, `$externalURL`. Parsed once, immutable, cheap
/// to copy; any number of threads may expand it.
class TemplateText final {
 public:
  /// `name` stands in error texts; Prometheus calls a rule's templates `__alert_<rule name>`.
  /// kInvalid with Go's text: `template: __alert_X:1: undefined variable "$label"`.
  static Result<TemplateText> parse(std::string name, std::string_view text);

  /// kInvalid with Go's text (`error executing template __alert_X: template: __alert_X:1:117:
  /// executing ...`) or kLimit.
  Result<std::string> expand(const TemplateSample& sample, const TemplateContext& context,
                             const TemplateLimits& limits = {}) const;
  /// The expansion, or `<error expanding template: ...>` in its place; `failed` is set then.
  std::string expand_or_error(const TemplateSample& sample, const TemplateContext& context,
                              bool& failed) const;

  /// Whether the text is the same for every sample: it has no actions.
  bool is_literal() const;
  /// Whether it reads the sample's value, so that a label made from it changes its identity.
  bool uses_value() const;

 private:
  struct Parsed;
  explicit TemplateText(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace tarsier::alerting
