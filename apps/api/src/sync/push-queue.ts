import { Injectable } from '@nestjs/common';
import pLimit, { type LimitFunction } from 'p-limit';
import { DomainError } from '../platform/errors/domain.error.js';

/** A user whose devices push faster than that has to wait. */
const MAX_WAITING = 20;

/**
 * Pushes of one user wait for each other here, not in the database: there each would hold a
 * connection while it waits for the clock, and one user could take all of them.
 */
@Injectable()
export class PushQueue {
  private readonly users = new Map<string, { readonly limit: LimitFunction; pushes: number }>();

  /** @throws DomainError `service_unavailable` when too many wait already */
  async run<T>(userId: string, push: () => Promise<T>): Promise<T> {
    const queue = this.users.get(userId) ?? { limit: pLimit(1), pushes: 0 };
    if (queue.pushes > MAX_WAITING) {
      throw new DomainError('service_unavailable', { retryAfterSeconds: 5 });
    }
    this.users.set(userId, queue);
    queue.pushes += 1;
    try {
      return await queue.limit(push);
    } finally {
      queue.pushes -= 1;
      if (queue.pushes === 0) this.users.delete(userId);
    }
  }
}
