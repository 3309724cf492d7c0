import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import type { SyncTable } from '@rind/contracts';
import { Slots } from '../platform/concurrency/slots.js';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { type ContentCoding, createCompressor } from '../platform/http/content-coding.js';
import type { Spool } from '../platform/spool/spool.js';
import { SpoolFullError, Spools } from '../platform/spool/spools.js';
import { Chunks } from './chunks.js';
import { CopyEncoder } from './copy-encoder.js';
import { answerText, headOf, recordFields } from './pull-answer.js';
import type { PullReport } from './pull-report.js';
import { type LargePullRefusal, SyncMetrics } from './sync-metrics.js';
import { type PullSnapshot, SyncRepository } from './sync.repository.js';
import { InjectSyncTables } from './sync-tables.module.js';

@Injectable()
export class LargePullLimits {
  /** How long a pull waits for its turn. */
  readonly waitMs: number = 30_000;
  /** How long the client may take to read an answer. */
  readonly readMs: number = 300_000;
  /**
   * How long it may leave bytes untaken: a connection that died silently must not keep its user
   * from the next pull for all of that time.
   */
  readonly stallMs: number = 30_000;
}

export interface LargePull {
  readonly userId: string;
  readonly cursor: number;
  readonly wholeTables: readonly string[];
  /** For somebody who has no replica, and wants to know of deleted records all the same. */
  readonly withTombstones?: boolean;
  readonly report: PullReport;
}

export interface Transfer {
  readonly coding: ContentCoding;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

const RETRY_AFTER_SECONDS = 10;

/** How long one answer may hold up the event loop. */
const TURN_MS = 1;
/** Why there is no answer, by the reason that the log names. */
const refusals: Readonly<Record<LargePullRefusal, string>> = {
  user_busy: 'Another large pull of this account is under way.',
  connections_busy: 'Large pulls of other accounts are under way.',
  spool_full: 'There is no room for large answers at the moment.',
};

/** Of the array of deleted ids. */
const deletedFields = [{ key: '', isText: true }];

/**
 * Answers with many rows: copied from PostgreSQL into a spool at the speed of PostgreSQL, so that a
 * slow client never holds a database connection. A user has one at a time, until it is read; they have
 * connections of their own, so that small requests always find one.
 */
@Injectable()
export class LargePulls {
  private readonly logger = new Logger(LargePulls.name);
  private readonly connections: Slots;
  private readonly users = new Map<string, Slots>();

  constructor(
    private readonly repository: SyncRepository,
    private readonly spools: Spools,
    private readonly limits: LargePullLimits,
    private readonly metrics: SyncMetrics,
    @InjectSyncTables() private readonly tables: readonly SyncTable[],
    @InjectConfig() config: Config,
  ) {
    this.connections = new Slots(config.database.snapshotPoolSize);
  }

  /**
   * The bytes of the answer, as soon as there are any; the stream is destroyed when the rest cannot
   * follow. Whoever takes it reads it to its end or destroys it.
   *
   * @throws DomainError `service_unavailable` when there is no turn in time, or no room;
   *   `session_ended` when the user is gone
   */
  async open(pull: LargePull, { coding, signal }: Transfer): Promise<Readable> {
    const { leaveUser, leaveConnection } = await this.takeTurn(pull.userId, signal);
    const spool = this.openSpool(leaveUser);
    void this.fill(spool, pull, coding).finally(leaveConnection);
    const leave = () => spool.destroy(clientLeft());
    signal.addEventListener('abort', leave);
    try {
      await once(spool, 'readable');
    } catch (error) {
      throw error instanceof SpoolFullError ? this.refuse(pull.userId, 'spool_full', error) : error;
    } finally {
      signal.removeEventListener('abort', leave);
    }
    // From here on the answer has begun, and only its broken end can tell the client of a failure.
    spool.on('error', (error) =>
      this.logger.warn({ err: error, userId: pull.userId }, 'A large pull broke off'),
    );
    return spool;
  }

  private async takeTurn(userId: string, signal: AbortSignal) {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(this.limits.waitMs)]);
    const take = async (slots: Slots, refusal: LargePullRefusal) => {
      try {
        return await slots.take(patience);
      } catch (error) {
        throw signal.aborted ? clientLeft() : this.refuse(userId, refusal, error);
      }
    };
    const slots = this.users.get(userId) ?? new Slots(1);
    this.users.set(userId, slots);
    const giveBack = await take(slots, 'user_busy');
    const leaveUser = () => {
      giveBack();
      if (slots.isIdle) this.users.delete(userId);
    };
    try {
      return { leaveUser, leaveConnection: await take(this.connections, 'connections_busy') };
    } catch (error) {
      leaveUser();
      throw error;
    }
  }

  private refuse(userId: string, reason: LargePullRefusal, cause: unknown): DomainError {
    this.metrics.countRefusedLargePull(reason);
    this.logger.warn({ userId, reason }, 'A large pull was refused');
    return unavailable(refusals[reason], cause);
  }

  private openSpool(onClose: () => void): Spool {
    const spool = this.spools.open();
    const deadline = setTimeout(
      () => spool.destroy(unavailable('The answer was not read in time.')),
      this.limits.readMs,
    ).unref();
    const stall = setTimeout(() => {
      if (spool.isAwaited) stall.refresh();
      else spool.destroy(unavailable('The client has stopped reading.'));
    }, this.limits.stallMs).unref();
    spool.on('taken', () => stall.refresh());
    spool.once('close', () => {
      clearTimeout(deadline);
      clearTimeout(stall);
      onClose();
    });
    return spool;
  }

  /** Never rejects: a failure destroys the spool. */
  private async fill(spool: Spool, pull: LargePull, coding: ContentCoding): Promise<void> {
    // A COPY that waits for PostgreSQL would not notice that nobody takes its rows.
    const closed = new AbortController();
    spool.once('close', () => closed.abort());
    try {
      await this.repository.snapshot(pull.userId, async (snapshot) => {
        const text = this.write(pull, snapshot, closed.signal);
        const compressor = createCompressor(coding);
        await (compressor ? pipeline(text, compressor, spool) : pipeline(text, spool));
        this.metrics.countPull(pull.report);
      });
    } catch (error) {
      spool.destroy(error as Error);
    }
  }

  private async *write(
    { userId, cursor, wholeTables, withTombstones = false, report }: LargePull,
    { clock, copyUpdated, copyDeleted }: PullSnapshot,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    if (!clock) throw new DomainError('session_ended');
    const head = headOf(userId, cursor, clock);
    const since = head.isReplacement ? 0 : cursor;
    let updatedRows = 0;
    let deletedRows = 0;
    report.isLarge = true;
    const output = new Chunks();
    output.appendText(answerText.beforeTables);
    for (const [index, table] of this.tables.entries()) {
      output.appendText(`${index > 0 ? ',' : ''}${answerText.beforeUpdated(table)}`);
      const after = wholeTables.includes(table.name) ? 0 : since;
      const updated = new CopyEncoder(output, recordFields(table), '}');
      yield* encode(copyUpdated(table, after, signal), updated, output);
      updatedRows += updated.rows;
      output.appendText(answerText.beforeDeleted);
      if (since > 0 || withTombstones) {
        const deleted = new CopyEncoder(output, deletedFields, '');
        yield* encode(copyDeleted(table, since, signal), deleted, output);
        deletedRows += deleted.rows;
      }
      output.appendText(answerText.afterDeleted);
    }
    output.appendText(answerText.afterTables(head));
    report.finish(head.timestamp, updatedRows, deletedRows);
    yield* output.takeAll();
  }
}

/**
 * Nothing leaves before the first piece is full: what fails until then is still answered as a problem.
 * PostgreSQL sends faster than this encodes, and what waits in the socket must not keep the event loop
 * from other requests.
 */
async function* encode(
  copy: Readable,
  encoder: CopyEncoder,
  output: Chunks,
): AsyncGenerator<Buffer, void> {
  let turnStart = performance.now();
  for await (const chunk of copy) {
    encoder.encode(chunk as Buffer);
    yield* output.takeFull();
    if (performance.now() - turnStart > TURN_MS) {
      await setImmediate();
      turnStart = performance.now();
    }
  }
}

function clientLeft(): DomainError {
  return unavailable('The client left.');
}

function unavailable(detail: string, cause?: unknown): DomainError {
  return new DomainError('service_unavailable', {
    detail,
    cause,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}
