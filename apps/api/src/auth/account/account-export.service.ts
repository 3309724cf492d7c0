import { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import type { AuditEvent } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { NotificationPreferencesService } from '../../notifications/notification-preferences.service.js';
import { PullService } from '../../sync/pull.service.js';
import { UsersService } from '../../users/users.service.js';
import { KnownDevices } from '../known-devices.js';
import { SecondFactorService } from '../mfa/second-factor.service.js';
import { IdentitiesService } from '../oauth/identities.service.js';
import { SessionsService } from '../sessions.service.js';

const PAGE_SIZE = 100;

/** A user's right to a copy of all that is stored about them. What only proves who they are is left out. */
@Injectable()
export class AccountExportService {
  constructor(
    private readonly audit: AuditService,
    private readonly devices: KnownDevices,
    private readonly identities: IdentitiesService,
    private readonly notifications: NotificationPreferencesService,
    private readonly pulls: PullService,
    private readonly secondFactor: SecondFactorService,
    private readonly sessions: SessionsService,
    private readonly users: UsersService,
  ) {}

  /**
   * JSON text of an `AccountExport`. Whatever its length, little of it is in memory at any time; it
   * is destroyed when the rest cannot follow.
   *
   * @throws DomainError `service_unavailable` as a large pull; `session_ended` when the account is gone
   */
  async open(principal: Principal, client: ClientInfo, signal: AbortSignal): Promise<Readable> {
    const { userId } = principal;
    const head = {
      exportedAt: new Date().toISOString(),
      user: await this.users.get(userId),
      preferences: await this.users.getPreferences(userId),
      notificationPreferences: await this.notifications.get(userId),
      sessions: await this.sessions.list(principal),
      identities: (await this.identities.list(principal)).items,
      secondFactor: await this.secondFactor.describe(userId),
      knownDevices: await this.devices.list(userId),
    };
    await this.audit.record({ action: 'account_exported', userId }, client);
    // Last: from here on somebody has to read it or destroy it.
    const records = await this.pulls.export(userId, signal);
    const text = Readable.from(this.write(userId, head, records), { objectMode: false });
    // Nobody else would, where the writing never began.
    text.once('close', () => records.destroy());
    return text;
  }

  private async *write(
    userId: string,
    head: object,
    records: Readable,
  ): AsyncGenerator<string | Buffer> {
    yield `${JSON.stringify(head).slice(0, -1)},"auditEvents":[`;
    let separator = '';
    for await (const events of this.auditEventsOf(userId)) {
      yield separator + events.map((event) => JSON.stringify(event)).join(',');
      separator = ',';
    }
    yield '],"sync":';
    yield* records;
    yield '}';
  }

  private async *auditEventsOf(userId: string): AsyncGenerator<AuditEvent[]> {
    let cursor: string | undefined;
    do {
      const page = await this.audit.list({ userId, cursor, limit: PAGE_SIZE });
      if (page.items.length > 0) yield page.items.map(withoutOthers);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }
}

/** From where an administrator acted is about the administrator. */
function withoutOthers(event: AuditEvent): AuditEvent {
  return event.actorId === null ? event : { ...event, ip: null, userAgent: null };
}
