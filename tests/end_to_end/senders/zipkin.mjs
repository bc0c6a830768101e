// Traces with Zipkin's own tracer and reporter: node zipkin.mjs URL. The client's and the server's side share one span id.
import zipkin from "zipkin";
import transport from "zipkin-transport-http";

const { BatchRecorder, ExplicitContext, Tracer, jsonEncoder, Instrumentation, option } = zipkin;
const endpoint = process.argv[2];
const loggers = ["zipkin-front", "zipkin-bank"].map(
  () => new transport.HttpLogger({ endpoint, jsonEncoder: jsonEncoder.JSON_V2, httpInterval: 50 }),
);
const [front, bank] = ["zipkin-front", "zipkin-bank"].map(
  (localServiceName, i) =>
    new Tracer({
      ctxImpl: new ExplicitContext(),
      recorder: new BatchRecorder({ logger: loggers[i] }),
      localServiceName,
      traceId128Bit: true,
      supportsJoin: true,
    }),
);
const client = new Instrumentation.HttpClient({ tracer: front, remoteServiceName: "zipkin-bank" });
const server = new Instrumentation.HttpServer({ tracer: bank, port: 80 });

const sent = [];
for (const status of [200, 200, 500]) {
  front.scoped(() => {
    const { headers } = client.recordRequest({ headers: {} }, "http://bank/charge", "GET");
    const clientId = front.id;
    bank.scoped(() => {
      const lower = Object.fromEntries(Object.entries(headers).map(([k, v]) => [k.toLowerCase(), v]));
      const id = server.recordRequest("GET", "http://bank/charge", (name) => {
        const value = lower[name.toLowerCase()];
        return value === undefined ? option.None : new option.Some(value);
      });
      server.recordResponse(id, String(status));
    });
    client.recordResponse(clientId, String(status));
    sent.push({ id: clientId.traceId, failed: status >= 500 });
  });
}
setTimeout(() => {
  console.log(JSON.stringify(sent));
  process.exit(0);
}, 1500);
