import type { ColumnDefinition, ProblemFault, PushWarning, SyncTable } from '@rind/contracts';
import { jsonPointer } from '../platform/errors/json-pointer.js';

export type WarningCode = PushWarning['code'];

/** Where a push names a record: list and index in the changes of its table. */
export interface Place {
  readonly list: 'created' | 'updated' | 'deleted';
  readonly index: number;
}

/** What a warning is about. */
interface Subject {
  readonly table: Pick<SyncTable, 'name'> & Partial<Pick<SyncTable, 'columns'>>;
  readonly place?: Place;
  readonly id?: string | null;
  readonly column?: string;
}

/** A push of millions of faults must not fill the memory with their descriptions. */
const MAX_WARNINGS = 100;

const messages: Record<WarningCode, (column?: ColumnDefinition) => string> = {
  unknown_table: () => 'No synced table has this name; GET /sync/schema lists them',
  unknown_column: () => 'The table has no such column; GET /sync/schema lists them',
  wrong_type: (column) => `Expected ${column?.type}${column?.optional ? ' or null' : ''}`,
  not_a_record: () => 'Expected an object',
  invalid_id: () => 'An id has 1 to 64 characters of A-Z a-z 0-9 _ . -',
  too_long: (column) => `Longer than ${column?.maxLength} characters`,
  unstorable_text: () => 'Contains NUL characters or lone surrogates',
  invalid_json: () => 'The text is not JSON',
  create_refused: () => 'Clients may not create rows of this table; the next pull removes it',
  update_refused: () => 'Clients may not write this column; the next pull restores it',
  delete_refused: () => 'Clients may not delete rows of this table; the next pull restores it',
  deleted_before: () => 'The record was deleted before; the next pull deletes it',
};

export const warningCodes = Object.keys(messages) as WarningCode[];

/** What was repaired, ignored or refused in a push: the first ones in full, all of them counted by code. */
export class PushWarnings {
  readonly counts: Partial<Record<WarningCode, number>>;
  private readonly kept: Array<PushWarning & { readonly pointer: string }>;

  /** Begins with those of `earlier`, and leaves that as it is. */
  constructor(earlier?: PushWarnings) {
    this.counts = { ...earlier?.counts };
    this.kept = [...(earlier?.kept ?? [])];
  }

  add(code: WarningCode, subject: Subject): void {
    this.counts[code] = (this.counts[code] ?? 0) + 1;
    if (this.kept.length === MAX_WARNINGS) return;
    const { table, id = null, column } = subject;
    this.kept.push({
      table: table.name,
      id: id && id.slice(0, 64),
      ...(column !== undefined && { column: column.slice(0, 64) }),
      code,
      message: messages[code](column === undefined ? undefined : table.columns?.[column]),
      pointer: pointerTo(subject),
    });
  }

  get isEmpty(): boolean {
    return this.kept.length === 0;
  }

  /** As the answer names them. */
  toAnswer(): PushWarning[] {
    return this.kept.map(({ pointer: _pointer, ...warning }) => warning);
  }

  /** As strict mode refuses them. */
  toFaults(): ProblemFault[] {
    return this.kept.map(({ pointer, code, message }) => ({ pointer, code, message }));
  }
}

/** JSON Pointer into the body of a push. */
export function pointerTo({ table, place, column }: Subject): string {
  return jsonPointer(
    'changes',
    table.name,
    ...(place ? [place.list, place.index] : []),
    ...(column === undefined ? [] : [column]),
  );
}
