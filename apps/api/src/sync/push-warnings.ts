import type { ProblemFault, PushWarning, SyncTable } from '@rind/contracts';
import { jsonPointer } from '../platform/errors/json-pointer.js';

export type WarningCode = PushWarning['code'];

/** Where a push names a record: list and index in the changes of its table. */
export interface Place {
  readonly list: 'created' | 'updated' | 'deleted';
  readonly index: number;
}

/** What a warning is about. */
interface Subject {
  readonly table: Pick<SyncTable, 'name'>;
  readonly place?: Place;
  readonly id?: string | null;
  readonly column?: string;
}

/** A push of millions of faults must not fill the memory with their descriptions. */
const MAX_WARNINGS = 100;

const messages: Record<WarningCode, string> = {
  unknown_table: 'This table is not synced; its changes are ignored',
  unknown_column: 'The table has no such column; it is ignored',
  wrong_type: 'The value has the wrong type; what WatermelonDB would read is stored',
  not_a_record: 'Expected an object; it is left out',
  invalid_id: 'An id has 1 to 64 characters of A-Z a-z 0-9 _ . -; the entry is left out',
  too_long: 'The text is longer than its limit; the record is left out',
  unstorable_text: 'NUL characters and lone surrogates are removed',
  invalid_json: 'The text is not JSON; it is stored as it is',
  create_refused: 'Clients may not create rows of this table; the next pull removes it',
  update_refused: 'Clients may not write this column; the next pull restores it',
  delete_refused: 'Clients may not delete rows of this table; the next pull restores it',
  deleted_before:
    'The record was deleted before; the update is ignored, and the next pull deletes it',
};

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
      message: messages[code],
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
