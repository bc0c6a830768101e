#include "base/deflate_stream.h"

#include <algorithm>

#include <zlib.h>

#include "base/check.h"

namespace tarsier {

struct DeflateStream::Impl {
  z_stream stream{};
};

DeflateStream::DeflateStream(DeflateFormat format) : impl_(std::make_unique<Impl>()) {
  const int window_bits = format == DeflateFormat::kGzip ? 15 + 16 : 15;
  CHECK(deflateInit2(&impl_->stream, 1, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
}

DeflateStream::~DeflateStream() { deflateEnd(&impl_->stream); }

std::string DeflateStream::compress(Bytes input) { return run(input, Z_SYNC_FLUSH); }

std::string DeflateStream::finish() { return run({}, Z_FINISH); }

std::string DeflateStream::run(Bytes input, int flush) {
  z_stream& stream = impl_->stream;
  CHECK(input.size() < (std::size_t{1} << 31));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  std::string out;
  do {
    const std::size_t old_size = out.size();
    out.resize(old_size + std::max<std::size_t>(4096, stream.avail_in / 4));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + old_size);
    stream.avail_out = static_cast<uInt>(out.size() - old_size);
    const int code = deflate(&stream, flush);
    CHECK(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR);
    out.resize(out.size() - stream.avail_out);
  } while (stream.avail_out == 0);
  return out;
}

}  // namespace tarsier
