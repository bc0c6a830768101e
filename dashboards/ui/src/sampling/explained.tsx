// What became of one trace, and why.

import { useEffect, useState } from "preact/hooks";
import { ApiError, get } from "../api";
import { seconds } from "../format";
import { Badge, ErrorBox, InsideLink, Table } from "../parts/parts";

interface Decision {
  trace_id: string;
  state: "kept" | "dropped" | "undecided";
  policy?: string;
  reason?: string;
  decided_at?: string;
  adjusted_count?: number;
  spans_seen: number;
  duration_ms: number;
  has_error: boolean;
  has_root: boolean;
  due?: string;
  votes?: { policy: string; vote: string; detail: string }[];
}

const kStates = { kept: "good", dropped: "none", undecided: "warn" } as const;

export function Explained({ id }: { id: string }) {
  const [decision, setDecision] = useState<Decision | undefined>();
  const [error, setError] = useState<ApiError | undefined>();
  useEffect(() => {
    get<Decision>(`api/tarsier/v1/sampling/decisions/${encodeURIComponent(id)}`).then(
      (answer) => setDecision(answer.data),
      (problem: unknown) => setError(problem instanceof ApiError ? problem : new ApiError("internal", String(problem), 0)),
    );
  }, [id]);
  if (error) return error.status === 404 ? <p>{error.message}</p> : <ErrorBox error={error} />;
  if (!decision) return <p class="dim">Loading …</p>;
  return (
    <div role="status">
      <p>
        <Badge health={kStates[decision.state]}>{decision.state}</Badge>{" "}
        {decision.policy && (
          <>
            by <b>{decision.policy}</b>, decided at {decision.decided_at} because of <b>{decision.reason}</b>
            {decision.adjusted_count !== undefined && `; it stands for ${decision.adjusted_count} traces`}
          </>
        )}
        {decision.due && <>until {decision.due} at the latest</>}
      </p>
      <p class="dim">
        {decision.spans_seen} spans, {seconds(decision.duration_ms / 1000)}, {decision.has_error ? "with" : "without"} errors,{" "}
        {decision.has_root ? "its root was seen" : "its root was not seen"}
      </p>
      {decision.state === "kept" && <InsideLink to={`/trace/${decision.trace_id}`}>Open it</InsideLink>}
      {decision.votes && (
        <Table
          caption="Votes so far"
          rows={decision.votes}
          keyOf={(vote) => vote.policy}
          columns={[
            { name: "Policy", cell: (vote) => vote.policy },
            { name: "Vote", cell: (vote) => vote.vote },
            { name: "Because", cell: (vote) => vote.detail },
          ]}
        />
      )}
    </div>
  );
}
