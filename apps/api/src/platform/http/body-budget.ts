import { DomainError } from '../errors/domain.error.js';

/** Bodies up to this size are free: a budget that strangers have used up must not stop everyday's pushes. */
const FREE_BYTES = 64 * 1024;
const RETRY_AFTER_SECONDS = 5;

/** What one body takes of the budget, until it is given back. */
export interface Reservation {
  /**
   * @throws DomainError as `requireRoom`, when it does not fit any more; what was reserved before stays
   *   so. Also when it was given back: what still comes then would be counted for ever.
   */
  growTo(bytes: number): void;
  /** For good, however often. */
  giveBack(): void;
}

/** The memory for bodies that are read or worked on, of all users of this process and of each. */
export class BodyBudget {
  private readonly ofUsers = new Map<string, number>();
  private held = 0;

  constructor(private readonly limits: { readonly perUser: number; readonly inAll: number }) {}

  /** Of nothing at first: it grows with what has come. */
  reserve(userId: string): Reservation {
    let mine = 0;
    let isOver = false;
    return {
      growTo: (bytes) => {
        if (isOver) throw new DomainError('service_unavailable');
        if (bytes <= Math.max(mine, FREE_BYTES)) return;
        this.requireRoom(userId, bytes, mine);
        this.add(userId, bytes - mine);
        mine = bytes;
      },
      giveBack: () => {
        if (mine > 0) this.add(userId, -mine);
        mine = 0;
        isOver = true;
      },
    };
  }

  /**
   * Takes nothing: a length that was announced is no memory yet.
   *
   * @param held what of these bytes is reserved already
   * @throws DomainError `rate_limited` when the user has used up what is his, `service_unavailable`
   *   when all of them together have
   */
  requireRoom(userId: string, bytes: number, held = 0): void {
    if (bytes <= FREE_BYTES) return;
    if (this.ofUser(userId) + bytes - held > this.limits.perUser) {
      throw new DomainError('rate_limited', {
        detail: 'Other large pushes of this account are under way',
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      });
    }
    if (this.held + bytes - held > this.limits.inAll) {
      throw new DomainError('service_unavailable', {
        detail: 'Large pushes of other accounts are under way',
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      });
    }
  }

  private ofUser(userId: string): number {
    return this.ofUsers.get(userId) ?? 0;
  }

  private add(userId: string, bytes: number): void {
    const sum = this.ofUser(userId) + bytes;
    this.held += bytes;
    if (sum > 0) this.ofUsers.set(userId, sum);
    else this.ofUsers.delete(userId);
  }
}
