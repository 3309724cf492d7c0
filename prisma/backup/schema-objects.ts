import pg from 'pg';

type Kind = 'VIEW' | 'MATERIALIZED VIEW' | 'TABLE' | 'SEQUENCE' | 'ROUTINE' | 'TYPE';

/** Something in a schema that is there by itself, not as a part of another or of an extension. */
export interface SchemaObject {
  kind: Kind;
  /** Without its schema; of a routine, with its arguments. */
  name: string;
}

/** As they can be dropped: what others are made of comes last. */
const KINDS: Kind[] = ['VIEW', 'MATERIALIZED VIEW', 'TABLE', 'SEQUENCE', 'ROUTINE', 'TYPE'];

const OBJECTS = `
WITH objects AS (
  SELECT 'pg_class'::regclass AS catalog, oid, relnamespace AS schema, quote_ident(relname) AS name,
    CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                 WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind
  FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
  UNION ALL
  SELECT 'pg_proc'::regclass, oid, pronamespace,
    format('%I(%s)', proname, pg_get_function_identity_arguments(oid)), 'ROUTINE'
  FROM pg_proc
  UNION ALL
  SELECT 'pg_type'::regclass, oid, typnamespace, quote_ident(typname), 'TYPE'
  FROM pg_type WHERE typtype IN ('e', 'd')
)
SELECT kind, name FROM objects
WHERE schema = to_regnamespace(quote_ident($1))
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = catalog AND d.objid = objects.oid
                  -- Of an extension, or the sequence of a column.
                  AND (d.deptype = 'e' OR kind = 'SEQUENCE' AND d.deptype IN ('a', 'i')))
ORDER BY name COLLATE "C"`;

export async function objectsOf(client: pg.Client, schema: string): Promise<SchemaObject[]> {
  const { rows } = await client.query<SchemaObject>(OBJECTS, [schema]);
  return rows;
}

/** Fails when something else depends on one of them, such as a view that somebody added. */
export async function dropObjects(
  client: pg.Client,
  schema: string,
  objects: SchemaObject[],
): Promise<void> {
  for (const kind of KINDS) {
    const names = objects.filter((object) => object.kind === kind).map(({ name }) => name);
    const qualified = names.map((name) => `${pg.escapeIdentifier(schema)}.${name}`);
    // All in one statement, as they may refer to each other.
    if (names.length > 0) await client.query(`DROP ${kind} ${qualified.join(', ')}`);
  }
}

export async function moveObjects(client: pg.Client, from: string, to: string): Promise<void> {
  for (const { kind, name } of await objectsOf(client, from)) {
    await client.query(
      `ALTER ${kind} ${pg.escapeIdentifier(from)}.${name} SET SCHEMA ${pg.escapeIdentifier(to)}`,
    );
  }
}
