import pg from 'pg';
import type { BackupTable } from './format.ts';

/** Rows as text that means the same under every setting of server, database and role. */
export const copySettings = `
  SET client_encoding = 'UTF8';
  SET datestyle = 'ISO';
  SET intervalstyle = 'postgres';
  SET timezone = 'UTC';
  SET extra_float_digits = 1;
  SET bytea_output = 'hex';
  SET xmloption = 'content';
  SET row_security = off;
  SELECT set_config(name, '0', false) FROM pg_settings
  WHERE name IN ('transaction_timeout', 'idle_in_transaction_session_timeout')`;

/** `"name" ("column", ...)`, as COPY takes it; without parentheses where there are no columns. */
export function tableWithColumns({ name, columns }: BackupTable): string {
  const names = columns.map((column) => pg.escapeIdentifier(column.name));
  return pg.escapeIdentifier(name) + (names.length > 0 ? ` (${names.join(', ')})` : '');
}

/** The line that begins a table in the file. */
export function copyLine(table: BackupTable): string {
  return `COPY ${tableWithColumns(table)} FROM stdin;`;
}
