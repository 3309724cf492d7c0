import { type ColumnDefinition, type SyncTable, syncTables } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const sqlTypes = {
  string: 'text',
  number: 'double precision',
  boolean: 'boolean',
  json: 'text',
} as const;

/** Columns that the engine keeps beside those of the registry. */
const bookkeeping = {
  user_id: 'uuid not null',
  id: 'text C not null',
  version: 'bigint not null',
  is_deleted: 'boolean not null',
} as const;

/** Ids sort by bytes: other collations change with the operating system, and corrupt the index. */
const expectedColumn = ({ type, optional, references }: ColumnDefinition) =>
  `${sqlTypes[type]} ${references === undefined ? '' : 'C '}${optional ? 'null' : 'not null'}`;

/** Holds the registry against the migrated database; the drift check holds that against the Prisma schema. */
describe('synced tables', () => {
  let database: TestDatabase;
  let sql: pg.Client;

  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
  });
  afterAll(async () => {
    await sql.end();
    await database.drop();
  });

  const column = async <T>(query: string, ...values: unknown[]): Promise<T[]> => {
    const { rows } = await sql.query<{ value: T }>(query, values);
    return rows.map(({ value }) => value);
  };

  /** Sentences on what is missing or wrong; none when the table is as its registry entry says. */
  async function faultsOf(table: SyncTable): Promise<string[]> {
    const { rows } = await sql.query<{ name: string; definition: string }>(
      `SELECT attname AS name, format_type(atttypid, atttypmod) || CASE WHEN collname = 'C' THEN ' C' ELSE '' END ||
              CASE WHEN attnotnull THEN ' not null' ELSE ' null' END AS definition
       FROM pg_attribute LEFT JOIN pg_collation ON pg_collation.oid = attcollation
       WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
      [table.name],
    );
    if (rows.length === 0) {
      return [
        `The table ${table.name} is in the registry, but not in the database: add a Prisma model and a migration.`,
      ];
    }
    const actual = new Map(rows.map(({ name, definition }) => [name, definition]));
    const expected = new Map<string, string>([
      ...Object.entries(bookkeeping),
      ...Object.entries(table.columns).map(
        ([name, definition]) => [name, expectedColumn(definition)] as const,
      ),
    ]);
    const faults: string[] = [];
    for (const [name, definition] of expected) {
      const found = actual.get(name);
      if (found === undefined)
        faults.push(`${table.name}.${name} is missing in the database: expected ${definition}.`);
      else if (found !== definition)
        faults.push(`${table.name}.${name} is ${found} in the database: expected ${definition}.`);
    }
    for (const name of actual.keys()) {
      if (!expected.has(name))
        faults.push(`${table.name}.${name} is in the database, but not in the registry.`);
    }
    return faults;
  }

  test.each(syncTables.map((table) => [table.name, table] as const))(
    '%s has the columns of the registry',
    async (_name, table) => {
      expect(await faultsOf(table)).toEqual([]);
    },
  );

  test('what is missing is said in a sentence', async () => {
    const [projects] = syncTables;
    const faults = await Promise.all([
      faultsOf({ ...projects!, name: 'invoices' }),
      faultsOf({ ...projects!, columns: { ...projects!.columns, colour: { type: 'string' } } }),
      faultsOf({ ...projects!, columns: { ...projects!.columns, name: { type: 'number' } } }),
    ]);
    expect(faults.flat()).toEqual([
      'The table invoices is in the registry, but not in the database: add a Prisma model and a migration.',
      'projects.colour is missing in the database: expected text not null.',
      'projects.name is text not null in the database: expected double precision not null.',
    ]);
  });

  test.each(syncTables.map(({ name }) => [name]))(
    '%s is keyed, indexed and owned by user',
    async (name) => {
      const indexes = await column<string>(
        `SELECT CASE WHEN indisunique THEN 'unique ' ELSE '' END || pg_get_indexdef(indexrelid, 1, true) || ', ' || coalesce(pg_get_indexdef(indexrelid, 2, true), '')
              AS value FROM pg_index WHERE indrelid = to_regclass($1)`,
        name,
      );
      expect(indexes).toEqual(expect.arrayContaining(['unique user_id, id', 'user_id, version']));
      for (const index of indexes.filter((text) => text.startsWith('unique'))) {
        expect(index).toMatch(/^unique user_id, /);
      }
      // No foreign key among synced tables: a child may arrive before its parent (hazard H10).
      const references = await column<string>(
        `SELECT pg_get_constraintdef(oid) AS value FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'f'`,
        name,
      );
      expect(references).toEqual([
        'FOREIGN KEY (user_id) REFERENCES sync_clocks(user_id) ON UPDATE CASCADE ON DELETE CASCADE',
      ]);
    },
  );

  test('every table that hangs on a clock is in the registry', async () => {
    const tables = await column<string>(
      `SELECT conrelid::regclass::text AS value FROM pg_constraint
       WHERE contype = 'f' AND confrelid = 'sync_clocks'::regclass
         AND conrelid <> 'sync_answers'::regclass`,
    );
    expect(new Set(tables)).toEqual(new Set(syncTables.map(({ name }) => name)));
  });
});
