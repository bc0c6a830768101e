#include "alerting/template_text.h"
#include "base/check.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// Any text is refused or expands to at most what the limits allow.
void fuzz_one(Bytes bytes) {
  const Result<alerting::TemplateText> parsed =
      alerting::TemplateText::parse("fuzz", as_text(bytes));
  if (!parsed.ok()) return;
  const alerting::TemplateSample sample{tsdb::Labels{{"__name__", "m"}, {"job", "a b"}}, 1.5, {}};
  alerting::TemplateContext context;
  context.now = Timestamp{1'700'000'000'000};
  context.external_url = "http://host:9090/x";
  context.query = [&](std::string_view,
                      Timestamp) -> Result<std::vector<alerting::TemplateSample>> {
    return std::vector<alerting::TemplateSample>{sample, sample};
  };
  alerting::TemplateLimits limits;
  limits.output_bytes_max = 10'000;
  limits.step_count_max = 10'000;
  const Result<std::string> text = parsed->expand(sample, context, limits);
  CHECK(!text.ok() || parsed->is_literal() || text->size() <= limits.output_bytes_max);
}

}  // namespace tarsier
