import { z } from 'zod';
import { openEnum } from './open-enum.js';

export const HealthLive = z
  .object({ status: z.literal('ok'), timestamp: z.iso.datetime(), version: z.string() })
  .meta({ id: 'HealthLive' });
export type HealthLive = z.infer<typeof HealthLive>;

/** `degraded`: works, but an operator should look. `unavailable`: turns the whole answer into a 503. */
const CheckStatus = openEnum(['ok', 'degraded', 'unavailable']);

const Check = z
  .object({
    status: CheckStatus,
    latencyMs: z.number().optional(),
    detail: z.string().optional(),
  })
  .meta({ id: 'HealthCheck' });
export type HealthCheck = z.infer<typeof Check>;

export const HealthReady = z
  .object({
    status: CheckStatus,
    timestamp: z.iso.datetime(),
    version: z.string(),
    commit: z
      .string()
      .nullable()
      .meta({ description: 'Short SHA of the build, where it is known' }),
    checks: z.record(z.string(), Check),
  })
  .meta({ id: 'HealthReady' });
export type HealthReady = z.infer<typeof HealthReady>;
