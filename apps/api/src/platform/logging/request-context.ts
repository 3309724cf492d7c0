import { AsyncLocalStorage } from 'node:async_hooks';

/** What every line in the log says that a request causes. */
export interface RequestContext {
  readonly requestId: string;
  /** Of the trace that the request is part of, where its sender has told (W3C Trace Context). */
  readonly traceId?: string;
  /** The span of the sender that waits for the request. */
  readonly parentId?: string;
}

const current = new AsyncLocalStorage<RequestContext | undefined>();

/** Undefined for what no request has caused. */
export function currentRequest(): RequestContext | undefined {
  return current.getStore();
}

/** For what outlives the request that happens to start it, such as a connection that others use, too. */
export function runOutsideRequests<T>(work: () => T): T {
  return current.run(undefined, work);
}

/** Whatever the work starts, and waits for, belongs to the request. */
export function runInRequest(request: RequestContext, work: () => void): void {
  current.run(request, work);
}
