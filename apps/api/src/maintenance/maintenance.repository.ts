import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';

/** Of the whole database. */
export interface DatabaseReport {
  readonly bytes: number;
  /** Since when PostgreSQL counts; null where it never began anew. */
  readonly countedSince: Date | null;
  readonly oldestTransactionSeconds: number;
  /** How far the oldest row is from the present in transactions; at two thousand million the server stops writing. */
  readonly transactionAge: number;
  /** Replication slots that nobody reads from: they keep the log, and the dead. */
  readonly idleSlots: number;
}

/** Counts of PostgreSQL, which are estimates. */
export interface TableReport {
  readonly name: string;
  /** With its indexes. */
  readonly bytes: number;
  readonly liveRows: number;
  readonly deadRows: number;
  readonly deletedRows: number;
  readonly isVacuumed: boolean;
  /** Many rows are not what they were when the planner's statistics were made. */
  readonly isStale: boolean;
}

export interface IndexReport {
  readonly name: string;
  readonly bytes: number;
  /** False: one that could not be built to its end, which costs writes and serves nobody. */
  readonly isValid: boolean;
}

const DATABASE = {
  name: 'maintenance_database',
  text: `SELECT pg_database_size(current_database()) AS bytes, s.stats_reset AS "countedSince",
  coalesce((SELECT extract(epoch FROM now() - min(a.xact_start)) FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.backend_type = 'client backend'), 0)::float8 AS "oldestTransactionSeconds",
  age(d.datfrozenxid)::int8 AS "transactionAge",
  (SELECT count(*) FROM pg_replication_slots WHERE NOT active) AS "idleSlots"
FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid WHERE d.datname = current_database()`,
};

const TABLES = {
  name: 'maintenance_tables',
  text: `SELECT relname AS name, pg_total_relation_size(relid) AS bytes, n_live_tup AS "liveRows",
  n_dead_tup AS "deadRows", n_tup_del AS "deletedRows",
  coalesce(last_vacuum, last_autovacuum) IS NOT NULL AS "isVacuumed",
  n_mod_since_analyze > 1000 + n_live_tup / 5 AS "isStale"
FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY bytes DESC, name`,
};

/** Neither those that keep rows apart nor small ones: what they cost is not worth a thought. */
const UNUSED_INDEXES = {
  name: 'maintenance_unused_indexes',
  text: `SELECT s.indexrelname AS name, pg_relation_size(s.indexrelid) AS bytes, i.indisvalid AS "isValid"
FROM pg_stat_user_indexes s JOIN pg_index i ON i.indexrelid = s.indexrelid
WHERE s.schemaname = current_schema()
  AND (NOT i.indisvalid OR (s.idx_scan = 0 AND NOT i.indisunique AND pg_relation_size(s.indexrelid) > $1))
ORDER BY bytes DESC, name`,
};

@Injectable()
export class MaintenanceRepository {
  constructor(private readonly database: Database) {}

  async readDatabase(): Promise<DatabaseReport> {
    const [report] = await this.database.run<DatabaseReport>(DATABASE, []);
    return report!;
  }

  /** The largest first. */
  listTables(): Promise<TableReport[]> {
    return this.database.run<TableReport>(TABLES, []);
  }

  /** That were never read, from a size on, and those that cannot be. */
  listUnusedIndexes(minBytes: number): Promise<IndexReport[]> {
    return this.database.run<IndexReport>(UNUSED_INDEXES, [minBytes]);
  }

  /** Reads a sample of the table, while everybody else reads and writes; lets it be where somebody vacuums it. */
  async analyze(table: string): Promise<void> {
    await this.database.query({ text: `ANALYZE (SKIP_LOCKED) ${quoted(table)}` });
  }
}

function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}
