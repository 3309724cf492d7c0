import type { Page } from '@rind/contracts';
import { parse } from 'uuid';
import { uuidOf } from '../uuid.js';

/** The id behind which a page begins: any text that the contract lets pass stands for one. */
export function idOfCursor(cursor: string): string {
  return uuidOf(Buffer.from(cursor, 'base64url'));
}

const MAX_BIGINT = 2n ** 63n - 1n;

/** As `idOfCursor`, where ids are numbers of PostgreSQL. */
export function numberOfCursor(cursor: string): string {
  return (Buffer.from(cursor, 'base64url').readBigUInt64BE(8) & MAX_BIGINT).toString();
}

/** As long as a UUID, so that all cursors look the same. */
export function bytesOfNumber(id: string): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(BigInt(id), 8);
  return bytes;
}

/** Cuts what was read beyond the limit, so that a last page is known to be one without counting. */
export function toPage<Row extends { readonly id: string }, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
  bytesOfId: (id: string) => Uint8Array = parse,
): Page<Item> {
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    items: rows.slice(0, limit).map(toItem),
    nextCursor: last ? Buffer.from(bytesOfId(last.id)).toString('base64url') : null,
  };
}
