import { pipeline } from 'node:stream/promises';
import { createZstdCompress } from 'node:zlib';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { type ConnectionTarget, parseDatabaseUrl, withClient } from '../migrate/connection.ts';
import { withMigrationLock } from '../migrate/lock.ts';
import type { BackupOutput } from './backup-file.ts';
import { APPLIED, noRind, readMigrationRows, readSequences, readTables } from './catalog.ts';
import { copyLine, copySettings, tableWithColumns } from './copy-command.ts';
import {
  type BackupHeader,
  type BackupTable,
  CHUNK_BYTES,
  END_OF_ROWS,
  type TableSum,
  encodeHeader,
  encodeSums,
} from './format.ts';
import { JOBS, hasJobQueue, jobsTable } from './job-rows.ts';
import { type Progress, silentProgress } from './progress.ts';
import { TableCounter } from './table-counter.ts';

export interface BackupOptions {
  databaseUrl: string;
  /** Of the program, for the file to name. */
  version: string;
  output: BackupOutput;
  progress?: Progress;
}

export interface BackupSummary {
  tables: number;
  rows: number;
  /** Of the file. */
  bytes: number;
}

/**
 * Copies everything that is Rind's, as it is at one moment, while the API runs.
 * @throws MigrateError when the database holds no Rind
 */
export async function backUp({
  databaseUrl,
  version,
  output,
  progress = silentProgress,
}: BackupOptions): Promise<BackupSummary> {
  try {
    const target = parseDatabaseUrl(databaseUrl);
    return await withClient(target, async (client) => {
      await client.query(copySettings);
      const copy = new SnapshotCopy(client, target, progress);
      // What is half migrated is no version that anything could be restored to. Only until the snapshot
      // is taken: an API that starts meanwhile must not wait for the copy.
      await withMigrationLock(target, { onProgress: (line) => progress.say(line) }, () =>
        copy.begin(version),
      );
      return copy.writeTo(output);
    });
  } catch (error) {
    await output.abandon();
    throw error;
  }
}

class SnapshotCopy {
  readonly #client: pg.Client;
  readonly #target: ConnectionTarget;
  readonly #progress: Progress;
  #header: BackupHeader | undefined;

  constructor(client: pg.Client, target: ConnectionTarget, progress: Progress) {
    this.#client = client;
    this.#target = target;
    this.#progress = progress;
  }

  async begin(version: string): Promise<void> {
    const { schema, database } = this.#target;
    const before = await readTables(this.#client, schema);
    await this.#client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    // Before the first query, which takes the snapshot: a table that was rewritten after that would look
    // empty in it. Readers and writers go on; only what changes a table's form waits.
    for (const { name } of before) {
      const table = `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
      await this.#client.query(`LOCK TABLE ${table} IN ACCESS SHARE MODE`);
    }
    const migrations = await readMigrationRows(this.#client, schema);
    if (!migrations?.length) throw noRind(database);
    const tables = await readTables(this.#client, schema);
    const withJobs = await hasJobQueue(this.#client);
    this.#header = {
      product: 'rind',
      version,
      ...(await this.#moment()),
      migrations,
      tables: [
        ...tables
          .filter((table) => !table.isEphemeral)
          .map(({ name, columns }) => ({ name, columns })),
        ...(withJobs ? [jobsTable] : []),
      ],
    };
  }

  async writeTo(output: BackupOutput): Promise<BackupSummary> {
    const header = this.#header!;
    const sums: TableSum[] = [];
    await output.write(encodeHeader(header));
    await pipeline(
      this.#body(header, sums),
      createZstdCompress({ chunkSize: CHUNK_BYTES }),
      async (packed: AsyncIterable<Buffer>) => {
        for await (const bytes of packed) await output.write(bytes);
      },
    );
    await this.#client.query('COMMIT');
    return {
      tables: header.tables.length,
      rows: sums.reduce((rows, sum) => rows + sum.rows, 0),
      bytes: await output.complete(),
    };
  }

  async *#body(header: BackupHeader, sums: TableSum[]): AsyncGenerator<Buffer, void, void> {
    for (const table of header.tables) {
      yield Buffer.from(`${copyLine(table)}\n`);
      const counter = new TableCounter(table.name);
      for await (const piece of this.#rows(table)) {
        counter.add(piece);
        this.#progress.advance(table.name, counter.rows, counter.bytes);
        yield piece;
      }
      yield Buffer.from(END_OF_ROWS);
      sums.push(counter.sum());
      this.#progress.finish(table.name, counter.rows, counter.bytes);
    }
    const sequences = await readSequences(this.#client, this.#target.schema);
    yield encodeSums({ tables: sums, sequences });
  }

  #rows(table: BackupTable): AsyncIterable<Buffer> {
    return this.#client.query(copyTo(`COPY ${rowsOf(table)} TO STDOUT`));
  }

  async #moment(): Promise<Pick<BackupHeader, 'createdAt' | 'postgres'>> {
    const { rows } = await this.#client.query<{ now: Date; postgres: string }>(
      `SELECT now(), current_setting('server_version') AS postgres`,
    );
    return { createdAt: rows[0]!.now.toISOString(), postgres: rows[0]!.postgres };
  }
}

function rowsOf(table: BackupTable): string {
  if (table === jobsTable) return `(${JOBS})`;
  if (table.name !== '_prisma_migrations') return tableWithColumns(table);
  const columns = table.columns.map(({ name }) => pg.escapeIdentifier(name));
  return `(SELECT ${columns.join(', ')} FROM _prisma_migrations WHERE ${APPLIED})`;
}
