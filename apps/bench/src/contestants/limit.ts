import { type SyncTable, syncTables } from '@rind/contracts';
import { SMALL_PULL_ROWS, SyncStatements } from '../../../api/dist/sync/sync-statements.js';
import type { Account } from '../accounts.ts';
import { encodeRun, encodeSync, PostgresConnection } from '../load/postgres-connection.ts';
import type { BenchDatabase } from '../stand/database.ts';
import {
  type Client,
  type Contestant,
  type Operation,
  type Pull,
  type Push,
  WrongAnswer,
} from './contestant.ts';

/** The engine's own statements, so that the limit is always that of the engine. */
const engine = new SyncStatements(syncTables);

type BatchTable = 'projects' | 'tasks';

/** What clients write; the other tables are the server's. */
const pushedTables = syncTables.filter(({ name }) => ['projects', 'tasks'].includes(name));

export interface LimitStatement {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** What an answer to a pull is made of, and how many rows PostgreSQL sends for it. */
export function pullStatements(
  userId: string,
  { cursor, rows }: Pull,
): { statements: LimitStatement[]; expectedRows: number } {
  if (rows === 0) {
    return { statements: [{ ...engine.readClock, values: [userId] }], expectedRows: 1 };
  }
  if (rows <= SMALL_PULL_ROWS) {
    const versions = syncTables.map(() => String(cursor));
    const values = [userId, String(cursor), ...versions];
    return { statements: [{ ...engine.pull, values }], expectedRows: rows + 1 };
  }
  const statements = syncTables.map((table) => ({
    name: `bench_read_${table.name}`,
    text: `SELECT id, ${columnNames(table).join(', ')} FROM ${table.name}
WHERE user_id = $1::uuid AND version > $2::int8 AND NOT is_deleted`,
    values: [userId, String(cursor)],
  }));
  return { statements, expectedRows: rows };
}

const pushText = (documents: readonly string[]) =>
  `SELECT bench_push($1::uuid, $2::int8, ${documents.map((document) => `${document}::jsonb`).join(', ')})`;

function pushStatement(userId: string, { cursor, batch }: Push): LimitStatement {
  const documents = pushedTables.map(({ name }) => JSON.stringify(batch[name as BatchTable]));
  return {
    name: 'bench_push',
    text: pushText(pushedTables.map((_table, index) => `$${index + 3}`)),
    values: [userId, String(cursor), ...documents],
  };
}

/** For pgbench, which sends the same again and again: the server makes the ids new, which costs it little. */
export function repeatablePushStatement(userId: string, { cursor, batch }: Push): LimitStatement {
  const documents = pushedTables.map(({ name }) => {
    const records = batch[name as BatchTable].map((record) => ({ ...record, id: `~${record.id}` }));
    // What follows a colon would be one of pgbench's variables.
    const json = JSON.stringify(records).replaceAll('":', '": ');
    return `replace('${json}', '~', :random::text)`;
  });
  return { name: 'bench_push', text: pushText(documents), values: [userId, String(cursor)] };
}

/** The statements that the engine needs, with nothing around them: no HTTP, no JSON, no Node. */
export class Limit implements Contestant {
  readonly name = 'limit';

  private readonly databaseUrl: string;

  private constructor(databaseUrl: string) {
    this.databaseUrl = databaseUrl;
  }

  async connect({ userId }: Account): Promise<Client> {
    return new LimitClient(userId, await PostgresConnection.open(this.databaseUrl));
  }

  static async create({ url, admin }: BenchDatabase): Promise<Limit> {
    await admin.query(pushFunction());
    return new Limit(url);
  }
}

/** A push as one function: locks the clock, looks for conflicts, writes, advances the clock. */
function pushFunction(): string {
  const parameters = pushedTables.map(({ name }) => `new_${name} jsonb`);
  return `CREATE FUNCTION bench_push(account uuid, after_version int8, ${parameters.join(', ')})
RETURNS int8 LANGUAGE plpgsql AS $function$
DECLARE
  next_version int8;
BEGIN
  PERFORM FROM sync_clocks WHERE user_id = $1 FOR UPDATE;
  SELECT greatest(version + 1, floor(extract(epoch FROM clock_timestamp()) * 1000)::int8)
    INTO next_version FROM sync_clocks WHERE user_id = $1;
${pushedTables.map((table, index) => writeTable(table, `$${index + 3}`)).join('\n')}
  UPDATE sync_clocks SET version = next_version WHERE user_id = $1;
  RETURN next_version;
END $function$`;
}

function writeTable(table: SyncTable, rows: string): string {
  const names = columnNames(table);
  const types = { string: 'text', number: 'float8', boolean: 'boolean', json: 'text' } as const;
  const definitions = Object.entries(table.columns).map(
    ([name, { type }]) => `${name} ${types[type]}`,
  );
  return `  IF jsonb_array_length(${rows}) > 0 THEN
    IF EXISTS (SELECT FROM ${table.name} WHERE user_id = $1 AND (is_deleted OR version > $2)
               AND id = ANY (ARRAY(SELECT id FROM jsonb_to_recordset(${rows}) AS r(id text)))) THEN
      RAISE 'conflict';
    END IF;
    INSERT INTO ${table.name} (user_id, id, ${names.join(', ')}, version, is_deleted)
    SELECT $1, r.id, ${names.map((name) => `r.${name}`).join(', ')}, next_version, false
    FROM jsonb_to_recordset(${rows}) AS r(id text, ${definitions.join(', ')})
    ON CONFLICT (user_id, id) DO UPDATE SET ${names.map((name) => `${name} = excluded.${name}`).join(', ')},
      version = excluded.version, is_deleted = false;
  END IF;`;
}

function columnNames(table: SyncTable): string[] {
  return Object.keys(table.columns);
}

class LimitClient implements Client {
  private readonly userId: string;
  private readonly connection: PostgresConnection;

  constructor(userId: string, connection: PostgresConnection) {
    this.userId = userId;
    this.connection = connection;
  }

  preparePull(pull: Pull): Operation {
    const { statements, expectedRows } = pullStatements(this.userId, pull);
    return this.prepare(statements, expectedRows);
  }

  preparePush(push: Push): Operation {
    return this.prepare([pushStatement(this.userId, push)], 1);
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  private prepare(statements: readonly LimitStatement[], expectedRows: number): Operation {
    const messages = Buffer.concat([
      ...statements.map(({ name, values }) => encodeRun(name, values)),
      encodeSync(),
    ]);
    const run = async () => {
      const rows = await this.connection.exchange(messages);
      if (rows !== expectedRows) {
        throw new WrongAnswer(`PostgreSQL sent ${rows} rows, not ${expectedRows}`);
      }
    };
    const verify = async () => {
      for (const { name, text } of statements) await this.connection.prepare(name, text);
      await run();
    };
    return { verify, run };
  }
}
