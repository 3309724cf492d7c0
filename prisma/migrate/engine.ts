import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type { SchemaEngine, SchemaFilter } from '@prisma/schema-engine-wasm';
import type { ConnectionTarget } from './connection.ts';
import { EngineAdapterFactory, type FailedScript } from './engine-adapter.ts';
import { MigrateError, describeError } from './errors.ts';
import { loadSchemaEngine } from './load-engine.ts';

/** Nothing in the database is left out of a comparison. */
export const wholeSchema: SchemaFilter = { externalTables: [], externalEnums: [] };

export interface EngineSession {
  engine: SchemaEngine;
  /** The last SQL script that PostgreSQL refused, if any. */
  failedScript(): FailedScript | undefined;
}

export interface EngineOptions {
  /** The engine's log lines, such as "Applying `20260101000000_init`". */
  onLog?: (message: string) => void;
  /** How long a statement of a script waits for a lock that others hold; without it, for ever. */
  tableLockTimeoutMs?: number;
}

/** Runs Prisma's schema engine on a database; its connections and shadow databases end with it. */
export async function withSchemaEngine<T>(
  target: ConnectionTarget,
  use: (session: EngineSession) => Promise<T>,
  { onLog = () => undefined, tableLockTimeoutMs }: EngineOptions = {},
): Promise<T> {
  const adapters = new EngineAdapterFactory(target, tableLockTimeoutMs);
  try {
    const engine = await loadSchemaEngine().new(
      { datamodels: undefined },
      (line: string) => onLog(logMessage(line)),
      bindMigrationAwareSqlAdapterFactory(adapters),
    );
    return await use({ engine, failedScript: () => adapters.failedScript });
  } catch (error) {
    throw adapters.shadowError ?? error;
  } finally {
    await adapters.dispose();
  }
}

/** A command of the engine, its error turned into a sentence. */
export async function runEngineCommand<T>(failure: string, command: Promise<T>): Promise<T> {
  try {
    return await command;
  } catch (error) {
    // The engine appends its own Rust backtrace, in lines like "   0: schema_commands::…".
    const message = describeError(error).split(/\n\s+0: /)[0];
    throw new MigrateError(`${failure}: ${message}`, { cause: error });
  }
}

function logMessage(line: string): string {
  const { fields } = JSON.parse(line) as { fields?: { message?: string } };
  return fields?.message ?? '';
}
