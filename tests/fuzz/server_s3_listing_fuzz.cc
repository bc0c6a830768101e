#include "server/s3_bucket.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

void fuzz_one(Bytes input) { (void)server::parse_s3_listing(as_text(input)).ok(); }

}  // namespace tarsier
