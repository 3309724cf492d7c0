import type { SyncSchemaTable } from '../generated/types.gen.js';

/** Why the server would reject a record, in the words of its warnings. */
export interface Violation {
  readonly code: 'invalid_id' | 'too_long';
  readonly column: string;
  readonly message: string;
}

const idPattern = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * What the server would reject about a raw record, so that an app can tell its user before the
 * write. What the server repairs instead, such as a wrong type, is no violation.
 */
export function findViolations(
  table: SyncSchemaTable,
  raw: Readonly<Record<string, unknown>>,
): Violation[] {
  const violations: Violation[] = [];
  const { id } = raw;
  // WatermelonDB makes an id where there is none.
  if (id !== undefined && !(typeof id === 'string' && idPattern.test(id))) {
    const message = 'An id has 1 to 64 characters of A-Z a-z 0-9 _ . -';
    violations.push({ code: 'invalid_id', column: 'id', message });
  }
  for (const { name, maxLength } of table.columns) {
    const value = raw[name];
    if (maxLength === null || typeof value !== 'string' || value.length <= maxLength) continue;
    const message = `${name} has at most ${maxLength} characters, not ${value.length}`;
    violations.push({ code: 'too_long', column: name, message });
  }
  return violations;
}
