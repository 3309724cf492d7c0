import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

/** Kept referenced: a collected handle would close its file and so drop the lock. */
const held = new Map<string, DatabaseSync>();

/**
 * Takes the exclusive lock of a directory, or answers `undefined` when another process has it.
 *
 * The operating system must drop the lock when its holder is killed, or a stale file would block the next
 * start. Node has no `flock`, but the SQLite that it carries locks files that way. A directory that this
 * process has locked already is answered with a release that does nothing.
 */
export function tryLockDirectory(directory: string): (() => void) | undefined {
  if (held.has(directory)) return () => undefined;
  // Not a static import: Jest's module resolver does not know this builtin.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const file = new DatabaseSync(join(directory, 'lock'), { timeout: 0 });
  try {
    file.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    file.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY)
      return undefined;
    throw error;
  }
  held.set(directory, file);
  return () => {
    held.delete(directory);
    file.close();
  };
}
