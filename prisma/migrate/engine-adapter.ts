import { PrismaPg } from '@prisma/adapter-pg';
import {
  ColumnTypeEnum,
  DriverAdapterError,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
} from '@prisma/driver-adapter-utils';
import pg from 'pg';
import { type ConnectionTarget, createTemporaryDatabase, sessionSettings } from './connection.ts';
import { isConcurrent } from './invalid-indexes.ts';

/** A SQL script that PostgreSQL refused, with PostgreSQL's own error (the engine keeps its text only). */
export interface FailedScript {
  sql: string;
  error: pg.DatabaseError;
}

/** PostgreSQL's one-byte type `"char"`, which only the system catalogs use. */
const CHAR_OID = 18;
/** Its array type: the only one of the two that PrismaPg has a name for. */
const CHAR_ARRAY_OID = 1002;

/**
 * The connections of the schema engine: PrismaPg's, put right where PrismaPg 7 cannot serve the engine.
 *
 * - Its `executeScript` cuts a script at every semicolon, also inside comments and function bodies,
 *   and runs the pieces one by one.
 * - Its `connectToShadowDb` connects to the main database when the pool has a connection string.
 * - Its `queryRaw` refuses the type `"char"`, which the engine reads from the catalogs. It must arrive
 *   as a character: as text, the engine panics over PostgreSQL 18's NOT NULL constraints.
 */
export class EngineAdapterFactory implements SqlMigrationAwareDriverAdapterFactory {
  readonly provider = 'postgres';
  readonly adapterName = '@prisma/adapter-pg';
  /** The last script that failed, if any did. */
  failedScript: FailedScript | undefined;
  /** Why there is no shadow database: of such an error the engine reports no more than a number. */
  shadowError: unknown;
  readonly #target: ConnectionTarget;
  readonly #tableLockTimeoutMs: number;
  readonly #cleanups: (() => Promise<void>)[] = [];

  constructor(target: ConnectionTarget, tableLockTimeoutMs = 0) {
    this.#target = target;
    this.#tableLockTimeoutMs = tableLockTimeoutMs;
  }

  connect(): Promise<SqlDriverAdapter> {
    return this.#connectTo(this.#target);
  }

  async connectToShadowDb(): Promise<SqlDriverAdapter> {
    const shadow = await createTemporaryDatabase(this.#target).catch((error: unknown) => {
      this.shadowError = error;
      throw error;
    });
    this.#cleanups.push(() => shadow.drop());
    return this.#connectTo(shadow.target);
  }

  /** Here rather than in the adapters' own `dispose`, which the engine skips after an error. */
  async dispose(): Promise<void> {
    for (const cleanup of this.#cleanups.toReversed()) {
      await cleanup();
    }
  }

  async #connectTo(target: ConnectionTarget): Promise<SqlDriverAdapter> {
    // One connection: the engine takes Prisma's own advisory lock on whatever connection it gets,
    // and that lock has to be held by the session that runs the migration.
    const pool = new CatalogPool({
      connectionString: target.url,
      max: 1,
      idleTimeoutMillis: 0,
      keepAlive: true,
      // oxlint-disable-next-line typescript/no-misused-promises -- pg-pool awaits it, its types do not say so
      onConnect: (client) => client.query(sessionSettings(target)),
    });
    // `end()` does not wait for the sessions to close, so dropping a shadow database may still cut one off;
    // without a listener that would end the process.
    pool.on('error', () => undefined);
    this.#cleanups.push(() => pool.end());
    const adapter = await new PrismaPg(pool, { schema: target.schema }).connect();
    const queryRaw = adapter.queryRaw.bind(adapter);
    adapter.queryRaw = async (query) => {
      const result = await queryRaw(query);
      const columnTypes = result.columnTypes.map((type) =>
        type === ColumnTypeEnum.CharacterArray ? ColumnTypeEnum.Character : type,
      );
      return { ...result, columnTypes };
    };
    adapter.executeScript = (sql) => this.#executeScript(pool, sql);
    return adapter;
  }

  /** The whole script in one message, which PostgreSQL runs as one transaction. */
  async #executeScript(pool: pg.Pool, sql: string): Promise<void> {
    // An index that is built concurrently waits for old transactions, and nobody waits behind it.
    const lockTimeoutMs = isConcurrent(sql) ? 0 : this.#tableLockTimeoutMs;
    try {
      // Of its own, since a message of several statements is one transaction.
      await pool.query(`SET lock_timeout = ${Math.trunc(lockTimeoutMs)}`);
      await pool.query(sql);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) {
        throw error;
      }
      this.failedScript = { sql, error };
      throw new DriverAdapterError({
        kind: 'postgres',
        code: error.code ?? '',
        severity: error.severity ?? 'ERROR',
        message: error.message,
        detail: error.detail,
        column: error.column,
        hint: error.hint,
      });
    }
  }
}

/** Gives a result column of type `"char"` the type that PrismaPg does not refuse. */
class CatalogPool extends pg.Pool {
  constructor(config: pg.PoolConfig) {
    super(config);
    const query = this.query.bind(this) as (...args: unknown[]) => Promise<pg.QueryResult>;
    this.query = (async (...args: unknown[]) => {
      const result = await query(...args);
      // A script of several statements has several results, and nobody reads them.
      for (const field of Array.isArray(result) ? [] : result.fields) {
        field.dataTypeID = field.dataTypeID === CHAR_OID ? CHAR_ARRAY_OID : field.dataTypeID;
      }
      return result;
    }) as typeof this.query;
  }
}
