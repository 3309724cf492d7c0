import { type SyncTable, syncTables } from '@rind/contracts';
import type { PulledRow } from './sync.repository.js';

interface AnswerHead {
  readonly userId: string;
  readonly timestamp: number;
  readonly timeline: string;
  readonly isReplacement: boolean;
}

/** Text of one raw record, from the texts of its columns: numbers and booleans are JSON as PostgreSQL writes them. */
function recordBuilder(table: SyncTable): (row: PulledRow) => string {
  const columns = Object.entries(table.columns).map(([name, { type }]) => ({
    key: `,${JSON.stringify(name)}:`,
    isText: type === 'string',
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

const builders = syncTables.map(recordBuilder);

/**
 * The JSON text of an answer to a pull. Every live row stands in `updated`: in `created` it would
 * revive a record that the device deleted meanwhile (protocol rule 9).
 */
export function pullAnswer(head: AnswerHead, rows: readonly PulledRow[]): string {
  const updated: string[][] = syncTables.map(() => []);
  const deleted: string[][] = syncTables.map(() => []);
  for (const row of rows) {
    const [index, isDeleted, id] = row;
    if (index < 0) continue;
    if (isDeleted) deleted[index]!.push(JSON.stringify(id));
    else updated[index]!.push(builders[index]!(row));
  }
  const tables = syncTables.map(
    ({ name }, index) =>
      `${JSON.stringify(name)}:{"created":[],"updated":[${updated[index]!.join(',')}],"deleted":[${deleted[index]!.join(',')}]}`,
  );
  const strategy = head.isReplacement ? ',"experimentalStrategy":"replacement"' : '';
  return `{"changes":{${tables.join(',')}},"timestamp":${head.timestamp}${strategy},"account":"${head.userId}","timeline":"${head.timeline}"}`;
}
