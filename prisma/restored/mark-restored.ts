import { parseDatabaseUrl, withClient } from '../migrate/connection.ts';
import { MigrateError, sqlState } from '../migrate/errors.ts';

const UNDEFINED_FUNCTION = '42883';

/**
 * Does for a database that was put back what its devices need, see `sync_mark_restored()` in the
 * migrations. Waits for pushes under way.
 * @returns how many clocks, one for each user, were moved
 */
export async function markRestored(databaseUrl: string): Promise<number> {
  return withClient(parseDatabaseUrl(databaseUrl), async (client) => {
    try {
      const { rows } = await client.query<{ clocks: string }>(
        'SELECT sync_mark_restored() AS clocks',
      );
      return Number(rows[0]?.clocks);
    } catch (error) {
      if (sqlState(error) !== UNDEFINED_FUNCTION) throw error;
      throw new MigrateError(
        'This database has no tables of Rind, or those of an earlier release: start the API, or run db:deploy ' +
          '(in the image node dist/migrate.js), which does this, too.',
        { cause: error },
      );
    }
  });
}
