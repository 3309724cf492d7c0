import { type ColumnDefinition, type SyncTable, syncTables } from '@rind/contracts';
import type { Statement } from '../platform/database/database.js';

/**
 * The SQL of the engine, built once from the registry. Identifiers come from there only, never from
 * a request; values are always parameters.
 */

const sqlTypes = { string: 'text', number: 'float8', boolean: 'boolean' } as const;

const sqlDefaults = { string: `''`, number: '0', boolean: 'false' } as const;

const quote = (name: string) => `"${name}"`;

const columnsOf = (table: SyncTable) => Object.entries(table.columns);

const defaultOf = ({ type, optional }: ColumnDefinition) => (optional ? 'NULL' : sqlDefaults[type]);

/** A reference between synced tables. */
interface Edge {
  readonly child: SyncTable;
  readonly column: string;
  readonly parent: SyncTable;
}

export const edges: readonly Edge[] = syncTables.flatMap((child) =>
  columnsOf(child).flatMap(([column, { references }]) => {
    if (references === undefined) return [];
    const parent = syncTables.find(({ name }) => name === references);
    if (!parent)
      throw new Error(
        `${child.name}.${column} references ${references}, which is not a synced table`,
      );
    return [{ child, column, parent }];
  }),
);

const mostColumns = Math.max(...syncTables.map((table) => columnsOf(table).length));

/** `[user]` → `{ version, floor, timeline }`, no row for a user who is gone. */
export const readClock: Statement = {
  name: 'sync_read_clock',
  text: 'SELECT version, floor, timeline FROM sync_clocks WHERE user_id = $1::uuid',
};

/**
 * `[user, cursor, names of tables to send whole]` → the clock and all rows of a pull in one
 * snapshot, as arrays: `[index of the table, -1 for the clock; is_deleted; id or version; column
 * texts, or floor and timeline]`. A cursor below the floor counts as 0, and then there are no
 * tombstones.
 */
export const pull: Statement = {
  name: 'sync_pull',
  rowMode: 'array',
  text: `
WITH clock AS MATERIALIZED (
  SELECT version, floor, timeline, CASE WHEN $2::int8 < floor THEN 0 ELSE $2::int8 END AS since
  FROM sync_clocks WHERE user_id = $1::uuid
)
SELECT -1, false, version::text, ${padded(['floor::text', 'timeline::text'])} FROM clock
${syncTables
  .map(
    (table, index) => `UNION ALL
SELECT ${index}, t.is_deleted, t.id, ${padded(columnsOf(table).map(([name]) => `t.${quote(name)}::text`))}
FROM clock JOIN ${quote(table.name)} t ON t.user_id = $1::uuid
  AND t.version > CASE WHEN '${table.name}' = ANY ($3::text[]) THEN 0 ELSE clock.since END
WHERE NOT t.is_deleted OR (clock.since > 0 AND t.version > clock.since)`,
  )
  .join('\n')}`,
};

function padded(columns: readonly string[]): string {
  const width = Math.max(mostColumns, 2);
  return [...columns, ...Array<string>(width - columns.length).fill('NULL')].join(', ');
}

/** `[user]`: serialises everything that writes the user's synced rows. No row for a user who is gone. */
export const lockClock: Statement = {
  name: 'sync_lock_clock',
  text: 'SELECT 1 FROM sync_clocks WHERE user_id = $1::uuid FOR UPDATE',
};

/** Kinds of rows in the answer of `checkPush`. */
export const checkKind = {
  state: 'state',
  upsert: 'upsert',
  delete: 'delete',
  parent: 'parent',
} as const;

/**
 * `[user, session, cursor, then for each table: ids to upsert, ids to delete, referenced ids of
 * other rows]`. A statement of its own behind the lock: it sees what was committed while the lock
 * was waited for. Answers one row of kind `state`, and one each for: a row to upsert that is newer
 * than the cursor or a tombstone; a live row to delete; a referenced row that is a tombstone.
 */
export const checkPush: Statement = {
  name: 'sync_check_push',
  text: `
SELECT '${checkKind.state}' AS kind, 0 AS "table", NULL AS id, c.version, c.floor,
  floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now,
  u.is_active AND EXISTS (
    SELECT FROM sessions s WHERE s.id = $2::uuid AND s.user_id = $1::uuid AND s.expires_at > clock_timestamp()
  ) AS "isActive", NULL::boolean AS "isDeleted", NULL::boolean AS "isNewer"
FROM sync_clocks c JOIN users u ON u.id = c.user_id WHERE c.user_id = $1::uuid
${syncTables
  .map((table, index) => {
    const [upserts, deletes, parents] = [4, 5, 6].map((first) => `$${first + 3 * index}::text[]`);
    const select = (kind: string, condition: string) => `UNION ALL
SELECT '${kind}', ${index}, t.id, NULL, NULL, NULL, NULL, t.is_deleted, t.version > $3::int8
FROM ${quote(table.name)} t WHERE t.user_id = $1::uuid AND ${condition}`;
    return [
      select(
        checkKind.upsert,
        `t.id = ANY (${upserts}) AND (t.is_deleted OR t.version > $3::int8)`,
      ),
      select(checkKind.delete, `t.id = ANY (${deletes}) AND NOT t.is_deleted`),
      select(checkKind.parent, `t.id = ANY (${parents}) AND t.is_deleted`),
    ].join('\n');
  })
  .join('\n')}`,
};

/** The statements that write one table. Each takes `[user, version, …]`. */
export interface WriteStatements {
  /** `[…, rows as JSON]`, every row with every column. */
  readonly upsertComplete: Statement;
  /** `[…, rows as JSON]`: a missing column keeps its value on update and gets its default on create. */
  readonly upsertPartial: Statement;
  /** `[…, ids]` of live rows. */
  readonly markDeleted: Statement;
  /** `[…, ids]` of tombstones, so that devices which do not know of the deletion learn of it. */
  readonly touchTombstones: Statement;
}

export const writeStatements: ReadonlyMap<SyncTable, WriteStatements> = new Map(
  syncTables.map((table) => [
    table,
    {
      upsertComplete: upsertComplete(table),
      upsertPartial: upsertPartial(table),
      markDeleted: {
        name: `sync_delete_${table.name}`,
        text: `UPDATE ${quote(table.name)} SET is_deleted = true, version = $2::int8
WHERE user_id = $1::uuid AND id = ANY ($3::text[]) AND NOT is_deleted`,
      },
      touchTombstones: {
        name: `sync_touch_${table.name}`,
        text: `UPDATE ${quote(table.name)} SET version = $2::int8
WHERE user_id = $1::uuid AND id = ANY ($3::text[]) AND is_deleted`,
      },
    },
  ]),
);

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
    return `CASE WHEN r.raw ? '${name}' THEN ${given} WHEN t.id IS NULL THEN ${defaultOf(column)} ELSE t.${quote(name)} END`;
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

function insertInto(table: SyncTable): string {
  const names = columnsOf(table).map(([name]) => quote(name));
  return `INSERT INTO ${quote(table.name)} (user_id, id, ${names.join(', ')}, version, is_deleted)`;
}

function onConflict(table: SyncTable): string {
  const sets = columnsOf(table).map(([name]) => `${quote(name)} = excluded.${quote(name)}`);
  return `ON CONFLICT (user_id, id) DO UPDATE SET ${sets.join(', ')}, version = excluded.version, is_deleted = false`;
}

/**
 * `[user, version]`, one statement an edge: deletes live children of tombstones, where parent or
 * child was written in this push. Answers a row for each child that it deleted.
 */
export const cascades: readonly Statement[] = edges.map(({ child, column, parent }) => ({
  name: `sync_cascade_${child.name}_${column}`,
  text: `UPDATE ${quote(child.name)} c SET is_deleted = true, version = $2::int8
FROM ${quote(parent.name)} p
WHERE c.user_id = $1::uuid AND p.user_id = $1::uuid AND p.id = c.${quote(column)}
  AND p.is_deleted AND NOT c.is_deleted AND (p.version = $2::int8 OR c.version = $2::int8)
RETURNING 1`,
}));

/** `[user, version]` */
export const advanceClock: Statement = {
  name: 'sync_advance_clock',
  text: 'UPDATE sync_clocks SET version = $2::int8 WHERE user_id = $1::uuid',
};
