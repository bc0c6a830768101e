#include "base/check.h"
#include "server/config.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// What is accepted must render to a file that is accepted too, and renders to itself.
void fuzz_one(Bytes input) {
  const server::ConfigSources sources{
      .environment = [](const std::string&) { return std::optional<std::string>("value"); }};
  const Result<server::Config> config = server::parse_config(as_text(input), sources);
  if (!config.ok()) return;
  const std::string text = server::render_config(*config);
  const Result<server::Config> again = server::parse_config(text, sources);
  if (!again.ok()) CHECK(false, again.status().message() + "\n" + text);
}

}  // namespace tarsier
