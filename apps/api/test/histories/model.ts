import type { AcceptedPushBody } from '@rind/contracts';
import type { Row, Value } from '../support/device.js';
import type { Table } from './commands.js';

/** A record as a device pushed it, with WatermelonDB's bookkeeping. */
type Pushed = Row & { _changed?: string };

/** How a push that reached the engine ended: its version, or unknown when the database was lost meanwhile. */
export interface ObservedPush {
  changes: AcceptedPushBody['changes'];
  version: number | null;
}

const tables: readonly Table[] = ['projects', 'tasks'];

/**
 * The oracle of one account: what the server acknowledged, and what must therefore be there.
 *
 * Every value that a history writes into a text or time column is written once in its history. A push
 * that was answered 200 *acknowledges* its changes, whether the answer arrived or not; acknowledged
 * pushes are ordered by the version that the server answered. A push that was refused has no effect. A
 * push during which the database was lost may or may not have been committed.
 *
 * An acknowledged record *writes* all its columns when it is the first of its id, later on the columns
 * that its device names in `_changed`. It carries the other columns, too, as the device pulled them. So:
 * - A carried value is the one written last before it. Another one would be a write of somebody else
 *   lost without a later write to the same column.
 * - In the end each column of a live record has the value that was written last.
 * - What an acknowledged push deleted is not live, nor is a task of a deleted project. No history
 *   creates an id again, so that nothing deleted may ever return.
 * - An acknowledged record is live unless something deleted it or a project that it ever belonged to.
 * - Every live record was pushed by this account: another account's ids may be equal, values never are.
 * A write of unknown outcome excuses the value that it wrote, and a delete the records that it took.
 */
export class AccountModel {
  private readonly pushes: ObservedPush[] = [];
  private readonly problems: string[] = [];

  observe(push: ObservedPush): void {
    this.pushes.push(push);
  }

  /** Sentences about what is wrong with the live rows in the end; none when all is well. */
  check(live: Readonly<Record<Table, readonly Row[]>>): string[] {
    this.problems.length = 0;
    for (const table of tables) this.checkTable(table, live[table]);
    const deletedProjects = this.deletedProjects();
    for (const { id, project_id: parent } of live.tasks) {
      if (deletedProjects.has(parent as string)) {
        this.problems.push(`tasks ${id} is live, its project ${parent} was deleted`);
      }
    }
    return this.problems;
  }

  /** The deletion of a project that the server never had is ignored (protocol rule 27), and takes no task. */
  private deletedProjects(): Set<string> {
    const pushed = this.acknowledged.flatMap(({ changes }) => records(changes, 'projects'));
    const known = new Set(pushed.map(({ id }) => id));
    return new Set(this.deleted('projects', this.acknowledged).filter((id) => known.has(id)));
  }

  private get acknowledged(): ObservedPush[] {
    return this.pushes
      .filter(({ version }) => version !== null)
      .toSorted((a, b) => a.version! - b.version!);
  }

  private get uncertain(): ObservedPush[] {
    return this.pushes.filter(({ version }) => version === null);
  }

  private checkTable(table: Table, live: readonly Row[]): void {
    const excused = this.valuesOf(table, this.uncertain);
    const written = this.replay(table, excused);
    const rows = new Map(live.map((row) => [row.id, row]));
    const deleted = new Set(this.deleted(table, this.acknowledged));
    const perhapsDeleted = this.perhapsDeleted(table);
    for (const [id, columns] of written) {
      const row = rows.get(id);
      if (!row) {
        if (!perhapsDeleted.has(id))
          this.problems.push(`${table} ${id} was acknowledged, and is lost`);
      } else if (deleted.has(id)) {
        this.problems.push(`${table} ${id} was deleted, and returned`);
      } else {
        for (const [column, value] of columns) {
          if (row[column] === value || excused.get(key(id, column))?.has(row[column]!)) continue;
          this.problems.push(
            `${table} ${id}: ${column} is ${row[column]}, but ${value} was acknowledged last`,
          );
        }
      }
    }
    for (const { id } of live) {
      if (!written.has(id) && !excused.has(key(id, 'created_at'))) {
        this.problems.push(`${table} ${id} is live, and was never pushed`);
      }
    }
  }

  /** The values written last, by id and column. */
  private replay(
    table: Table,
    excused: ReadonlyMap<string, ReadonlySet<Value>>,
  ): Map<string, Map<string, Value>> {
    const written = new Map<string, Map<string, Value>>();
    for (const { changes, version } of this.acknowledged) {
      for (const { id, _changed: changed, ...columns } of records(changes, table)) {
        const known = written.get(id);
        if (!known) {
          written.set(id, new Map(Object.entries(columns)));
          continue;
        }
        const named = new Set((changed ?? '').split(','));
        for (const [column, value] of Object.entries(columns)) {
          const isExcused = excused.get(key(id, column))?.has(value) ?? false;
          if (!named.has(column) && known.get(column) !== value && !isExcused) {
            this.problems.push(
              `${table} ${id}: the push of version ${version} carried ${column} ${value}, ` +
                `and so overwrote ${known.get(column)} without a word`,
            );
          }
          known.set(column, value);
        }
      }
    }
    return written;
  }

  private valuesOf(table: Table, pushes: readonly ObservedPush[]): Map<string, Set<Value>> {
    const values = new Map<string, Set<Value>>();
    for (const { changes } of pushes) {
      for (const { id, ...columns } of records(changes, table)) {
        for (const [column, value] of Object.entries(columns)) {
          const ofColumn = values.get(key(id, column)) ?? new Set<Value>();
          values.set(key(id, column), ofColumn.add(value));
        }
      }
    }
    return values;
  }

  private deleted(table: Table, pushes: readonly ObservedPush[]): string[] {
    return pushes.flatMap(({ changes }) => (changes[table]?.deleted ?? []) as string[]);
  }

  private perhapsDeleted(table: Table): Set<string> {
    const ids = new Set(this.deleted(table, this.pushes));
    if (table === 'projects') return ids;
    const projects = new Set(this.deleted('projects', this.pushes));
    for (const { changes } of this.pushes) {
      for (const { id, project_id: parent } of records(changes, table)) {
        if (projects.has(parent as string)) ids.add(id);
      }
    }
    return ids;
  }
}

function records(changes: AcceptedPushBody['changes'], table: Table): Pushed[] {
  const lists = changes[table];
  if (!lists) return [];
  return [...lists.created, ...lists.updated].map((record) => {
    const { _status: _ignored, ...row } = record as Pushed & { _status?: string };
    return row;
  });
}

const key = (id: string, column: string) => `${id}.${column}`;
