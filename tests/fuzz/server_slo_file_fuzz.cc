#include "base/posix_file.h"
#include "server/slo_file.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

void fuzz_one(Bytes input) {
  static const std::unique_ptr<FileSystem> files = make_posix_file_system();
  auto contents = server::parse_slo_file(as_text(input), "slos.yml", *files);
  if (!contents.ok()) return;
  for (alerting::SloDefinition& slo : contents->slos) {
    const auto compiled = alerting::Slo::compile(std::move(slo));
    if (!compiled.ok()) continue;
    for (const Duration window : (*compiled)->windows()) {
      static_cast<void>((*compiled)->ratio_query(window));
    }
  }
}

}  // namespace tarsier
