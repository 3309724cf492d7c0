import { Injectable } from '@nestjs/common';
import type { ListAuditEventsQuery } from '@rind/contracts';
import { v7 as uuidv7 } from 'uuid';
import { Database } from '../platform/database/database.js';
import type { AuditEvent } from '../platform/database/generated/client.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { idOfCursor } from '../platform/http/page-cursor.js';

interface NewEvent {
  readonly action: string;
  readonly userId: string | null;
  readonly actorId?: string;
  readonly sessionId?: string;
  readonly reason?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** By the index of the ids; those whose time is known to be over. */
const DELETE_OLD = {
  name: 'audit_delete_old',
  text: `DELETE FROM audit_events WHERE id IN (
  SELECT id FROM audit_events WHERE id < $1::uuid AND created_at < $2::timestamptz
  ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING 1`,
};

/** How far the clock of an API, from which the ids are, may be from that of the database. */
const CLOCK_SKEW_MS = 3_600_000;

@Injectable()
export class AuditRepository {
  constructor(private readonly database: Database) {}

  /** The subject of a user who is gone is unknown, and so is the user. */
  async create(event: NewEvent, origin: ClientInfo | null): Promise<void> {
    const detail = event.detail ? JSON.stringify(event.detail) : null;
    await this.database.prisma.$executeRaw`
      INSERT INTO audit_events (id, subject_id, user_id, actor_id, session_id, action, reason, detail, ip, user_agent, request_id)
      SELECT ${uuidv7()}::uuid, u.audit_subject_id, u.id, a.id, ${event.sessionId ?? null}::uuid, ${event.action}, ${event.reason ?? null},
             ${detail}::jsonb, ${origin?.ip ?? null}, ${origin?.userAgent ?? null}, ${origin?.requestId ?? null}
      FROM (SELECT) AS event
      LEFT JOIN users u ON u.id = ${event.userId}::uuid
      LEFT JOIN users a ON a.id = ${event.actorId ?? null}::uuid`;
  }

  /** Newest first, one more than the limit where there are more. */
  async list({
    userId,
    action,
    from,
    to,
    cursor,
    limit,
  }: ListAuditEventsQuery): Promise<AuditEvent[]> {
    return this.database.prisma.auditEvent.findMany({
      where: {
        ...(userId !== undefined && { userId }),
        ...(action !== undefined && { action }),
        createdAt: {
          ...(from !== undefined && { gte: from }),
          ...(to !== undefined && { lt: to }),
        },
        AND: [
          ...(cursor === undefined ? [] : [{ id: { lt: idOfCursor(cursor) } }]),
          // The index knows ids, not times; what they are about is the same.
          ...(from === undefined ? [] : [{ id: { gte: firstIdOf(from, -CLOCK_SKEW_MS) } }]),
          ...(to === undefined ? [] : [{ id: { lt: firstIdOf(to, CLOCK_SKEW_MS) } }]),
        ],
      },
      orderBy: { id: 'desc' },
      take: limit + 1,
    });
  }

  /** At most `limit` events from before that time; answers how many there were. */
  async deleteOlderThan(time: Date, limit: number): Promise<number> {
    const before = time.toISOString();
    const firstYounger = firstIdOf(before, CLOCK_SKEW_MS);
    return (await this.database.run(DELETE_OLD, [firstYounger, before, limit])).length;
  }
}

/** The lowest UUIDv7 of a time (RFC 9562, section 5.7). */
function firstIdOf(time: string, shiftMs: number): string {
  const ms = Math.max(0, Date.parse(time) + shiftMs);
  return uuidv7({ msecs: ms, seq: 0, random: new Uint8Array(16) });
}
