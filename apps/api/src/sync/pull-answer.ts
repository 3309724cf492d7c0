import type { SyncTable } from '@rind/contracts';
import type { PulledRow } from './sync.repository.js';

interface AnswerHead {
  readonly userId: string;
  readonly timestamp: number;
  readonly timeline: string;
  readonly isReplacement: boolean;
}

/** Writes answers to pulls as JSON text, with one builder of records for each table of the registry. */
export class PullAnswers {
  private readonly builders: ReadonlyArray<(row: PulledRow) => string>;

  constructor(private readonly tables: readonly SyncTable[]) {
    this.builders = tables.map(recordBuilder);
  }

  /**
   * Every live row stands in `updated`: in `created` it would revive a record that the device
   * deleted meanwhile (protocol rule 9).
   */
  write(head: AnswerHead, rows: readonly PulledRow[]): string {
    const updated: string[][] = this.tables.map(() => []);
    const deleted: string[][] = this.tables.map(() => []);
    for (const row of rows) {
      const [index, isDeleted, id] = row;
      if (index < 0) continue;
      if (isDeleted) deleted[index]!.push(JSON.stringify(id));
      else updated[index]!.push(this.builders[index]!(row));
    }
    const tables = this.tables.map(
      ({ name }, index) =>
        `${JSON.stringify(name)}:{"created":[],"updated":[${updated[index]!.join(',')}],"deleted":[${deleted[index]!.join(',')}]}`,
    );
    const strategy = head.isReplacement ? ',"experimentalStrategy":"replacement"' : '';
    return `{"changes":{${tables.join(',')}},"timestamp":${head.timestamp}${strategy},"account":"${head.userId}","timeline":"${head.timeline}"}`;
  }
}

/** Text of one raw record, from the texts of its columns: numbers and booleans are JSON as PostgreSQL writes them. */
function recordBuilder(table: SyncTable): (row: PulledRow) => string {
  const columns = Object.entries(table.columns).map(([name, { type }]) => ({
    key: `,${JSON.stringify(name)}:`,
    isText: type === 'string' || type === 'json',
  }));
  return (row) => {
    let text = `{"id":${JSON.stringify(row[2])}`;
    for (const [index, { key, isText }] of columns.entries()) {
      const value = row[index + 3] ?? null;
      text += key + (value === null ? 'null' : isText ? JSON.stringify(value) : value);
    }
    return `${text}}`;
  };
}
