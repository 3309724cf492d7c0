import type { ColumnDefinition, SyncTable } from '@rind/contracts';
import type { Statement } from '../platform/database/sql-transaction.js';
import { needsLookup, protectedColumns } from './plan-push.js';
import { defaultOf } from './prepare-push.js';

/**
 * The SQL of the engine, built once from the registry. Identifiers come from there only, never from
 * a request; values are always parameters.
 */
export class SyncStatements {
  /** `[user]` → `{ version, floor, timeline }`, no row for a user who is gone. */
  readonly readClock: Statement = {
    name: 'sync_read_clock',
    text: 'SELECT version, floor, timeline FROM sync_clocks WHERE user_id = $1::uuid',
  };

  /** `[users]` → `{ userId, version, floor, timeline }` of each that there is. */
  readonly readClocks: Statement = {
    name: 'sync_read_clocks',
    text: 'SELECT user_id AS "userId", version, floor, timeline FROM sync_clocks WHERE user_id = ANY ($1::uuid[])',
  };

  /** `[user]`: serialises everything that writes the user's synced rows. No row for a user who is gone. */
  readonly lockClock: Statement = {
    name: 'sync_lock_clock',
    text: 'SELECT 1 FROM sync_clocks WHERE user_id = $1::uuid FOR UPDATE',
  };

  /** `[user, version]` */
  readonly advanceClock: Statement = {
    name: 'sync_advance_clock',
    text: 'UPDATE sync_clocks SET version = $2::int8 WHERE user_id = $1::uuid',
  };

  /** `[user, floor]` */
  readonly raiseFloor: Statement = {
    name: 'sync_raise_floor',
    text: 'UPDATE sync_clocks SET floor = greatest(floor, $2::int8) WHERE user_id = $1::uuid',
  };

  /** `[user, digest]` → `{ answer }` of a push that was answered within a day. */
  readonly findAnswer: Statement = {
    name: 'sync_find_answer',
    text: `SELECT answer FROM sync_answers
WHERE user_id = $1::uuid AND digest = $2::bytea AND created_at > now() - interval '24 hours'`,
  };

  /** `[user, digest, answer as JSON]` */
  readonly saveAnswer: Statement = {
    name: 'sync_save_answer',
    text: `INSERT INTO sync_answers (user_id, digest, answer) VALUES ($1::uuid, $2::bytea, $3::jsonb)
ON CONFLICT (user_id, digest) DO UPDATE SET answer = excluded.answer, created_at = now()`,
  };

  /** `[limit]` → a row for each answer that was deleted. */
  readonly deleteOldAnswers: Statement = {
    name: 'sync_delete_old_answers',
    text: `DELETE FROM sync_answers WHERE (user_id, digest) IN (
  SELECT user_id, digest FROM sync_answers WHERE created_at <= now() - interval '24 hours'
  ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING 1`,
  };

  /** `[]` → `{ now }`: the database's clock in ms. */
  readonly readDatabaseClock: Statement = {
    name: 'sync_read_database_clock',
    text: 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now',
  };

  /** `[version, user or null, limit]` → users behind that one with tombstones up to the version. */
  readonly listUsersWithTombstones: Statement;
  /** `[user, version]` → `{ count, highest }` of the tombstones that were deleted. */
  readonly deleteTombstones: Statement;
  /** `[user, cursor, versions by table]`, see `pull()`. */
  readonly pull: Statement;
  readonly checkPush: Statement;
  /** Null where no table refers to another. */
  readonly cascade: Statement | null;
  readonly edges: readonly Edge[];
  private readonly writes: ReadonlyMap<SyncTable, WriteStatements>;

  constructor(readonly tables: readonly SyncTable[]) {
    this.edges = edgesOf(tables);
    this.listUsersWithTombstones = listUsersWithTombstones(tables);
    this.deleteTombstones = deleteTombstones(tables);
    this.pull = pull(tables);
    this.checkPush = checkPush(tables);
    this.cascade = cascade(tables, this.edges);
    this.writes = new Map(tables.map((table) => [table, writeStatements(table)]));
  }

  /** A COPY of the table's live rows: id, then the columns. */
  copyUpdated(table: SyncTable, userId: string, after: number): string {
    const columns = columnsOf(table).map(([name, { type }]) =>
      // COPY would write `t` and `f`.
      type === 'boolean' ? `${quote(name)}::text` : quote(name),
    );
    return copyRows(
      table,
      ['id', ...columns],
      userId,
      `version > ${integer(after)} AND NOT is_deleted`,
    );
  }

  /** A COPY of the ids of the table's tombstones. */
  copyDeleted(table: SyncTable, userId: string, after: number): string {
    return copyRows(table, ['id'], userId, `version > ${integer(after)} AND is_deleted`);
  }

  writesOf(table: SyncTable): WriteStatements {
    return this.writes.get(table)!;
  }
}

/** A reference between synced tables, by their index in the registry. */
export interface Edge {
  readonly child: number;
  readonly column: string;
  readonly parent: number;
}

/** The statements that write one table. Each takes `[user, version, …]`. */
export interface WriteStatements {
  /** `[…, rows as JSON]`, every row with every column. */
  readonly upsertComplete: Statement;
  /** `[…, rows as JSON]`: a missing column keeps its value on update and gets its default on create. */
  readonly upsertPartial: Statement;
  /** `[…, ids]` of live rows. */
  readonly markDeleted: Statement;
  /** `[…, ids]`: a new version and nothing else. */
  readonly touch: Statement;
  /** `[…, ids]` of rows that do not exist: stores them as deleted. */
  readonly bury: Statement;
}

const sqlTypes = { string: 'text', number: 'float8', boolean: 'boolean', json: 'text' } as const;

const quote = (name: string) => `"${name}"`;

const columnsOf = (table: SyncTable) => Object.entries(table.columns);

function sqlDefault(column: ColumnDefinition): string {
  const value = defaultOf(column);
  return value === '' ? `''` : String(value);
}

function edgesOf(tables: readonly SyncTable[]): Edge[] {
  return tables.flatMap((table, child) =>
    columnsOf(table).flatMap(([column, { references }]) => {
      if (references === undefined) return [];
      const parent = tables.findIndex(({ name }) => name === references);
      if (parent >= 0) return [{ child, column, parent }];
      throw new Error(
        `${table.name}.${column} references ${references}, which is not a synced table`,
      );
    }),
  );
}

/** Rows of a small answer. More are copied, which costs a transaction of several round trips, and then less a row. */
export const SMALL_PULL_ROWS = 500;

/**
 * `[user, cursor, then for each table the version after which rows are sent]` → the clock and all
 * rows of a pull in one snapshot, as arrays: `[index of the table, -1 for the clock; is_deleted, for
 * the clock whether there are more rows than a small answer has; id or version; column texts, or
 * floor and timeline]`. Of a large answer nothing but the clock is sent. Tombstones are sent behind
 * the cursor only, and none to a cursor of 0. The order makes PostgreSQL take the index on versions,
 * whatever it believes about the number of rows.
 */
function pull(tables: readonly SyncTable[]): Statement {
  const width = Math.max(2, ...tables.map((table) => columnsOf(table).length));
  const padded = (columns: readonly string[]) =>
    [...columns, ...Array<string>(width - columns.length).fill('NULL')].join(', ');
  const ofTable = (
    table: SyncTable,
    index: number,
  ) => `(SELECT ${index}, t.is_deleted, t.id, ${padded(columnsOf(table).map(([name]) => `t.${quote(name)}::text`))}
FROM ${quote(table.name)} t WHERE t.user_id = $1::uuid AND t.version > $${index + 3}::int8
  AND (NOT t.is_deleted OR ($2::int8 > 0 AND t.version > $2::int8))
ORDER BY t.version LIMIT ${SMALL_PULL_ROWS + 1})`;
  return {
    name: 'sync_pull',
    rowMode: 'array',
    text: `WITH found AS MATERIALIZED (
${tables.map(ofTable).join('\nUNION ALL\n')}
LIMIT ${SMALL_PULL_ROWS + 1}
), size AS MATERIALIZED (SELECT count(*) > ${SMALL_PULL_ROWS} AS is_large FROM found)
SELECT -1, size.is_large, version::text, ${padded(['floor::text', 'timeline::text'])}
FROM sync_clocks, size WHERE user_id = $1::uuid
UNION ALL
SELECT * FROM found WHERE NOT (SELECT is_large FROM size)`,
  };
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

/** COPY takes no parameters, so that what is no identifier of the registry is checked to be a UUID or an integer. */
function copyRows(
  table: SyncTable,
  columns: readonly string[],
  userId: string,
  condition: string,
): string {
  if (!UUID.test(userId)) throw new Error('The id of a user is not a UUID');
  return `COPY (SELECT ${columns.join(', ')} FROM ${quote(table.name)}
WHERE user_id = '${userId}'::uuid AND ${condition}) TO STDOUT`;
}

function integer(value: number): string {
  if (!Number.isSafeInteger(value)) throw new Error('A version is not an integer');
  return String(value);
}

/**
 * `[user, session, cursor, then for each table: ids to upsert, ids to delete, referenced ids of
 * other rows]`. A statement of its own behind the lock: it sees what was committed while the lock
 * was waited for. Answers one row of kind `state`, and one each for: an existing row to upsert that
 * matters to the plan; a live row to delete; a referenced row that is a tombstone. One of kind `restored`
 * where the database was put back from a backup and not marked so: nobody marks it behind the lock.
 */
function checkPush(tables: readonly SyncTable[]): Statement {
  const ofTable = (table: SyncTable, index: number) => {
    const [upserts, deletes, parents] = [4, 5, 6].map((first) => `$${first + 3 * index}::text[]`);
    const select = (kind: string, condition: string, values = 'NULL') => `UNION ALL
SELECT '${kind}', ${index}, t.id, NULL, NULL, NULL, NULL, t.is_deleted, t.version > $3::int8, ${values}
FROM ${quote(table.name)} t WHERE t.user_id = $1::uuid AND ${condition}`;
    const matters = needsLookup(table) ? '' : ' AND (t.is_deleted OR t.version > $3::int8)';
    return [
      select('upsert', `t.id = ANY (${upserts})${matters}`, protectedValues(table)),
      select('delete', `t.id = ANY (${deletes}) AND NOT t.is_deleted`),
      select('parent', `t.id = ANY (${parents}) AND t.is_deleted`),
    ].join('\n');
  };
  return {
    name: 'sync_check_push',
    text: `SELECT 'state' AS kind, 0 AS "table", NULL AS id, c.version, c.floor,
  floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now,
  u.is_active AND EXISTS (
    SELECT FROM sessions s WHERE s.id = $2::uuid AND s.user_id = $1::uuid AND s.expires_at > clock_timestamp()
  ) AS "isSignedIn", NULL::boolean AS "isDeleted", NULL::boolean AS "isNewer", NULL::json AS "protectedValues"
FROM sync_clocks c JOIN users u ON u.id = c.user_id WHERE c.user_id = $1::uuid
UNION ALL
SELECT 'restored', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE sync_marker_differences() <> '{}'
${tables.map(ofTable).join('\n')}`,
  };
}

function protectedValues(table: SyncTable): string {
  const names = protectedColumns(table);
  if (names.length === 0) return 'NULL';
  return `json_build_object(${names.map((name) => `'${name}', t.${quote(name)}`).join(', ')})`;
}

/**
 * `[user, version]`: deletes the live descendants of the rows that this version deleted, and each
 * row of this version whose parent is a tombstone, with its descendants. UNION drops what was found
 * before, so that it ends on cycles.
 */
function cascade(tables: readonly SyncTable[], edges: readonly Edge[]): Statement | null {
  if (edges.length === 0) return null;
  const name = (index: number) => quote(tables[index]!.name);
  const parents = [...new Set(edges.map(({ parent }) => parent))];
  const children = [...new Set(edges.map(({ child }) => child))];
  const deletedParents = parents.map(
    (index) => `SELECT ${index}, id FROM ${name(index)}
  WHERE user_id = $1::uuid AND version = $2::int8 AND is_deleted`,
  );
  const lateChildren = edges.map(
    ({ child, column, parent }) => `SELECT ${child}, c.id FROM ${name(child)} c
  JOIN ${name(parent)} p ON p.user_id = $1::uuid AND p.id = c.${quote(column)} AND p.is_deleted
  WHERE c.user_id = $1::uuid AND c.version = $2::int8 AND NOT c.is_deleted`,
  );
  const next = edges.map(
    ({ child, column, parent }) => `SELECT ${child} AS tbl, c.id FROM ${name(child)} c
    WHERE d.tbl = ${parent} AND c.user_id = $1::uuid AND c.${quote(column)} = d.id AND NOT c.is_deleted`,
  );
  const updates = children.map(
    (index) => `u${index} AS (
  UPDATE ${name(index)} t SET is_deleted = true, version = $2::int8 FROM doomed d
  WHERE d.tbl = ${index} AND t.user_id = $1::uuid AND t.id = d.id AND NOT t.is_deleted
)`,
  );
  return {
    name: 'sync_cascade',
    text: `WITH RECURSIVE doomed (tbl, id) AS (
  (${[...deletedParents, ...lateChildren].join('\n  UNION ALL ')})
  UNION
  SELECT n.tbl, n.id FROM doomed d CROSS JOIN LATERAL (
    ${next.join('\n    UNION ALL ')}
  ) n
), ${updates.join(', ')}
SELECT 1 WHERE false`,
  };
}

function listUsersWithTombstones(tables: readonly SyncTable[]): Statement {
  const exists = tables.map(
    ({ name }) => `EXISTS (SELECT FROM ${quote(name)} t
    WHERE t.user_id = c.user_id AND t.is_deleted AND t.version <= $1::int8)`,
  );
  return {
    name: 'sync_list_users_with_tombstones',
    text: `SELECT c.user_id AS "userId" FROM sync_clocks c
WHERE ($2::uuid IS NULL OR c.user_id > $2::uuid) AND (${exists.join('\n  OR ')})
ORDER BY c.user_id LIMIT $3::int`,
  };
}

function deleteTombstones(tables: readonly SyncTable[]): Statement {
  const deletes = tables.map(
    ({ name }, index) => `d${index} AS (
  DELETE FROM ${quote(name)} WHERE user_id = $1::uuid AND is_deleted AND version <= $2::int8 RETURNING version
)`,
  );
  const all = tables.map((_table, index) => `SELECT version FROM d${index}`);
  return {
    name: 'sync_delete_tombstones',
    text: `WITH ${deletes.join(', ')}
SELECT count(*) AS count, max(version) AS highest FROM (${all.join(' UNION ALL ')}) purged`,
  };
}

function writeStatements(table: SyncTable): WriteStatements {
  const name = quote(table.name);
  const setOf = (what: string, set: string, condition: string): Statement => ({
    name: `sync_${what}_${table.name}`,
    text: `UPDATE ${name} SET ${set} WHERE user_id = $1::uuid AND id = ANY ($3::text[])${condition}`,
  });
  return {
    upsertComplete: upsertComplete(table),
    upsertPartial: upsertPartial(table),
    markDeleted: setOf('delete', 'is_deleted = true, version = $2::int8', ' AND NOT is_deleted'),
    touch: setOf('touch', 'version = $2::int8', ''),
    bury: bury(table),
  };
}

function upsertComplete(table: SyncTable): Statement {
  const columns = columnsOf(table);
  const types = columns.map(([name, { type }]) => `${quote(name)} ${sqlTypes[type]}`);
  const values = columns.map(([name]) => `r.${quote(name)}`);
  return {
    name: `sync_upsert_${table.name}`,
    text: `${insertInto(table)}
SELECT $1::uuid, r.id, ${values.join(', ')}, $2::int8, false
FROM jsonb_to_recordset($3::jsonb) AS r(id text, ${types.join(', ')})
${onConflict(table)}`,
  };
}

function upsertPartial(table: SyncTable): Statement {
  const values = columnsOf(table).map(([name, column]) => {
    const given = `(r.raw ->> '${name}')::${sqlTypes[column.type]}`;
    return `CASE WHEN r.raw ? '${name}' THEN ${given} WHEN t.id IS NULL THEN ${sqlDefault(column)} ELSE t.${quote(name)} END`;
  });
  return {
    name: `sync_upsert_partial_${table.name}`,
    text: `${insertInto(table)}
SELECT $1::uuid, r.raw ->> 'id', ${values.join(', ')}, $2::int8, false
FROM jsonb_array_elements($3::jsonb) AS r(raw)
LEFT JOIN ${quote(table.name)} t ON t.user_id = $1::uuid AND t.id = r.raw ->> 'id' AND NOT t.is_deleted
${onConflict(table)}`,
  };
}

function bury(table: SyncTable): Statement {
  const defaults = columnsOf(table).map(([, column]) => sqlDefault(column));
  return {
    name: `sync_bury_${table.name}`,
    text: `${insertInto(table)}
SELECT $1::uuid, id, ${defaults.join(', ')}, $2::int8, true FROM unnest($3::text[]) AS r(id)
ON CONFLICT (user_id, id) DO NOTHING`,
  };
}

function insertInto(table: SyncTable): string {
  const names = columnsOf(table).map(([name]) => quote(name));
  return `INSERT INTO ${quote(table.name)} (user_id, id, ${names.join(', ')}, version, is_deleted)`;
}

function onConflict(table: SyncTable): string {
  const sets = columnsOf(table).map(([name]) => `${quote(name)} = excluded.${quote(name)}`);
  return `ON CONFLICT (user_id, id) DO UPDATE SET ${sets.join(', ')}, version = excluded.version, is_deleted = false`;
}
