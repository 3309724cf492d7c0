import type { Page } from '@rind/contracts';
import { parse, stringify } from 'uuid';

/** The id behind which a page begins: any text that the contract lets pass stands for one. */
export function idOfCursor(cursor: string): string {
  return stringify(Buffer.from(cursor, 'base64url'));
}

/** Cuts what was read beyond the limit, so that a last page is known to be one without counting. */
export function toPage<Row extends { readonly id: string }, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
): Page<Item> {
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    items: rows.slice(0, limit).map(toItem),
    nextCursor: last ? Buffer.from(parse(last.id)).toString('base64url') : null,
  };
}
