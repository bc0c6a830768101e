#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"

namespace tarsier {

/// Compresses to gzip piece by piece. Every piece that comes out can be decompressed by itself with
/// those before it, so that a reader never waits for more. One thread at a time.
class GzipStream final {
 public:
  GzipStream();
  ~GzipStream();

  /// What `input` compresses to.
  std::string compress(Bytes input);
  /// The end of the stream. Nothing may follow.
  std::string finish();

 private:
  struct Impl;
  std::string run(Bytes input, int flush);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier
