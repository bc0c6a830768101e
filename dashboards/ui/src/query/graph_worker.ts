// Asks the server and makes of its answer what is drawn, on a thread of its own.

import { type GraphAnswer, graphAnswerOf, type GraphQuestion } from "./graph_data";

const running = new Map<number, AbortController>();

addEventListener("message", (event: MessageEvent<{ id: number; question?: GraphQuestion }>) => {
  const { id, question } = event.data;
  if (!question) {
    running.get(id)?.abort();
    return;
  }
  const abort = new AbortController();
  running.set(id, abort);
  void answerOf(question, abort.signal)
    .then((answer) => postMessage({ id, answer }))
    .finally(() => running.delete(id));
});

async function answerOf(question: GraphQuestion, signal: AbortSignal): Promise<GraphAnswer | undefined> {
  try {
    const response = await fetch(question.url, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: question.body,
      signal,
    });
    return graphAnswerOf(await response.text(), response.status, question);
  } catch {
    // Nobody waits for what was given up.
    return signal.aborted
      ? undefined
      : { fault: { type: "network", message: "The server does not answer. Is it running?", status: 0 } };
  }
}
