#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"

namespace tarsier {

/// What stands around the compressed bytes.
enum class DeflateFormat : unsigned char {
  kGzip,  ///< RFC 1952.
  kZlib,  ///< RFC 1950: what HTTP calls `deflate`.
};

/// Compresses piece by piece. Every piece that comes out can be decompressed by itself with
/// those before it, so that a reader never waits for more. One thread at a time.
class DeflateStream final {
 public:
  explicit DeflateStream(DeflateFormat format);
  ~DeflateStream();

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
