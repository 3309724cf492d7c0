import { describe, expect, test } from '@jest/globals';
import type { SyncSchema, SyncSchemaColumn } from '../generated/types.gen.js';
import { appSchemaFrom, migrationsFrom } from './app-schema.js';

function column(name: string, options: Partial<SyncSchemaColumn> = {}): SyncSchemaColumn {
  return {
    name,
    type: 'string',
    isOptional: false,
    isIndexed: false,
    maxLength: null,
    writer: 'client',
    references: null,
    since: 1,
    ...options,
  };
}

function table(name: string, since: number, columns: SyncSchemaColumn[]) {
  const clientMay = { create: true, delete: true };
  return { name, since, conflictPolicy: 'reject' as const, clientMay, columns };
}

const schema: SyncSchema = {
  version: 4,
  tables: [
    table('projects', 1, [
      column('name'),
      column('settings', { type: 'json', isOptional: true }),
      column('colour', { since: 2, isOptional: true }),
      column('rank', { since: 2, type: 'number' }),
    ]),
    table('notes', 2, [
      column('text', { since: 2 }),
      column('project_id', { since: 2, isIndexed: true, references: 'projects' }),
      column('is_pinned', { since: 4, type: 'boolean' }),
    ]),
  ],
};

describe('the schema', () => {
  const { version, tables } = appSchemaFrom(schema);

  test('has every column of the newest version, JSON as text', () => {
    expect(version).toBe(4);
    expect(tables['projects']?.columnArray).toEqual([
      { name: 'name', type: 'string' },
      { name: 'settings', type: 'string', isOptional: true },
      { name: 'colour', type: 'string', isOptional: true },
      { name: 'rank', type: 'number' },
    ]);
    expect(tables['notes']?.columnArray).toEqual([
      { name: 'text', type: 'string' },
      { name: 'project_id', type: 'string', isIndexed: true },
      { name: 'is_pinned', type: 'boolean' },
    ]);
  });
});

test('a type of a later server is refused, not guessed', () => {
  const later = { version: 1, tables: [table('projects', 1, [column('when', { type: 'date' })])] };
  expect(() => appSchemaFrom(later)).toThrow('type date of the column when');
});

describe('the migrations', () => {
  const { minVersion, maxVersion, sortedMigrations } = migrationsFrom(schema);
  const stepsTo = (version: number) =>
    sortedMigrations.find(({ toVersion }) => toVersion === version)!.steps;

  test('lead from version 1 to the newest, without a gap where nothing changed', () => {
    expect([minVersion, maxVersion]).toEqual([1, 4]);
    expect(stepsTo(3)).toEqual([]);
  });

  test('add columns to tables that exist and create those that do not, as they were then', () => {
    expect(stepsTo(2)).toEqual([
      {
        type: 'add_columns',
        table: 'projects',
        columns: [
          { name: 'colour', type: 'string', isOptional: true },
          { name: 'rank', type: 'number' },
        ],
      },
      {
        type: 'create_table',
        schema: expect.objectContaining({
          name: 'notes',
          columnArray: [
            { name: 'text', type: 'string' },
            { name: 'project_id', type: 'string', isIndexed: true },
          ],
        }),
      },
    ]);
    expect(stepsTo(4)).toEqual([
      {
        type: 'add_columns',
        table: 'notes',
        columns: [{ name: 'is_pinned', type: 'boolean' }],
      },
    ]);
  });

  test('are none at version 1', () => {
    const first = { version: 1, tables: [table('projects', 1, [column('name')])] };
    expect(migrationsFrom(first).sortedMigrations).toEqual([]);
  });
});
