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


def encode_series(labels, samples):
    """One TimeSeries message: labels as a dict, samples as (milliseconds, value)."""
    out = b""
    for name, value in sorted(labels.items()):
        out += _message(1, _message(1, name.encode()) + _message(2, value.encode()))
    for t, v in samples:
        out += _message(2, b"\x09" + struct.pack("<d", v) + b"\x10" + _varint(t))
    return out


def snappy_literals(data):
    out = bytearray(_varint(len(data)))
    for i in range(0, len(data), 65536):
        piece = data[i:i + 65536]
        out += b"\xf4" + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def send(url, series):
    """Posts [(labels, samples)]; returns (status, text)."""
    body = b"".join(_message(1, encode_series(labels, samples)) for labels, samples in series)
    return send_raw(url, snappy_literals(body))


def send_raw(url, body):
    return http(url + "/api/v1/write", body, {
        "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0"})
