import { z } from 'zod';
import { parseCursor } from './cursor.js';
import { PulledChanges } from './record.js';

/** What WatermelonDB sends after the app's schema has grown. */
export const Migration = z.object({
  from: z.number(),
  tables: z.array(z.string()),
  columns: z.array(z.object({ table: z.string(), columns: z.array(z.string()) })),
});
export type Migration = z.infer<typeof Migration>;

/** The documented sample code puts null into the query as text; empty and absent mean the same (rule 1). */
const isAbsent = (value: unknown) => value === undefined || value === '' || value === 'null';

const Cursor = z
  .any()
  .transform((value: unknown, context): number =>
    parseCursor(isAbsent(value) ? null : value, context, 'text'),
  )
  .meta({
    description: '`timestamp` of the last pull. `null`, empty, `0` and absent ask for everything.',
    type: 'string',
    example: '1790000000000',
  });

const SchemaVersion = z
  .any()
  .transform((value: unknown, context): number | null => {
    if (isAbsent(value)) return null;
    if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value);
    context.addIssue({ code: 'custom', message: 'Expected a non-negative integer' });
    return z.NEVER;
  })
  .meta({ description: "Version of the app's schema", type: 'string', example: '1' });

const MigrationParameter = z
  .any()
  .transform((value: unknown, context): Migration | null => {
    if (isAbsent(value)) return null;
    const parsed = Migration.nullable().safeParse(parseJson(value));
    if (parsed.success) return parsed.data;
    context.addIssue({
      code: 'custom',
      message: 'Expected null or JSON text of { from, tables, columns: [{ table, columns }] }',
    });
    return z.NEVER;
  })
  .meta({
    description: "WatermelonDB's migration argument as JSON text",
    type: 'string',
    example: '{"from":1,"tables":["tasks"],"columns":[]}',
  });

function parseJson(value: unknown): unknown {
  if (typeof value !== 'string') return undefined;
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

export const PullQuery = z.object({
  lastPulledAt: Cursor.optional().default(0),
  schemaVersion: SchemaVersion.optional().default(null),
  migration: MigrationParameter.optional().default(null),
});
export type PullQuery = z.infer<typeof PullQuery>;

export const PullResult = z
  .object({
    changes: PulledChanges,
    timestamp: z.int().meta({ description: 'Send as `lastPulledAt` next time. Always above 0.' }),
    experimentalStrategy: z.literal('replacement').optional().meta({
      description:
        'The cursor is older than the deletions that the server remembers: `changes` is the full data set.',
    }),
    account: z.uuid().meta({ description: "The user's id" }),
    timeline: z.uuid().meta({ description: 'Changes when the server was restored from a backup' }),
  })
  .meta({ id: 'PullResult' });
export type PullResult = z.infer<typeof PullResult>;
