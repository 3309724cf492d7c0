import { Injectable, Logger } from '@nestjs/common';
import {
  AuthRenew,
  type AuthRenewAnswer,
  type ClientToServerEvents,
  type Refused,
} from '@rind/contracts';
import { DomainError } from '../errors/domain.error.js';
import type { Connection } from './connections.js';
import { Realtime } from './realtime.js';
import { refusalOf } from './socket-refusal.js';

type Handler = (connection: Connection, payload: unknown) => Promise<{ ok: true }>;

/** What clients may send. Every event has one payload, and is answered if it asks for that. */
@Injectable()
export class ClientEvents {
  private readonly logger = new Logger(ClientEvents.name);
  private readonly handlers = new Map<string, Handler>(
    Object.entries({
      'auth:renew': (connection, payload) => this.renew(connection, payload),
    } satisfies Record<keyof ClientToServerEvents, Handler>),
  );

  constructor(private readonly realtime: Realtime) {}

  /** `packet` is an event's name and its arguments, as unchecked as they came. */
  async answer(connection: Connection, packet: readonly unknown[]): Promise<void> {
    const last = packet.at(-1);
    const acknowledge = typeof last === 'function' ? last : () => undefined;
    acknowledge(await this.handle(connection, packet[0], packet[1]));
  }

  private async handle(
    connection: Connection,
    event: unknown,
    payload: unknown,
  ): Promise<{ ok: true } | Refused> {
    try {
      const handler = this.handlers.get(String(event));
      if (!handler) throw new DomainError('not_found');
      return await handler(connection, payload);
    } catch (error) {
      return { ok: false, code: refusalOf(error, this.logger).code };
    }
  }

  private async renew(
    connection: Connection,
    payload: unknown,
  ): Promise<Extract<AuthRenewAnswer, { ok: true }>> {
    const given = AuthRenew.safeParse(payload);
    if (!given.success) throw new DomainError('validation_failed');
    const { userId, sessionId, expiresAt } = await this.realtime.authenticator.identify(
      given.data.token,
    );
    const isSame = userId === connection.userId && sessionId === connection.sessionId;
    if (!isSame) throw new DomainError('forbidden');
    connection.extendTo(expiresAt);
    return { ok: true, accessTokenExpiresAt: connection.expiresAt.toISOString() };
  }
}
