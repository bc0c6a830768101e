#include "base/compression.h"

#include <algorithm>
#include <memory>

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include "base/snappy_block.h"

namespace tarsier {
namespace {

Status too_large(const char* format, std::size_t size_max) {
  return limit_exceeded(std::string(format) + ": decompressed size is above the limit of " +
                        std::to_string(size_max) + " bytes");
}

}  // namespace

void snappy_compress(Bytes input, std::string& out) {
  out.resize(snappy::MaxCompressedLength(input.size()));
  std::size_t size = 0;
  snappy::RawCompress(reinterpret_cast<const char*>(input.data()), input.size(), out.data(), &size);
  out.resize(size);
}

Status snappy_decompress(Bytes input, std::size_t size_max, std::string& out) {
  ByteReader reader(input);
  const std::uint64_t size = reader.uvarint();
  if (!reader.ok() || size > UINT32_MAX) {
    return corruption("snappy: no valid length at the start");
  }
  if (size > size_max) return too_large("snappy", size_max);
  // Snappy shrinks no input below about 1/22, so a length beyond that is a lie; believing it
  // would zero memory for a body of a few bytes.
  if (size > 64 + input.size() * 64) return corruption("snappy: length does not fit the input");
  out.resize(size);
  if (!decode_snappy_elements(input.subspan(reader.offset()),
                              std::as_writable_bytes(std::span(out)))) {
    return corruption("snappy: corrupt input");
  }
  return {};
}

namespace {

void deflate_whole(Bytes input, int window_bits, std::string& out) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, 1, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  CHECK(input.size() < (std::size_t{1} << 32));
  out.resize(deflateBound(&stream, input.size()));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
}

}  // namespace

void gzip_compress(Bytes input, std::string& out) { deflate_whole(input, 15 + 16, out); }

void zlib_compress(Bytes input, std::string& out) { deflate_whole(input, 15, out); }

Status gzip_decompress(Bytes input, std::size_t size_max, std::string& out) {
  z_stream stream{};
  const int gzip_window_bits = 15 + 16;
  CHECK(inflateInit2(&stream, gzip_window_bits) == Z_OK);
  const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream, &inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
  stream.avail_in = static_cast<uInt>(std::min<std::size_t>(input.size(), 1u << 31));
  out.clear();
  for (;;) {
    const std::size_t old_size = out.size();
    if (old_size > size_max) return too_large("gzip", size_max);
    out.resize(old_size + std::max<std::size_t>(std::size_t{16} << 10, old_size / 2));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + old_size);
    stream.avail_out = static_cast<uInt>(out.size() - old_size);
    const int code = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (code == Z_STREAM_END) {
      if (stream.avail_in == 0) break;
      if (inflateReset(&stream) != Z_OK) return corruption("gzip: bad member");
      continue;
    }
    if (code != Z_OK && code != Z_BUF_ERROR) return corruption("gzip: corrupt input");
    if (stream.avail_in == 0 && out.size() == old_size) {
      return corruption("gzip: input ends too early");
    }
    if (code == Z_BUF_ERROR && out.size() == old_size) return corruption("gzip: corrupt input");
  }
  return out.size() > size_max ? too_large("gzip", size_max) : Status();
}

void zstd_compress(Bytes input, int level, std::string& out) {
  out.resize(ZSTD_compressBound(input.size()));
  const std::size_t size = ZSTD_compress(out.data(), out.size(), input.data(), input.size(), level);
  CHECK(ZSTD_isError(size) == 0);
  out.resize(size);
}

Status zstd_decompress(Bytes input, std::size_t size_max, std::string& out) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                        &ZSTD_freeDCtx);
  out.clear();
  ZSTD_inBuffer in{input.data(), input.size(), 0};
  std::size_t hint = 1;
  while (in.pos < in.size) {
    const std::size_t old_size = out.size();
    if (old_size > size_max) return too_large("zstd", size_max);
    out.resize(old_size + std::max<std::size_t>(std::size_t{16} << 10, old_size / 2));
    ZSTD_outBuffer chunk{out.data() + old_size, out.size() - old_size, 0};
    hint = ZSTD_decompressStream(context.get(), &chunk, &in);
    if (ZSTD_isError(hint) != 0) {
      return corruption(std::string("zstd: ") + ZSTD_getErrorName(hint));
    }
    out.resize(old_size + chunk.pos);
    if (in.pos == in.size && hint != 0 && chunk.pos == chunk.size) {
      // The output was full: ask for the rest of what was already read.
      std::size_t drained = 1;
      while (drained != 0) {
        const std::size_t size_before = out.size();
        if (size_before > size_max) return too_large("zstd", size_max);
        out.resize(size_before + (std::size_t{64} << 10));
        ZSTD_outBuffer rest{out.data() + size_before, out.size() - size_before, 0};
        hint = ZSTD_decompressStream(context.get(), &rest, &in);
        if (ZSTD_isError(hint) != 0) {
          return corruption(std::string("zstd: ") + ZSTD_getErrorName(hint));
        }
        drained = rest.pos;
        out.resize(size_before + rest.pos);
        if (hint == 0) break;
      }
    }
  }
  if (hint != 0) return corruption("zstd: input ends too early");
  return out.size() > size_max ? too_large("zstd", size_max) : Status();
}

}  // namespace tarsier
