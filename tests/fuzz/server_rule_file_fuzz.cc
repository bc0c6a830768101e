#include "base/bytes.h"
#include "server/rule_file.h"
#include "server/rule_test_file.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// Rule files and rule unit tests.
void fuzz_one(Bytes input) {
  const std::string_view text = as_text(input);
  const auto groups = server::parse_rule_file(text, "fuzz.yml", {});
  if (groups.ok()) {
    for (const alerting::RuleGroupDefinition& group : *groups) {
      static_cast<void>(alerting::compile_group(group, {}));
    }
  }
  static_cast<void>(server::parse_rule_test_file(text, "fuzz.yml"));
}

}  // namespace tarsier
