import { z } from 'zod';
import { pageOf, pageQuery } from './page.js';

/** `waiting` also for those that failed and will be tried again; `failed` for good. */
export const jobStates = ['waiting', 'running', 'failed'] as const;
export type JobState = (typeof jobStates)[number];

export const JobId = z.string().regex(/^[1-9]\d{0,17}$/, 'Expected the id of a job');

/** Deferred work in the queue. What is done is no longer there. */
export const QueuedJob = z
  .object({
    id: JobId,
    name: z.string().meta({ description: 'What is to be done', example: 'mail_link' }),
    state: z.enum(jobStates),
    payload: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).meta({
      description: 'What may be seen of it: ids and codes, never an address or a secret',
    }),
    attempts: z.int(),
    maxAttempts: z.int(),
    createdAt: z.iso.datetime(),
    runAt: z.iso.datetime().meta({ description: 'When it is tried next, or was to be' }),
    lastError: z.string().nullable().meta({ description: 'Shortened, without addresses' }),
  })
  .meta({ id: 'QueuedJob' });
export type QueuedJob = z.infer<typeof QueuedJob>;

export const ListJobsQuery = z.object({ state: z.enum(jobStates).optional(), ...pageQuery });
export type ListJobsQuery = z.infer<typeof ListJobsQuery>;

export const QueuedJobPage = pageOf(QueuedJob).meta({ id: 'QueuedJobPage' });
export type QueuedJobPage = z.infer<typeof QueuedJobPage>;
