import type { PushWarning, SyncTable } from '@rind/contracts';

export type WarningCode = PushWarning['code'];

/** A warning with the JSON Pointer to what it is about, for the faults of strict mode. */
export type PointedWarning = PushWarning & { readonly pointer: string };

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

export function warning(
  code: WarningCode,
  at: {
    readonly table: Pick<SyncTable, 'name'>;
    readonly pointer: string;
    readonly id?: string | null;
    readonly column?: string;
  },
): PointedWarning {
  return {
    table: at.table.name,
    id: at.id ?? null,
    ...(at.column !== undefined && { column: at.column }),
    code,
    message: messages[code],
    pointer: at.pointer,
  };
}
