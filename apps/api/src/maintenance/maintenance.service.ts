import { Injectable, Logger } from '@nestjs/common';
import { z } from 'zod';
import { Jobs, type ScheduledJob } from '../platform/jobs/jobs.js';
import {
  type DatabaseReport,
  type IndexReport,
  MaintenanceRepository,
  type TableReport,
} from './maintenance.repository.js';

const maintenanceJob: ScheduledJob = { name: 'maintain_database', payload: z.object({}) };

const HOUR_SECONDS = 3600;
/** Half of what PostgreSQL allows; its own vacuum begins at a tenth. */
const HIGH_TRANSACTION_AGE = 1_000_000_000;
/** Fewer dead rows are nobody's trouble, however large their share. */
const MANY_DEAD_ROWS = 10_000;
/** Of an index that nobody reads, though each write pays for it. */
const LARGE_INDEX_BYTES = 10 * 1024 * 1024;
const REPORTED_TABLES = 5;
/** Smaller tables are not worth a vacuum yet. */
const FEW_ROWS = 1000;

interface Findings {
  readonly database: DatabaseReport;
  readonly tables: readonly TableReport[];
  readonly indexes: readonly IndexReport[];
}

/**
 * Autovacuum does the work. Once a week somebody looks at how it gets on, and says so in one line; and
 * statistics that it has left to grow stale are made anew.
 */
@Injectable()
export class MaintenanceService {
  private readonly logger = new Logger(MaintenanceService.name);

  constructor(
    private readonly repository: MaintenanceRepository,
    jobs: Jobs,
  ) {
    jobs.handle(maintenanceJob, () => this.maintain());
    jobs.schedule(maintenanceJob, '0 4 * * 0');
  }

  private async maintain(): Promise<void> {
    const findings: Findings = {
      database: await this.repository.readDatabase(),
      tables: await this.repository.listTables(),
      indexes: await this.repository.listUnusedIndexes(LARGE_INDEX_BYTES),
    };
    const stale = findings.tables.filter(({ isStale }) => isStale).map(({ name }) => name);
    for (const table of stale) await this.repository.analyze(table);
    const attention = whatNeedsAttention(findings);
    const line = { ...summary(findings), stale, attention };
    if (attention.length === 0) this.logger.log(line, 'The database is well');
    else this.logger.warn(line, 'The database needs attention');
  }
}

function summary({ database, tables, indexes }: Findings) {
  const sum = (column: 'liveRows' | 'deadRows' | 'deletedRows') =>
    tables.reduce((total, table) => total + table[column], 0);
  return {
    ...database,
    oldestTransactionSeconds: Math.round(database.oldestTransactionSeconds),
    liveRows: sum('liveRows'),
    deadRows: sum('deadRows'),
    deletedRows: sum('deletedRows'),
    neverVacuumed: tables
      .filter(({ isVacuumed, liveRows, deadRows }) => !isVacuumed && liveRows + deadRows > FEW_ROWS)
      .map(({ name }) => name),
    largestTables: tables
      .slice(0, REPORTED_TABLES)
      .map(({ name, bytes, liveRows, deadRows }) => ({ name, bytes, liveRows, deadRows })),
    unusedIndexes: indexes.map(({ name, bytes }) => ({ name, bytes })),
  };
}

/** One sentence for each thing that does not pass by itself. */
function whatNeedsAttention({ database, tables, indexes }: Findings): string[] {
  const sentences: string[] = [];
  if (database.oldestTransactionSeconds > HOUR_SECONDS) {
    sentences.push('A transaction is open for more than an hour: no dead row since then can go');
  }
  if (database.transactionAge > HIGH_TRANSACTION_AGE) {
    sentences.push('Vacuum does not keep up with the transactions: run VACUUM (FREEZE) soon');
  }
  if (database.idleSlots > 0) {
    sentences.push('A replication slot has no reader: it keeps the log until the disk is full');
  }
  for (const { name, liveRows, deadRows } of tables) {
    if (deadRows > MANY_DEAD_ROWS && deadRows > liveRows / 2) {
      sentences.push(`Every third row of ${name} or more is dead: VACUUM it`);
    }
  }
  for (const { name, isValid } of indexes) {
    if (!isValid) sentences.push(`The index ${name} was not built to its end: REINDEX or drop it`);
  }
  return sentences;
}
