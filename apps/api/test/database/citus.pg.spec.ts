import { type PullResult, syncTables } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { codeBlock } from '../support/docs.js';
import { TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/**
 * Stands in for Citus, which Debian has not: distributes nothing, and refuses what Citus refuses of a table.
 */
const STAND_IN = `
CREATE TABLE distributed (relation regclass PRIMARY KEY, key_column text, colocated regclass);

CREATE FUNCTION refuse_foreign_keys() RETURNS void LANGUAGE plpgsql AS $$
DECLARE wrong text;
BEGIN
  SELECT string_agg(conrelid::regclass || ' ' || pg_get_constraintdef(c.oid), '; ') INTO wrong
  FROM pg_constraint c
  LEFT JOIN distributed child ON child.relation = conrelid
  LEFT JOIN distributed parent ON parent.relation = confrelid
  WHERE contype = 'f' AND (child.relation IS NOT NULL OR parent.relation IS NOT NULL) AND (
    child.relation IS NULL OR parent.relation IS NULL
    OR coalesce(child.colocated, child.relation) <> coalesce(parent.colocated, parent.relation)
    OR NOT EXISTS (
      SELECT FROM unnest(conkey, confkey) AS pair (own, theirs)
      JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = own
      JOIN pg_attribute b ON b.attrelid = confrelid AND b.attnum = theirs
      WHERE a.attname = child.key_column AND b.attname = parent.key_column)
    OR confupdtype NOT IN ('a', 'r') OR confdeltype IN ('n', 'd'));
  IF wrong IS NOT NULL THEN RAISE 'unsupported foreign keys: %', wrong; END IF;
END $$;

CREATE FUNCTION create_distributed_table(relation regclass, key_column text, colocate_with text DEFAULT 'default')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  key pg_attribute;
  wrong text;
BEGIN
  SELECT * INTO STRICT key FROM pg_attribute WHERE attrelid = relation AND attname = key_column;
  SELECT string_agg(indexrelid::regclass::text, ', ') INTO wrong FROM pg_index
  WHERE indrelid = relation AND (indisunique OR indisexclusion) AND key.attnum <> ALL (indkey);
  IF wrong IS NOT NULL THEN RAISE 'unique without %: %', key_column, wrong; END IF;
  SELECT string_agg(tgname, ', ') INTO wrong FROM pg_trigger WHERE tgrelid = relation AND NOT tgisinternal;
  IF wrong IS NOT NULL THEN RAISE 'triggers: %', wrong; END IF;
  IF colocate_with <> 'default' AND key.atttypid <>
    (SELECT atttypid FROM pg_attribute a JOIN distributed d ON d.relation = attrelid AND d.key_column = attname
     WHERE d.relation = colocate_with::regclass)
  THEN RAISE 'another type than %', colocate_with; END IF;
  INSERT INTO distributed VALUES (relation, key_column, nullif(colocate_with, 'default')::regclass);
  PERFORM refuse_foreign_keys();
END $$;`;

describe('the statements of docs/scaling.md distribute', () => {
  let database: TestDatabase;
  let sql: pg.Client;
  let rind: TestApp | undefined;

  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
    await sql.query(STAND_IN);
    await sql.query(codeBlock('scaling.md', 'sql', 'citus'));
    // Also the keys that were added in the end.
    await sql.query('SELECT refuse_foreign_keys()');
  });
  afterAll(async () => {
    await rind?.stop();
    await sql.end();
    await database.drop();
  });

  const names = async (query: string) => {
    const { rows } = await sql.query<{ name: string }>(query);
    return rows.map(({ name }) => name).toSorted();
  };

  test('the clocks, each synced table and all else that hangs on a clock, and nothing besides', async () => {
    const distributed = await names('SELECT relation::text AS name FROM distributed');
    expect(distributed).toEqual(
      [
        ...syncTables.map(({ name }) => name),
        'sync_answers',
        'sync_clocks',
        'sync_lost_intervals',
      ].toSorted(),
    );
    expect(
      await names(`SELECT conrelid::regclass::text AS name FROM pg_constraint
        WHERE contype = 'f' AND confrelid = 'sync_clocks'::regclass`),
    ).toEqual(distributed.filter((name) => name !== 'sync_clocks'));
  });

  test('all by user_id, the first column of each primary key and each unique index', async () => {
    const { rows } = await sql.query(
      `SELECT DISTINCT key_column, format_type(atttypid, atttypmod) AS type, attnotnull, pg_get_indexdef(indexrelid, 1, true) AS first
       FROM distributed JOIN pg_index ON indrelid = relation AND indisunique
       JOIN pg_attribute ON attrelid = relation AND attname = key_column`,
    );
    expect(rows).toEqual([
      { key_column: 'user_id', type: 'uuid', attnotnull: true, first: 'user_id' },
    ]);
  });

  test('so that an account still signs up, syncs, and takes its rows along when it is deleted', async () => {
    rind = await TestApp.start({ database });
    const account = await rind.signUp();
    const token = account.accessToken;
    const project = { id: 'a', name: 'A', created_at: 1, updated_at: 1 };
    const body = { changes: { projects: { created: [project] } }, lastPulledAt: null };
    expect((await rind.request('POST', '/sync/push', { token, body })).status).toBe(200);
    const pull = await rind.request<PullResult>('GET', '/sync/pull', { token });
    expect(pull.body.changes['projects']?.updated).toMatchObject([{ id: 'a' }]);
    const { status } = await rind.request('DELETE', '/users/me', {
      token,
      body: { password: account.password },
    });
    expect(status).toBe(204);
    for (const table of await names('SELECT relation::text AS name FROM distributed')) {
      const { rowCount } = await sql.query(`SELECT FROM ${table}`);
      expect([table, rowCount]).toEqual([table, 0]);
    }
  });
});

describe('the stand-in for Citus refuses', () => {
  let database: TestDatabase;
  let sql: pg.Client;

  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
    await sql.query(STAND_IN);
  });
  beforeEach(() => sql.query('ROLLBACK; BEGIN'));
  afterAll(async () => {
    await sql.end();
    await database.drop();
  });

  const made = `CREATE TABLE own (user_id uuid, id text, PRIMARY KEY (user_id, id))`;
  const distribute = `SELECT create_distributed_table('own', 'user_id')`;

  test.each([
    [
      'a unique index without the column',
      `${made}; CREATE UNIQUE INDEX ON own (id)`,
      'unique without user_id',
    ],
    [
      'a trigger',
      `${made}; CREATE TRIGGER t AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION announce_role_change()`,
      'triggers: t',
    ],
    [
      'a foreign key to a local table',
      `${made}; ALTER TABLE own ADD FOREIGN KEY (user_id) REFERENCES users`,
      'unsupported foreign keys',
    ],
    [
      'a foreign key of a local table',
      `${made}; CREATE TABLE other (user_id uuid, id text, FOREIGN KEY (user_id, id) REFERENCES own)`,
      'unsupported foreign keys',
    ],
  ])('%s', async (_, prepare, message) => {
    await sql.query(prepare);
    await expect(sql.query(distribute)).rejects.toThrow(message);
  });

  test.each([
    ['that cascades updates', 'FOREIGN KEY (user_id, parent) REFERENCES own ON UPDATE CASCADE'],
    ['that sets null', 'FOREIGN KEY (user_id, parent) REFERENCES own ON DELETE SET NULL'],
    [
      'without the column',
      'UNIQUE (user_id, parent), FOREIGN KEY (parent_user, parent) REFERENCES own',
    ],
  ])('a foreign key %s, between tables that are distributed', async (_, key) => {
    await sql.query(`${made}; ${distribute};
      CREATE TABLE child (user_id uuid, parent_user uuid, parent text, PRIMARY KEY (user_id, parent), ${key})`);
    await expect(
      sql.query(`SELECT create_distributed_table('child', 'user_id', colocate_with => 'own')`),
    ).rejects.toThrow('unsupported foreign keys');
  });

  test('a table whose column has another type than its group', async () => {
    await sql.query(`${made}; ${distribute}; CREATE TABLE child (user_id text PRIMARY KEY)`);
    await expect(
      sql.query(`SELECT create_distributed_table('child', 'user_id', colocate_with => 'own')`),
    ).rejects.toThrow('another type than own');
  });
});
