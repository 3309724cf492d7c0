import type { ClientBase, QueryConfig } from 'pg';
import { currentRequest, type RequestContext } from '../logging/request-context.js';

/** A statement without its parameters, and who sent it. */
export interface MeasuredQuery {
  readonly name: string | undefined;
  readonly text: string;
  readonly request: RequestContext | undefined;
}

type Observe = (query: MeasuredQuery, ms: number) => void;
type Callback = (...result: readonly unknown[]) => void;
type Query = (...parameters: readonly unknown[]) => unknown;

/**
 * Tells how long each statement of the connection took. On a pipelined connection several are under
 * way, one behind the other: each counts from the answer to the one before it.
 */
export function measureQueries(connection: ClientBase, observe: Observe): void {
  const send = connection.query.bind(connection) as Query;
  let answeredAt = 0;
  const measured: Query = (...parameters) => {
    const [query] = parameters as [string | QueryConfig];
    // A stream, such as COPY: what takes its rows decides how long it takes.
    if (typeof query !== 'string' && 'submit' in query) return send(...parameters);
    const sentAt = performance.now();
    const request = currentRequest();
    const answered = () => {
      const now = performance.now();
      const ms = now - Math.max(sentAt, answeredAt);
      answeredAt = now;
      observe({ ...statementOf(query), request }, ms);
    };
    const callback = parameters.at(-1);
    if (typeof callback === 'function') {
      const told: Callback = (...result) => {
        answered();
        (callback as Callback)(...result);
      };
      return send(...parameters.slice(0, -1), told);
    }
    const answer = send(...parameters) as Promise<unknown>;
    answer.then(answered, answered);
    return answer;
  };
  connection.query = measured as ClientBase['query'];
}

function statementOf(query: string | QueryConfig): { name: string | undefined; text: string } {
  return typeof query === 'string'
    ? { name: undefined, text: query }
    : { name: query.name, text: query.text };
}
