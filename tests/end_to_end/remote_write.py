"""A remote-write 1.0 sender in a few lines: protobuf by hand, Snappy as literals only."""

import struct

from processes import http


def _varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _message(field, payload):
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _zigzag(n):
    return _varint(n << 1 ^ n >> 63)


def _double(field, value):
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _spans(field, spans):
    return b"".join(_message(field, b"\x08" + _zigzag(offset) + b"\x10" + _varint(length))
                    for offset, length in spans)


def encode_histogram(t, h):
    """One Histogram message of 1.0 out of a dict: count, zero_count, sum, schema, zero_threshold,
    positive and negative as (spans, differences), or as (spans, counts) with `is_float`; hint;
    custom: the bounds of schema -53."""
    out = b""
    is_float = h.get("is_float", False)
    if is_float:
        out += _double(2, h.get("count", 0))
    else:
        out += b"\x08" + _varint(h.get("count", 0))
    out += _double(3, h["sum"]) + b"\x20" + _zigzag(h.get("schema", 0))
    out += _double(5, h.get("zero_threshold", 0.0))
    out += _double(7, h.get("zero_count", 0)) if is_float else b"\x30" + _varint(h.get("zero_count", 0))
    for side, field in (("negative", 8), ("positive", 11)):
        spans, buckets = h.get(side, ([], []))
        out += _spans(field, spans)
        if is_float:
            out += _message(field + 2, struct.pack(f"<{len(buckets)}d", *buckets))
        else:
            out += _message(field + 1, b"".join(_zigzag(b) for b in buckets))
    if h.get("hint"):
        out += b"\x70" + _varint(h["hint"])
    if h.get("custom"):
        out += _message(16, struct.pack(f"<{len(h['custom'])}d", *h["custom"]))
    return out + b"\x78" + _varint(t)


def encode_exemplar(t, labels, value):
    out = b"".join(_message(1, _message(1, k.encode()) + _message(2, v.encode()))
                   for k, v in sorted(labels.items()))
    return out + _double(2, value) + b"\x18" + _varint(t)


def encode_series(labels, samples, histograms=(), exemplars=()):
    """One TimeSeries message: labels as a dict, samples as (milliseconds, value), histograms as
    (milliseconds, dict), exemplars as (milliseconds, labels, value)."""
    out = b""
    for name, value in sorted(labels.items()):
        out += _message(1, _message(1, name.encode()) + _message(2, value.encode()))
    for t, v in samples:
        out += _message(2, b"\x09" + struct.pack("<d", v) + b"\x10" + _varint(t))
    for exemplar in exemplars:
        out += _message(3, encode_exemplar(*exemplar))
    for t, h in histograms:
        out += _message(4, encode_histogram(t, h))
    return out


def snappy_literals(data):
    out = bytearray(_varint(len(data)))
    for i in range(0, len(data), 65536):
        piece = data[i:i + 65536]
        out += b"\xf4" + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def send(url, series):
    """Posts [(labels, samples[, histograms[, exemplars]])]; returns (status, text)."""
    body = b"".join(_message(1, encode_series(*one)) for one in series)
    return send_raw(url, snappy_literals(body))


def send_raw(url, body, timeout=30):
    return http(url + "/api/v1/write", body, {
        "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0"}, timeout)
