import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { Database } from '../platform/database/database.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';

interface NewEvent {
  readonly action: string;
  readonly userId: string | null;
  readonly actorId?: string;
  readonly sessionId?: string;
  readonly reason?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

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
}
