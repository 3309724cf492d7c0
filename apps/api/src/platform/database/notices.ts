import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Client, type QueryConfig } from 'pg';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { isDatabaseUnavailable, reasonOf } from './database-errors.js';
import { OutageLog, unusable } from './outage-log.js';

const PROOF_CHANNEL = 'rind_proof';
/** So soon a silent connection is asked whether its other end is still there: while a check runs, nothing else does. */
const KEEP_ALIVE_DELAY_MS = 10_000;

/** The types of `pg` do not know of the limit that a statement may have of its own. */
type TimedQuery = QueryConfig & { query_timeout: number };
/** After checks that failed one after the other; what is wrong there seldom goes away by itself. */
const MAX_BACK_OFF = 20;
/** How checks say that the database is not what it should be; else it may tell of one that takes nobody in. */
const OBJECT_NOT_IN_PREREQUISITE_STATE = '55000';

/** How long to believe in a connection, and when to try again. */
@Injectable()
export class NoticesTiming {
  /** How often the listening connection proves itself with a notice of its own. */
  readonly proofIntervalMs: number = 5_000;
  /** Without a proof, or an answer, for this long the connection counts as dead. */
  readonly proofTimeoutMs: number = 10_000;
  readonly reconnectDelayMs: number = 250;
  /**
   * For a check, after which its connection counts as dead. The server goes on with what it does, and so
   * the next check finds it done.
   */
  readonly checkTimeoutMs: number = 600_000;
}

interface NoticesEvents {
  notice: [channel: string, payload: string];
  /** Notices may have been missed: everything learned from them is in doubt. */
  gap: [];
  /** The first proof on a new connection: from here on nothing is missed. */
  live: [];
  /** Every few seconds while it is so. */
  proof: [];
}

/** A statement on the listening connection, which belongs to no pooler, without the server's limits of time. */
export type QueryDirectly = <Row>(text: string) => Promise<Row[]>;

/**
 * PostgreSQL's NOTIFY, received on one connection of its own. A connection may die without a word,
 * so it is only believed while it returns its own notices.
 */
@Injectable()
export class Notices
  extends EventEmitter<NoticesEvents>
  implements OnApplicationBootstrap, OnModuleDestroy
{
  private readonly logger = new Logger(Notices.name);
  private readonly outage = new OutageLog(this.logger);
  private readonly refusal = new OutageLog(this.logger, undefined, unusable);
  private readonly proofPayload = randomUUID();
  private readonly channels = new Set<string>();
  private readonly checks: Array<(query: QueryDirectly) => Promise<void>> = [];
  private readonly url: string;
  private client: Client | null = null;
  private socket: Socket | null = null;
  private timer: NodeJS.Timeout | undefined;
  private isProven = false;
  /** When the connection was made or last returned a notice of its own. */
  private aliveAt = 0;
  private isClosed = false;
  /** In a row. */
  private failedChecks = 0;
  /** Of nobody's transaction or request: whoever finds a connection dead has no part in the next one. */
  private readonly outside = AsyncLocalStorage.snapshot();

  constructor(
    @InjectConfig() config: Config,
    private readonly timing: NoticesTiming,
  ) {
    super();
    this.url = config.database.directUrl;
  }

  /** Must be called before the application has started. Channel names are constants of the code. */
  listenTo(channel: string): void {
    this.channels.add(channel);
  }

  /**
   * Runs on each new connection before it is live; where it fails, the connection is made again. To be
   * called before the application has started.
   */
  beforeLive(check: (query: QueryDirectly) => Promise<void>): void {
    this.checks.push(check);
  }

  /** Gives the connection up, for what is behind it is no longer what it was, and makes a new one. */
  doubt(reason: string): void {
    if (!this.isProven) return;
    this.refusal.lost(reason);
    this.connectAgain(this.timing.reconnectDelayMs);
  }

  /** Whether every notice up to now has been delivered, as far as can be known: for at most 10 s wrongly so. */
  get isLive(): boolean {
    this.giveUpIfSilent();
    return this.isProven;
  }

  onApplicationBootstrap(): void {
    void this.connect();
  }

  onModuleDestroy(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.disconnect();
  }

  private async connect(): Promise<void> {
    const socket = new Socket();
    const client = new Client({
      connectionString: this.url,
      application_name: 'rind-notices',
      connectionTimeoutMillis: this.timing.proofTimeoutMs,
      query_timeout: this.timing.proofTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
      stream: () => socket,
    });
    this.client = client;
    this.socket = socket;
    client.on('error', (error) => this.lose(client, reasonOf(error)));
    client.on('end', () => this.lose(client, 'The listening connection ended'));
    client.on('notification', ({ channel, payload = '' }) =>
      this.receive(client, channel, payload),
    );
    try {
      await client.connect();
      // The proof's own channel last: a proof that arrives says that all the others are heard.
      for (const channel of [...this.channels, PROOF_CHANNEL])
        await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
      if (!(await this.passesChecks(client))) return;
      this.aliveAt = performance.now();
      await this.keepProving(client);
    } catch (error) {
      this.lose(client, reasonOf(error));
    }
  }

  /** @throws what the connection was lost by */
  private async passesChecks(client: Client): Promise<boolean> {
    try {
      await this.check(client);
      return true;
    } catch (error) {
      const { code, hint } = error as { code?: unknown; hint?: string };
      if (isDatabaseUnavailable(error) && code !== OBJECT_NOT_IN_PREREQUISITE_STATE) throw error;
      this.refuse(client, reasonOf(error), hint);
      return false;
    }
  }

  private async check(client: Client): Promise<void> {
    if (this.checks.length === 0) return;
    await client.query('SET statement_timeout = 0; SET lock_timeout = 0');
    for (const check of this.checks) {
      await check(async <Row>(text: string) => {
        const statement: TimedQuery = { text, query_timeout: this.timing.checkTimeoutMs };
        const { rows } = await client.query(statement);
        return rows as Row[];
      });
    }
  }

  /** Returns when the connection was given up, throws when a proof is not answered. */
  private async keepProving(client: Client): Promise<void> {
    while (client === this.client) {
      await client.query('SELECT pg_notify($1, $2)', [PROOF_CHANNEL, this.proofPayload]);
      await delay(this.timing.proofIntervalMs, undefined, { ref: false });
      this.giveUpIfSilent();
    }
  }

  private giveUpIfSilent(): void {
    const { proofTimeoutMs } = this.timing;
    if (this.aliveAt === 0 || performance.now() - this.aliveAt < proofTimeoutMs) return;
    this.lose(this.client, 'The listening connection no longer returns its own notices');
  }

  private receive(client: Client, channel: string, payload: string): void {
    if (client !== this.client) return;
    if (channel !== PROOF_CHANNEL) {
      this.emit('notice', channel, payload);
      return;
    }
    if (payload !== this.proofPayload) return;
    this.aliveAt = performance.now();
    if (!this.isProven) {
      this.isProven = true;
      this.failedChecks = 0;
      this.outage.back();
      this.refusal.back();
      this.emit('live');
    }
    this.emit('proof');
  }

  private lose(client: Client | null, reason: string): void {
    if (client !== this.client || this.isClosed) return;
    this.outage.lost(reason);
    this.connectAgain(this.timing.reconnectDelayMs);
  }

  /** The database answers, so it is not away; but a check says that it is not what it should be. */
  private refuse(client: Client, reason: string, hint?: string): void {
    if (client !== this.client || this.isClosed) return;
    this.outage.back();
    this.refusal.lost(reason, hint);
    this.connectAgain(
      this.timing.reconnectDelayMs * Math.min(2 ** this.failedChecks, MAX_BACK_OFF),
    );
    this.failedChecks += 1;
  }

  private connectAgain(delayMs: number): void {
    this.disconnect();
    clearTimeout(this.timer);
    this.outside(() => {
      this.emit('gap');
      this.timer = setTimeout(() => void this.connect(), delayMs);
      this.timer.unref();
    });
  }

  /** Without a goodbye: on a dead connection `Client.end` would wait for an answer for ever. */
  private disconnect(): void {
    this.socket?.destroy();
    this.socket = null;
    this.client = null;
    this.isProven = false;
    this.aliveAt = 0;
  }
}
