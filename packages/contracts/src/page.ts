import { z } from 'zod';

/** Where a page of a list begins, of which clients know no more than that: see `nextCursor`. */
const PageCursor = z
  .string()
  .regex(/^[A-Za-z0-9_-]{22}$/, 'Expected the nextCursor of an earlier page')
  .optional()
  .meta({ description: '`nextCursor` of the page before; absent for the first one' });

const PageLimit = z
  .string()
  .regex(/^([1-9]\d?|100)$/, 'Expected an integer from 1 to 100')
  .transform(Number)
  .prefault('50')
  .meta({ description: 'How many items a page has at most: 1 to 100' });

/** What every query of a list has beside its filters. */
export const pageQuery = { cursor: PageCursor, limit: PageLimit };

export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().meta({ description: 'Null on the last page' }),
  });

/** A page of a list. */
export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}
