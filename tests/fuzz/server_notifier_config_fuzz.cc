#include "base/check.h"
#include "server/notifier_config.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// Any text is refused, or is a configuration whose shown form is YAML.
void fuzz_one(Bytes bytes) {
  const Result<alerting::NotifierConfig> config = server::parse_notifier_config(
      as_text(bytes), {.file = "am.yml", .files = nullptr, .environment = {}});
  if (!config.ok()) return;
  CHECK(server::parse_yaml(config->shown).ok(), config->shown);
}

}  // namespace tarsier
