/** Trace and span of a sender, as 32 and 16 hexadecimal digits. */
interface TraceParent {
  readonly traceId: string;
  readonly parentId: string;
}

const FORM = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-[\da-f]{2}(-.*)?$/;
const NO_ID = /^0+$/;

/**
 * Of a `traceparent` header (W3C Trace Context, level 1, 3.2). A later version is read as far as this
 * one knows it; null for what is not valid, which is to be ignored.
 */
export function parseTraceParent(header: string | string[] | undefined): TraceParent | null {
  if (typeof header !== 'string') return null;
  const [, version, traceId = '', parentId = '', rest] = FORM.exec(header) ?? [];
  if (version === undefined || version === 'ff') return null;
  if (version === '00' && rest !== undefined) return null;
  if (NO_ID.test(traceId) || NO_ID.test(parentId)) return null;
  return { traceId, parentId };
}
