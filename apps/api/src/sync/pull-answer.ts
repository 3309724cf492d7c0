import type { SyncTable } from '@rind/contracts';
import type { ClockRow, PulledRow } from './sync.repository.js';

export interface AnswerHead {
  readonly userId: string;
  readonly timestamp: number;
  readonly timeline: string;
  readonly isReplacement: boolean;
}

/** A cursor below the floor may have missed deletions: what it gets replaces all that the device has. */
export function headOf(
  userId: string,
  cursor: number,
  { version, floor, timeline }: ClockRow,
): AnswerHead {
  return { userId, timestamp: version, timeline, isReplacement: cursor > 0 && cursor < floor };
}

/** One field of a raw record: its key with the punctuation before it, and whether its value is quoted. */
export interface RecordField {
  readonly key: string;
  readonly isText: boolean;
}

/** The JSON of a raw record: each field, the id first, and `}`. */
export function recordFields(table: SyncTable): RecordField[] {
  return [
    { key: '{"id":', isText: true },
    ...Object.entries(table.columns).map(([name, { type }]) => ({
      key: `,${JSON.stringify(name)}:`,
      isText: type === 'string' || type === 'json',
    })),
  ];
}

/**
 * The text of an answer around its records. Every live row stands in `updated`: in `created` it would
 * revive a record that the device deleted meanwhile (protocol rule 9).
 */
export const answerText = {
  beforeTables: '{"changes":{',
  beforeUpdated: ({ name }: SyncTable) => `${JSON.stringify(name)}:{"created":[],"updated":[`,
  beforeDeleted: '],"deleted":[',
  afterDeleted: ']}',
  afterTables: ({ userId, timestamp, timeline, isReplacement }: AnswerHead) => {
    const strategy = isReplacement ? ',"experimentalStrategy":"replacement"' : '';
    return `},"timestamp":${timestamp}${strategy},"account":"${userId}","timeline":"${timeline}"}`;
  },
};

/** Writes small answers to pulls as JSON text, with one builder of records for each table of the registry. */
export class PullAnswers {
  private readonly builders: ReadonlyArray<(row: PulledRow) => string>;

  constructor(private readonly tables: readonly SyncTable[]) {
    this.builders = tables.map(recordBuilder);
  }

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
      (table, index) =>
        `${answerText.beforeUpdated(table)}${updated[index]!.join(',')}${answerText.beforeDeleted}${deleted[index]!.join(',')}${answerText.afterDeleted}`,
    );
    return `${answerText.beforeTables}${tables.join(',')}${answerText.afterTables(head)}`;
  }
}

/** Text of one raw record, from the texts of its columns: numbers and booleans are JSON as PostgreSQL writes them. */
function recordBuilder(table: SyncTable): (row: PulledRow) => string {
  const fields = recordFields(table);
  return (row) => {
    let text = '';
    for (const [index, { key, isText }] of fields.entries()) {
      // Behind the index of the table and `is_deleted`.
      const value = (row[index + 2] ?? null) as string | null;
      text += key + (value === null ? 'null' : isText ? JSON.stringify(value) : value);
    }
    return `${text}}`;
  };
}
