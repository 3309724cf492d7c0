import { SetMetadata } from '@nestjs/common';

export const RATE_LIMIT = 'http:rate-limit';

/**
 * Budget that a route draws on in place of the general ones (`anonymous` by address, `user` by
 * user and device): `auth` by address, exact across instances; `sync` by device; `none`.
 */
export type RouteBudget = 'auth' | 'sync' | 'none';

export const RateLimit = (budget: RouteBudget) => SetMetadata(RATE_LIMIT, budget);
