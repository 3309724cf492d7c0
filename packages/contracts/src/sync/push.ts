import { z } from 'zod';
import { openEnum } from '../open-enum.js';
import { parseCursor } from './cursor.js';
import { PushedChanges } from './record.js';

const Rows = z.array(z.unknown()).default([]);

/** Content is not checked here: imperfect records are repaired, never a reason to block a device (rule 31). */
export const TableChanges = z.object({ created: Rows, updated: Rows, deleted: Rows });
export type TableChanges = z.infer<typeof TableChanges>;

/** What the server accepts. `PushBody` is what it documents. */
export const AcceptedPushBody = z.object({
  changes: z.record(z.string(), TableChanges),
  lastPulledAt: z
    .unknown()
    .optional()
    .transform((value, context): number => parseCursor(value ?? null, context, 'number')),
});
export type AcceptedPushBody = z.infer<typeof AcceptedPushBody>;

/** The documented shape of a push, as WatermelonDB's `pushChanges` receives it. */
export const PushBody = z
  .object({
    changes: PushedChanges,
    lastPulledAt: z.int().min(0).nullable().optional().meta({
      description: '`timestamp` of the pull just made; null for a device that has not pulled yet',
    }),
  })
  .meta({ id: 'PushBody' });
export type PushBody = z.infer<typeof PushBody>;

export const PushWarning = z
  .object({
    table: z.string(),
    id: z.string().nullable(),
    column: z.string().optional(),
    code: openEnum([
      'unknown_table',
      'unknown_column',
      'wrong_type',
      'not_a_record',
      'invalid_id',
      'too_long',
      'unstorable_text',
      'invalid_json',
      'create_refused',
      'update_refused',
      'delete_refused',
      'deleted_before',
    ]),
    message: z.string(),
  })
  .meta({ id: 'PushWarning' });
export type PushWarning = z.infer<typeof PushWarning>;

export const PushResult = z
  .object({
    timestamp: z.int().meta({ description: "The user's clock after this push" }),
    warnings: z.array(PushWarning).meta({
      description: 'What was repaired, ignored or left out, at most 100 entries',
    }),
    experimentalRejectedIds: z.record(z.string(), z.array(z.string())).optional().meta({
      description:
        'Records that could not be stored, by table. They stay unsynced on their device, which holds their only copy.',
    }),
  })
  .meta({ id: 'PushResult' });
export type PushResult = z.infer<typeof PushResult>;

/** Validates as `AcceptedPushBody` and documents itself as `PushBody`. */
export const PushInput: Pick<typeof AcceptedPushBody, '~standard'> = {
  '~standard': {
    ...AcceptedPushBody['~standard'],
    jsonSchema: PushBody['~standard'].jsonSchema,
  },
};
