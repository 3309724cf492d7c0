import pg from 'pg';

interface Column {
  table: string;
  name: string;
  type: string;
  isNullable: boolean;
  /** Of what the column refers to. */
  reference: { table: string; column: string } | null;
  /** Of a one-column key or unique index. */
  isUnique: boolean;
}

const COLUMNS = `
SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, null) AS type, NOT a.attnotnull AS "isNullable",
  (SELECT json_build_object('table', f.relname, 'column', fa.attname) FROM pg_constraint k
     JOIN pg_class f ON f.oid = k.confrelid JOIN pg_attribute fa ON fa.attrelid = f.oid AND fa.attnum = k.confkey[1]
   WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.conkey = ARRAY[a.attnum] LIMIT 1) AS reference,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indkey::int2[] = ARRAY[a.attnum])
    AS "isUnique"
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relpersistence = 'p'
  AND c.relname NOT IN ('_prisma_migrations', 'worker_pools', 'sync_marker')
ORDER BY c.relname, a.attnum`;

/** Everything that PostgreSQL's text format has to escape, and what looks like its own marks. */
const TEXTS = [
  "back\\slash \\n \\N \\. \"quoted\" 'it''s'",
  'tab\tnewline\nreturn\rbell\u0007form\fvertical\v',
  '\\N',
  '\\.',
  '\n\\.\n',
  'ünïcödé 🌱 \u202eright to left\ufeff',
  '-- {"tables":[]}\ncopy "users" from stdin;',
];

const VALUES: Record<string, (n: number) => unknown> = {
  text: (n) => `${TEXTS[n % TEXTS.length]}${n}`,
  'character varying': (n) => `${TEXTS[n % TEXTS.length]}${n}`,
  uuid: (n) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`,
  'timestamp with time zone': (n) =>
    ['infinity', '-infinity', '0044-03-15 12:00:00+00 BC', '2026-11-21 01:02:03.456+01'][n % 4],
  'double precision': (n) => ['1e308', '5e-324', '-0', '1763700000000.25', 'NaN'][n % 5],
  bigint: (n) => ['9223372036854775807', '-9223372036854775808', '0'][n % 3],
  integer: (n) => [2147483647, -2147483648, 0][n % 3],
  boolean: (n) => n % 2 === 0,
  bytea: (n) => Buffer.from([0, 92, 10, 13, 255, 46, n % 256, Math.floor(n / 256)]),
  jsonb: (n) => JSON.stringify({ text: TEXTS[n % TEXTS.length], list: [null, 1e21, []], n }),
};

/** What a CHECK demands of a row, beside the type. */
const CHECKED: Record<string, (row: number) => Record<string, unknown>> = {
  users: (row) => ({ language: 'de', email: `ärger\\${row}@example.com` }),
  oauth_codes: (row) => (row === 0 ? { subject: null } : { user_id: null, subject: '\\N' }),
  // A clock is moved up from here, and has to have room.
  sync_clocks: () => ({ version: 1_763_700_000_000 }),
};

const ROWS = 3;

/** Puts rows with odd values into every table, nulls among them. Fails when it does not know a type. */
export async function fillDatabase(sql: pg.Pool): Promise<string[]> {
  const { rows: columns } = await sql.query<Column>(COLUMNS);
  const tables = Map.groupBy(columns, ({ table }) => table);
  const filled: string[] = [];
  let n = 0;
  while (filled.length < tables.size) {
    const next = [...tables].find(
      ([name, own]) => !filled.includes(name) && own.every((column) => isReady(column, filled)),
    );
    if (!next) throw new Error('The tables refer to each other in a circle.');
    const [table, own] = next;
    for (let row = 0; row < ROWS; row += 1) {
      const values: Record<string, unknown> = {};
      for (const column of own) values[column.name] = await valueOf(sql, column, row, (n += 1));
      await insert(sql, table, { ...values, ...CHECKED[table]?.(row) });
    }
    filled.push(table);
  }
  return filled;
}

function isReady({ reference, table }: Column, filled: string[]): boolean {
  return reference === null || reference.table === table || filled.includes(reference.table);
}

async function valueOf(sql: pg.Pool, column: Column, row: number, n: number): Promise<unknown> {
  const { reference, type, isNullable } = column;
  // The last row has nothing but what it must have.
  if (isNullable && row === ROWS - 1) return null;
  if (reference) {
    const { rows } = await sql.query<{ value: unknown }>(
      `SELECT "${reference.column}" AS value FROM "${reference.table}" ORDER BY 1 OFFSET $1 LIMIT 1`,
      [row],
    );
    return rows[0]?.value ?? null;
  }
  const value = VALUES[type];
  if (!value) throw new Error(`No odd values for the type ${type} of ${column.table}: add some.`);
  return value(n);
}

async function insert(sql: pg.Pool, table: string, values: Record<string, unknown>): Promise<void> {
  const names = Object.keys(values);
  await sql.query(
    `INSERT INTO "${table}" (${names.map((name) => `"${name}"`).join(', ')})
     VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')})`,
    Object.values(values),
  );
}

/** All rows as PostgreSQL writes them, by table: equal for databases that hold the same. */
export async function dumpDatabase(
  sql: pg.Pool,
  { without = [] }: { without?: string[] } = {},
): Promise<Record<string, string[]>> {
  const { rows: tables } = await sql.query<{ name: string; table: string }>(
    `SELECT relname AS name, oid::regclass::text AS table FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
     AND relpersistence = 'p' AND relname <> ALL($1) ORDER BY 1`,
    [['worker_pools', ...without]],
  );
  const dump: Record<string, string[]> = {};
  for (const { name, table } of tables) {
    const { rows } = await sql.query<{ row: string }>(
      `SELECT t::text AS row FROM ${table} t ORDER BY t::text COLLATE "C"`,
    );
    dump[name] = rows.map(({ row }) => row);
  }
  return dump;
}
