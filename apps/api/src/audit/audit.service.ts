import { Injectable } from '@nestjs/common';
import type { AuditAction, AuditEvent, ListAuditEventsQuery, Page } from '@rind/contracts';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { toPage } from '../platform/http/page-cursor.js';
import { AuditMetrics } from './audit-metrics.js';
import { toAuditEvent } from './audit.mapper.js';
import { AuditRepository } from './audit.repository.js';

export interface NewAuditEvent {
  readonly action: AuditAction;
  /** Whom it happened to; null where no account is concerned, as in a sign-in with an unknown address. */
  readonly userId: string | null;
  /** Who did it, where that was somebody else. */
  readonly actorId?: string;
  readonly sessionId?: string;
  /** A code, never what somebody typed. */
  readonly reason?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Where an event comes from; null where the server acts on its own. */
type Origin = ClientInfo | null;

/** Keeps what happens to accounts, for those who have to find out what happened to one. */
@Injectable()
export class AuditService {
  constructor(
    private readonly events: AuditRepository,
    private readonly metrics: AuditMetrics,
  ) {}

  /** Joins a current transaction, so that an event is kept exactly when what it tells of is. */
  async record(event: NewAuditEvent, origin: Origin): Promise<void> {
    await this.events.create(event, origin);
    this.metrics.count(event);
  }

  /** Newest first. */
  async list(query: ListAuditEventsQuery): Promise<Page<AuditEvent>> {
    return toPage(await this.events.list(query), query.limit, toAuditEvent);
  }
}
