// A shop of three services over HTTP, traced with OpenTelemetry's SDK: node traces.mjs grpc|proto|json|zipkin URL ORDERS
// Every fifth order fails at the bank. Says on its output which trace each order was.
import { createServer } from "node:http";
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { ZipkinExporter } from "@opentelemetry/exporter-zipkin";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [form, url, orders] = process.argv.slice(2);
const Exporter = { grpc: GrpcExporter, proto: ProtoExporter, json: JsonExporter, zipkin: ZipkinExporter }[form];
propagation.setGlobalPropagator(new W3CTraceContextPropagator());

const providers = [];
function tracerOf(service) {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": `${form}-${service}`, "service.version": "1.2" }),
    spanProcessors: [new BatchSpanProcessor(new Exporter({ url }))],
  });
  providers.push(provider);
  return provider.getTracer("shop", "3");
}

/** A service: answers `path` inside a span of its own, whose parent came with the request. */
async function serve(service, path, answer) {
  const tracer = tracerOf(service);
  const server = createServer((request, response) => {
    const parent = propagation.extract(context.active(), request.headers);
    const span = tracer.startSpan(
      `GET ${path}`,
      { kind: SpanKind.SERVER, attributes: { "http.route": path, "http.request.size": 17 } },
      parent,
    );
    Promise.resolve(answer(tracer, trace.setSpan(parent, span), span))
      .then((code) => {
        span.setAttribute("http.response.status_code", code);
        if (code >= 500) span.setStatus({ code: SpanStatusCode.ERROR, message: `answered ${code}` });
        span.end();
        response.writeHead(code).end();
      });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { server, url: `http://127.0.0.1:${server.address().port}${path}` };
}

async function call(tracer, parent, name, target) {
  const span = tracer.startSpan(name, { kind: SpanKind.CLIENT }, parent);
  const headers = {};
  propagation.inject(trace.setSpan(parent, span), headers);
  const { status } = await fetch(target, { headers });
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
  return status;
}

let charged = 0;
const bank = await serve("bank", "/charge", (_tracer, _context, span) => {
  if (++charged % 5 !== 0) return 200;
  span.recordException(new RangeError("card declined"));
  return 502;
});
const cart = await serve("cart", "/order", (tracer, active) => call(tracer, active, "charge", bank.url));

const front = tracerOf("front");
const sent = [];
for (let i = 0; i < Number(orders); ++i) {
  const root = front.startSpan("order", { kind: SpanKind.SERVER, attributes: { order: i, express: i % 2 === 0 } });
  const status = await call(front, trace.setSpan(context.active(), root), "call cart", cart.url);
  if (status >= 500) root.setStatus({ code: SpanStatusCode.ERROR, message: "no order" });
  root.end();
  sent.push({ id: root.spanContext().traceId, failed: status >= 500 });
}
await Promise.all(providers.map((provider) => provider.shutdown()));
for (const { server } of [bank, cart]) {
  server.closeAllConnections();
  server.close();
}
console.log(JSON.stringify(sent));
