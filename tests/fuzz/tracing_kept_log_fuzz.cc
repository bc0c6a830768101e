#include <memory>
#include <string>

#include "tests/fuzz/fuzz.h"
#include "tracing/store/block_summary.h"
#include "tracing/store/kept_log.h"
#include "tracing/store/trace_block.h"

namespace tarsier {

/// Records of the log, the meta of a block, its summary and its strings, from any bytes.
void fuzz_one(Bytes input) {
  using namespace tracing;
  (void)decode_kept(std::make_shared<const std::string>(as_text(input))).ok();
  (void)decode_block_meta(as_text(input)).ok();
  (void)decode_summary(as_text(input)).ok();
  for (const std::size_t count : {0UL, 1UL, 7UL}) (void)decode_strings(as_text(input), count).ok();
}

}  // namespace tarsier
