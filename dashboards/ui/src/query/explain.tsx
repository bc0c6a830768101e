// What each operator of a query did, and what it cost.

import { bytes, count, seconds } from "../format";

export interface Operator {
  operator: string;
  expr: string;
  steps: number;
  series?: number;
  rows?: number;
  samples?: number;
  seconds?: number;
  selfSeconds?: number;
  memoryBytes?: number;
  children: Operator[];
}

export interface Explanation {
  analyzed: boolean;
  plan: Operator;
}

export function ExplainTree({ explanation }: { explanation: Explanation }) {
  const total = explanation.plan.seconds ?? 0;
  return (
    <ul class="tree">
      <Node operator={explanation.plan} total={total} />
    </ul>
  );
}

function Node({ operator, total }: { operator: Operator; total: number }) {
  const share = total > 0 ? (operator.selfSeconds ?? 0) / total : 0;
  return (
    <li>
      <div class="node">
        <b>{operator.operator}</b> <code>{operator.expr}</code>
        <div class="dim">
          {operator.series !== undefined && `${count(operator.series)} series · `}
          {operator.samples !== undefined && `${count(operator.samples)} samples · `}
          {operator.steps} steps
          {operator.selfSeconds !== undefined && ` · ${seconds(operator.selfSeconds)} of its own`}
          {operator.memoryBytes ? ` · ${bytes(operator.memoryBytes)}` : ""}
        </div>
        <meter value={share} max={1} title={`${Math.round(share * 100)} % of the query's time`} />
      </div>
      {operator.children.length > 0 && (
        <ul>
          {operator.children.map((child, i) => (
            <Node key={i} operator={child} total={total} />
          ))}
        </ul>
      )}
    </li>
  );
}
