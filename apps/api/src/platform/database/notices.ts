import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Client } from 'pg';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';

/** How often the listening connection proves itself with a notice of its own. */
const PROOF_INTERVAL_MS = 5_000;
/** Without a proof for this long the connection counts as dead. */
const PROOF_TIMEOUT_MS = 10_000;
const RECONNECT_DELAY_MS = 250;
const PROOF_CHANNEL = 'rind_proof';

interface NoticesEvents {
  notice: [channel: string, payload: string];
  /** Notices may have been missed: everything learned from them is in doubt. */
  gap: [];
  /** The first proof on a new connection: from here on nothing is missed. */
  live: [];
}

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
  private readonly proofPayload = randomUUID();
  private readonly channels = new Set<string>([PROOF_CHANNEL]);
  private readonly url: string;
  private client: Client | null = null;
  private timer: NodeJS.Timeout | undefined;
  private isProven = false;
  /** When the connection was made or last returned a notice of its own. */
  private aliveAt = 0;
  private isClosed = false;

  constructor(@InjectConfig() config: Config) {
    super();
    this.url = config.database.directUrl;
  }

  /** Must be called before the application has started. Channel names are constants of the code. */
  listenTo(channel: string): void {
    this.channels.add(channel);
  }

  /** Whether every notice up to now has been delivered, as far as can be known: for at most 10 s wrongly so. */
  get isLive(): boolean {
    this.giveUpIfSilent();
    return this.isProven;
  }

  onApplicationBootstrap(): void {
    void this.connect();
  }

  async onModuleDestroy(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    await this.client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const client = new Client({
      connectionString: this.url,
      application_name: 'rind-notices',
      connectionTimeoutMillis: PROOF_TIMEOUT_MS,
      keepAlive: true,
    });
    this.client = client;
    client.on('error', (error) => this.lose(client, error.message));
    client.on('end', () => this.lose(client, 'The listening connection ended'));
    client.on('notification', ({ channel, payload = '' }) =>
      this.receive(client, channel, payload),
    );
    try {
      await client.connect();
      for (const channel of this.channels)
        await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
      this.aliveAt = performance.now();
      this.prove(client);
    } catch (error) {
      this.lose(client, error instanceof Error ? error.message : String(error));
    }
  }

  private prove(client: Client): void {
    if (client !== this.client) return;
    client
      .query('SELECT pg_notify($1, $2)', [PROOF_CHANNEL, this.proofPayload])
      .catch((error: Error) => this.lose(client, error.message));
    this.timer = setTimeout(() => {
      this.giveUpIfSilent();
      this.prove(client);
    }, PROOF_INTERVAL_MS);
    this.timer.unref();
  }

  private giveUpIfSilent(): void {
    if (this.aliveAt === 0 || performance.now() - this.aliveAt < PROOF_TIMEOUT_MS) return;
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
    if (this.isProven) return;
    this.isProven = true;
    this.emit('live');
  }

  private lose(client: Client | null, reason: string): void {
    if (client !== this.client || this.isClosed) return;
    this.client = null;
    this.isProven = false;
    this.aliveAt = 0;
    clearTimeout(this.timer);
    this.emit('gap');
    this.logger.warn({ reason }, 'Listening for notices was interrupted');
    client?.end().catch(() => undefined);
    this.timer = setTimeout(() => void this.connect(), RECONNECT_DELAY_MS);
    this.timer.unref();
  }
}
