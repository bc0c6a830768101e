#include "tracing/store/block_summary.h"

#include "base/bytes.h"

namespace tarsier::tracing {

using traceql::Attribute;
using traceql::FieldColumn;
using traceql::Intrinsic;
using traceql::Scope;
using traceql::Value;
using traceql::ValueType;

namespace {

std::string service_text(Value value) {
  return value.type() == ValueType::kString ? std::string(value.text())
                                            : std::string(kNoServiceName);
}

}  // namespace

void BlockSummary::add(SpanRows& rows) {
  const FieldColumn& services = rows.column({.scope = Scope::kResource, .name = "service.name"});
  const FieldColumn& names = rows.column({.intrinsic = Intrinsic::kName});
  const std::span<const std::uint32_t> parents = rows.parents();
  for (std::uint32_t row = 0; row < rows.row_count(); ++row) {
    const std::string service = service_text(services.at(row));
    auto& known = operations[service];
    const Value name = names.at(row);
    if (known.size() < kOperationsMax && !name.is_nil()) {
      known.emplace(std::string(name.text()), rows.basics().kinds[row]);
    }
    if (parents[row] == traceql::kNoRow) continue;
    std::string caller = service_text(services.at(parents[row]));
    if (caller != service && calls.size() < kOperationsMax) ++calls[{std::move(caller), service}];
  }
  for (Attribute& attribute : rows.attributes()) {
    if (attributes.size() < kAttributesMax) attributes.insert(std::move(attribute));
  }
}

void BlockSummary::add(const BlockSummary& other) {
  for (const auto& [service, names] : other.operations) {
    auto& known = operations[service];
    for (const auto& name : names) {
      if (known.size() < kOperationsMax) known.insert(name);
    }
  }
  for (const auto& [pair, count] : other.calls) {
    if (calls.size() < kOperationsMax || calls.contains(pair)) calls[pair] += count;
  }
  for (const Attribute& attribute : other.attributes) {
    if (attributes.size() < kAttributesMax) attributes.insert(attribute);
  }
}

void encode_summary(const BlockSummary& summary, std::string& out) {
  put_uvarint(out, summary.operations.size());
  for (const auto& [service, names] : summary.operations) {
    put_string(out, service);
    put_uvarint(out, names.size());
    for (const auto& [name, kind] : names) {
      put_string(out, name);
      put_varint(out, kind);
    }
  }
  put_uvarint(out, summary.calls.size());
  for (const auto& [pair, count] : summary.calls) {
    put_string(out, pair.first);
    put_string(out, pair.second);
    put_uvarint(out, count);
  }
  put_uvarint(out, summary.attributes.size());
  for (const Attribute& attribute : summary.attributes) {
    put_u8(out, static_cast<std::uint8_t>(attribute.scope));
    put_string(out, attribute.name);
  }
}

Result<BlockSummary> decode_summary(std::string_view bytes) {
  BlockSummary out;
  ByteReader in(as_bytes(bytes));
  for (std::uint64_t n = in.uvarint(); n > 0 && in.ok(); --n) {
    auto& names = out.operations[std::string(in.string())];
    for (std::uint64_t m = in.uvarint(); m > 0 && in.ok(); --m) {
      std::string name(in.string());
      names.emplace(std::move(name), static_cast<std::int32_t>(in.varint()));
    }
  }
  for (std::uint64_t n = in.uvarint(); n > 0 && in.ok(); --n) {
    std::string caller(in.string());
    std::string callee(in.string());
    out.calls[{std::move(caller), std::move(callee)}] = in.uvarint();
  }
  for (std::uint64_t n = in.uvarint(); n > 0 && in.ok(); --n) {
    const std::uint8_t scope = in.u8();
    if (scope > static_cast<std::uint8_t>(Scope::kInstrumentation)) {
      return corruption("a summary with an unknown scope");
    }
    out.attributes.insert({.scope = static_cast<Scope>(scope), .name = std::string(in.string())});
  }
  if (!in.ok() || !in.empty()) return corruption("a damaged summary");
  return out;
}

}  // namespace tarsier::tracing
