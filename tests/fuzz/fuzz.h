#pragma once

#include "base/bytes.h"

namespace tarsier {

/// What a fuzz target defines: takes any bytes, must neither crash nor hang nor use much memory.
void fuzz_one(Bytes input);

}  // namespace tarsier
