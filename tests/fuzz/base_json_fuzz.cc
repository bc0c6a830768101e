#include "base/json_reader.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

void fuzz_one(Bytes input) { (void)parse_json(as_text(input)).ok(); }

}  // namespace tarsier
