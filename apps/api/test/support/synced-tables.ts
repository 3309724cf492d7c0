import type { ColumnDefinition, SyncTable } from '@rind/contracts';
import type { Client } from 'pg';

const sqlTypes = {
  string: 'text',
  number: 'double precision',
  boolean: 'boolean',
  json: 'text',
} as const;

/** Columns that the engine keeps beside those of the registry. */
const bookkeeping = {
  user_id: 'uuid not null',
  id: 'text collate "C" not null',
  version: 'bigint not null',
  is_deleted: 'boolean not null',
} as const;

/** Ids sort by bytes: other collations change with the operating system, and corrupt the index. */
const expectedColumn = ({ type, optional, references }: ColumnDefinition) =>
  `${sqlTypes[type]}${references === undefined ? '' : ' collate "C"'} ${optional ? 'null' : 'not null'}`;

/** Whoever made the migration did nothing wrong, and has no way to know. */
function hintFor(found: string, expected: string): string {
  return found === expected.replace(' collate "C"', '')
    ? ' Write COLLATE "C" behind its type in the migration: Prisma has no word for it.'
    : '';
}

/**
 * Sentences on what a table of the migrated database lacks of its registry entry; none when it is as
 * it has to be.
 */
export async function faultsOf(sql: Client, table: SyncTable): Promise<string[]> {
  const { rows } = await sql.query<{ exists: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AS exists',
    [table.name],
  );
  if (!rows[0]?.exists) {
    return [
      `The table ${table.name} is in the registry, but not in the database: add a Prisma model and a migration.`,
    ];
  }
  return [
    ...(await columnFaults(sql, table)),
    ...(await indexFaults(sql, table)),
    ...(await referenceFaults(sql, table)),
  ];
}

async function columnFaults(sql: Client, { name: table, columns }: SyncTable): Promise<string[]> {
  const { rows } = await sql.query<{ name: string; definition: string }>(
    `SELECT attname AS name,
            format_type(atttypid, atttypmod) || CASE WHEN collname = 'C' THEN ' collate "C"' ELSE '' END ||
            CASE WHEN attnotnull THEN ' not null' ELSE ' null' END AS definition
     FROM pg_attribute LEFT JOIN pg_collation ON pg_collation.oid = attcollation
     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
    [table],
  );
  const actual = new Map(rows.map(({ name, definition }) => [name, definition]));
  const expected = new Map<string, string>([
    ...Object.entries(bookkeeping),
    ...Object.entries(columns).map(([name, column]) => [name, expectedColumn(column)] as const),
  ]);
  const missingOrWrong = [...expected].flatMap(([name, definition]) => {
    const found = actual.get(name);
    if (found === definition) return [];
    return found === undefined
      ? `${table}.${name} is missing in the database: expected ${definition}.`
      : `${table}.${name} is ${found} in the database: expected ${definition}.${hintFor(found, definition)}`;
  });
  const unknown = [...actual.keys()]
    .filter((name) => !expected.has(name))
    .map((name) => `${table}.${name} is in the database, but not in the registry.`);
  return [...missingOrWrong, ...unknown];
}

async function indexFaults(sql: Client, { name: table }: SyncTable): Promise<string[]> {
  const { rows } = await sql.query<{ columns: string[]; isUnique: boolean; isPrimary: boolean }>(
    `SELECT array(SELECT pg_get_indexdef(indexrelid, n, true) FROM generate_series(1, indnkeyatts) n) AS columns,
            indisunique AS "isUnique", indisprimary AS "isPrimary"
     FROM pg_index WHERE indrelid = to_regclass($1)`,
    [table],
  );
  const has = (columns: string, isPrimary: boolean) =>
    rows.some((index) => index.columns.join() === columns && index.isPrimary === isPrimary);
  return [
    ...(has('user_id,id', true) ? [] : [`${table} needs the primary key (user_id, id).`]),
    ...(has('user_id,version', false) ? [] : [`${table} needs an index on (user_id, version).`]),
    ...rows
      .filter(({ isUnique, columns }) => isUnique && columns[0] !== 'user_id')
      .map(
        ({ columns }) =>
          `The unique index of ${table} on (${columns.join(', ')}) must begin with user_id.`,
      ),
  ];
}

/** No foreign key among synced tables: a child may arrive before its parent (hazard H10). */
async function referenceFaults(sql: Client, { name: table }: SyncTable): Promise<string[]> {
  const { rows } = await sql.query<{ definition: string }>(
    `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE conrelid = to_regclass($1) AND contype = 'f'`,
    [table],
  );
  const isOwner = ({ definition }: { definition: string }) =>
    /^FOREIGN KEY \(user_id\) REFERENCES sync_clocks\(user_id\) .*ON DELETE CASCADE/.test(
      definition,
    );
  return [
    ...(rows.some(isOwner)
      ? []
      : [`${table}.user_id must reference sync_clocks(user_id) and cascade on delete.`]),
    ...rows
      .filter((row) => !isOwner(row))
      .map(({ definition }) => `${table} must not have the foreign key: ${definition}.`),
  ];
}
