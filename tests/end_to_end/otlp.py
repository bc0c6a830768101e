"""OTLP spans as a sender writes them, in JSON and in protobuf; nothing but the standard library."""

import struct


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def _attribute(key, value):
    if isinstance(value, bool):
        any_value = b"\x10" + varint(int(value))
    elif isinstance(value, int):
        any_value = b"\x18" + varint(value)
    else:
        any_value = field(1, value.encode())
    return field(1, key.encode()) + field(2, any_value)


def _json_attribute(key, value):
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    return {"key": key, "value": {"stringValue": value}}


class Span:
    def __init__(self, service, name, trace_id, span_id, start_ns, took_ns, kind=2, parent_id="",
                 status=0, trace_state="", attributes=None):
        self.service, self.name, self.trace_id, self.span_id = service, name, trace_id, span_id
        self.start_ns, self.took_ns, self.kind, self.parent_id = start_ns, took_ns, kind, parent_id
        self.status, self.trace_state, self.attributes = status, trace_state, attributes or {}

    def protobuf(self):
        out = field(1, bytes.fromhex(self.trace_id)) + field(2, bytes.fromhex(self.span_id))
        if self.trace_state:
            out += field(3, self.trace_state.encode())
        if self.parent_id:
            out += field(4, bytes.fromhex(self.parent_id))
        out += field(5, self.name.encode()) + b"\x30" + varint(self.kind)
        out += b"\x39" + struct.pack("<Q", self.start_ns)
        out += b"\x41" + struct.pack("<Q", self.start_ns + self.took_ns)
        for key, value in self.attributes.items():
            out += field(9, _attribute(key, value))
        if self.status:
            out += field(15, b"\x18" + varint(self.status))
        return out

    def json(self):
        out = {"traceId": self.trace_id, "spanId": self.span_id, "name": self.name,
               "kind": self.kind, "startTimeUnixNano": str(self.start_ns),
               "endTimeUnixNano": str(self.start_ns + self.took_ns),
               "attributes": [_json_attribute(k, v) for k, v in self.attributes.items()],
               "status": {"code": self.status} if self.status else {}}
        if self.parent_id:
            out["parentSpanId"] = self.parent_id
        if self.trace_state:
            out["traceState"] = self.trace_state
        return out


def _by_service(spans):
    out = {}
    for span in spans:
        out.setdefault(span.service, []).append(span)
    return out


def protobuf_request(spans):
    out = b""
    for service, own in _by_service(spans).items():
        resource = field(1, _attribute("service.name", service))
        scope_spans = b"".join(field(2, span.protobuf()) for span in own)
        out += field(1, field(1, resource) + field(2, scope_spans))
    return out


def json_request(spans):
    return {"resourceSpans": [
        {"resource": {"attributes": [_json_attribute("service.name", service)]},
         "scopeSpans": [{"spans": [span.json() for span in own]}]}
        for service, own in _by_service(spans).items()]}
