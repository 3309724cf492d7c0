import { DomainError } from '../platform/errors/domain.error.js';

/** Bodies up to this size are free: a budget that strangers have used up must not stop everyday's pushes. */
const FREE_BYTES = 64 * 1024;
const RETRY_AFTER_SECONDS = 5;

/** What one body takes of the budget, until it is given back. */
export interface Reservation {
  /**
   * @throws DomainError as `reserve`, when it does not fit any more; what was reserved before stays so
   */
  growTo(bytes: number): void;
  giveBack(): void;
}

/** The memory for bodies that are read or worked on, of all users of this process and of each. */
export class BodyBudget {
  private readonly ofUsers = new Map<string, number>();
  private held = 0;

  constructor(private readonly limits: { readonly perUser: number; readonly inAll: number }) {}

  /**
   * @throws DomainError `rate_limited` when the user has used up what is his, `service_unavailable`
   *   when all of them together have
   */
  reserve(userId: string, bytes: number): Reservation {
    let mine = 0;
    const growTo = (wanted: number) => {
      if (wanted <= Math.max(mine, FREE_BYTES)) return;
      this.take(userId, wanted - mine);
      mine = wanted;
    };
    growTo(bytes);
    return {
      growTo,
      giveBack: () => {
        if (mine > 0) this.take(userId, -mine);
        mine = 0;
      },
    };
  }

  private take(userId: string, bytes: number): void {
    const ofUser = (this.ofUsers.get(userId) ?? 0) + bytes;
    if (ofUser > this.limits.perUser) {
      throw new DomainError('rate_limited', {
        detail: 'Other large pushes of this account are under way',
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      });
    }
    if (this.held + bytes > this.limits.inAll) {
      throw new DomainError('service_unavailable', {
        detail: 'Large pushes of other accounts are under way',
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      });
    }
    this.held += bytes;
    if (ofUser > 0) this.ofUsers.set(userId, ofUser);
    else this.ofUsers.delete(userId);
  }
}
