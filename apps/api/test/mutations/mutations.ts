/** A wrong design of the engine, as a change of its sources, and the tests that must fail on it. */
export interface Mutation {
  name: string;
  patches: readonly Patch[];
  /** Spec in `test/e2e`, and the beginnings of the titles of its tests. Each of them must fail. */
  caughtBy: Readonly<Record<string, readonly string[]>>;
}

interface Patch {
  /** Below `src`. */
  file: string;
  /** Stands in the file once. */
  from: string;
  to: string;
}

/**
 * One test of each spec that passes on every mutation: a mutated engine that does not even start, or
 * answers nothing but errors, proves nothing.
 */
export const controls: Readonly<Record<string, string>> = {
  sync: 'a push of nothing but rejected records',
  'push-races': 'the first pull of an empty account',
  'pull-snapshot': 'a pull that nothing disturbs',
  'large-pulls': 'also where they are small, but not where they are tiny',
  ownership: 'are for their owner to pull',
  'sync-rules': 'are refused for content that the registry does not have',
  'push-retries': 'a push that nothing disturbs',
  'noticed-restores': 'that its marker describes',
};

const statements = 'sync/sync-statements.ts';
const pushService = 'sync/push.service.ts';
const pullService = 'sync/pull.service.ts';
const plan = 'sync/plan-push.ts';
const repository = 'sync/sync.repository.ts';
const database = 'platform/database/database.ts';
const restoredBackups = 'sync/restored-backups.ts';

const lockClock = `'SELECT 1 FROM sync_clocks WHERE user_id = $1::uuid FOR UPDATE'`;
/** Notifications have no such column, and the statements are made for all tables. */
const updatedAt = 'coalesce((to_jsonb(t)->>$$updated_at$$)::float8, t.version)';
const newVersion = 'Math.max(previous + 1, now);\n    const result';
const pullRows = 'const rows = await this.repository.pull(userId, cursor, wholeTables);';
const headOfRows =
  'const { clock, isLarge } = clockOf(rows);\n    const head = headOf(userId, cursor, clock);';

export const mutations: readonly Mutation[] = [
  {
    name: 'no lock of the clock',
    patches: [
      {
        file: statements,
        from: lockClock,
        to: `'SELECT 1 FROM sync_clocks WHERE user_id = $1::uuid'`,
      },
    ],
    caughtBy: {
      'push-races': [
        'two edits of one record with equal cursors',
        'two first pushes at the same time',
      ],
    },
  },
  {
    name: 'the lock is taken after the check',
    patches: [
      {
        file: repository,
        from: 'sql.run(this.statements.lockClock, [userId]),',
        to: '[1],',
      },
      {
        file: pushService,
        from: 'refuseForeignCursor(situation, cursor);',
        to: 'await this.repository.lockClock(sql, userId);\n    refuseForeignCursor(situation, cursor);',
      },
    ],
    caughtBy: { 'push-races': ['two edits of one record with equal cursors'] },
  },
  {
    name: 'versions from the clock of the process',
    patches: [{ file: pushService, from: newVersion, to: 'Date.now();\n    const result' }],
    caughtBy: { 'push-races': ['versions grow although the clock of the database stands behind'] },
  },
  {
    name: 'versions from the clock of the database alone',
    patches: [{ file: pushService, from: newVersion, to: 'now;\n    const result' }],
    caughtBy: { 'push-races': ['versions grow although the clock of the database stands behind'] },
  },
  {
    name: 'a pull reads its timestamp before its rows',
    patches: [
      {
        file: pullService,
        from: pullRows,
        to: `const earlier = await this.repository.findClock(userId);\n    ${pullRows}`,
      },
      {
        file: pullService,
        from: headOfRows,
        to: 'const { clock, isLarge } = clockOf(rows);\n    const head = { ...headOf(userId, cursor, clock), timestamp: earlier!.version };',
      },
    ],
    caughtBy: { 'pull-snapshot': ['pushes commit before each statement of a first pull'] },
  },
  {
    name: 'a pull reads its timestamp after its rows',
    patches: [
      {
        file: pullService,
        from: headOfRows,
        to: 'const { clock, isLarge } = clockOf(rows);\n    const later = await this.repository.findClock(userId);\n    const head = { ...headOf(userId, cursor, clock), timestamp: later!.version };',
      },
    ],
    caughtBy: {
      'pull-snapshot': [
        'pushes commit before each statement of a first pull',
        'pushes commit before each statement of an incremental pull',
        'pushes commit before each statement of a migration',
      ],
    },
  },
  {
    name: 'a pull reads table by table',
    patches: [
      {
        file: repository,
        from: 'return this.database.run<PulledRow>(this.statements.pull, [userId, cursor, ...after]);',
        to: `const parameters = [userId, cursor, ...after];
    const first = await this.database.run<PulledRow>(this.statements.pull, parameters);
    const second = await this.database.run<PulledRow>(this.statements.pull, parameters);
    return [...first.filter(([index]) => index <= 0), ...second.filter(([index]) => index > 0)];`,
      },
    ],
    caughtBy: {
      'pull-snapshot': [
        'pushes commit before each statement of a first pull',
        'pushes commit before each statement of an incremental pull',
        'pushes commit before each statement of a migration',
      ],
    },
  },
  {
    name: 'a large pull copies without a snapshot',
    patches: [
      {
        file: database,
        from: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;',
        to: 'BEGIN READ ONLY;',
      },
    ],
    caughtBy: { 'pull-snapshot': ['pushes commit before each copy of a large pull'] },
  },
  {
    name: 'a large pull reads its clock outside of its snapshot',
    patches: [
      {
        file: repository,
        from: 'await snapshot.run<ClockRow>(readClock, [userId]);',
        to: 'await this.database.run<ClockRow>(readClock, [userId]);',
      },
    ],
    caughtBy: { 'pull-snapshot': ['pushes commit before each copy of a large pull'] },
  },
  {
    name: 'the timestamp of a pull is the clock of the process',
    patches: [{ file: pullService, from: 'version: Number(version)', to: 'version: Date.now()' }],
    caughtBy: { 'push-races': ['while a push is open nobody gets a timestamp beyond it'] },
  },
  {
    name: 'live rows are reported as created',
    patches: [
      {
        file: 'sync/pull-answer.ts',
        from: '{"created":[],"updated":[',
        to: '{"updated":[],"created":[',
      },
    ],
    caughtBy: { sync: ['sends full records in updated'] },
  },
  {
    name: 'a pull reads the rows of all users',
    patches: [
      {
        file: statements,
        from: 'FROM ${quote(table.name)} t WHERE t.user_id = $1::uuid AND t.version > $${index + 3}::int8',
        to: 'FROM ${quote(table.name)} t WHERE t.version > $${index + 3}::int8',
      },
    ],
    caughtBy: { sync: ['another user’s ids are simply unknown'] },
  },
  {
    name: 'a push meets the rows of all users',
    patches: [
      {
        file: statements,
        from: 'FROM ${quote(table.name)} t WHERE t.user_id = $1::uuid AND ${condition}',
        to: 'FROM ${quote(table.name)} t WHERE ${condition}',
      },
    ],
    caughtBy: { sync: ['another user’s deletions and newer rows are no conflicts'] },
  },
  {
    name: 'a push deletes the rows of all users',
    patches: [
      {
        file: statements,
        from: 'SET ${set} WHERE user_id = $1::uuid AND id',
        to: 'SET ${set} WHERE $1::uuid IS NOT NULL AND id',
      },
    ],
    caughtBy: { sync: ['another user’s ids are simply unknown'] },
  },
  {
    name: 'cascades find the children of all users',
    patches: [
      {
        file: statements,
        from: 'AND c.user_id = $1::uuid AND c.${quote(column)} = d.id',
        to: 'AND c.${quote(column)} = d.id',
      },
      {
        file: statements,
        from: 'AND t.user_id = $1::uuid AND t.id = d.id',
        to: 'AND t.id = d.id',
      },
    ],
    caughtBy: { sync: ['deleting a parent deletes its children'] },
  },
  {
    name: 'late children find the deleted parents of all users',
    patches: [
      {
        file: statements,
        from: 'ON p.user_id = $1::uuid AND p.id = c.${quote(column)} AND p.is_deleted',
        to: 'ON p.id = c.${quote(column)} AND p.is_deleted',
      },
    ],
    caughtBy: { ownership: ['are as unknown as ids that nobody has', 'are never read'] },
  },
  {
    name: 'partial records are completed from the rows of all users',
    patches: [
      {
        file: statements,
        from: "ON t.user_id = $1::uuid AND t.id = r.raw ->> 'id' AND NOT t.is_deleted",
        to: "ON t.id = r.raw ->> 'id' AND NOT t.is_deleted",
      },
    ],
    caughtBy: { ownership: ['are as unknown as ids that nobody has', 'are never read'] },
  },
  {
    name: 'large pulls copy the rows of all users',
    patches: [
      {
        file: statements,
        from: "WHERE user_id = '${userId}'::uuid AND ${condition}",
        to: "WHERE '${userId}'::uuid IS NOT NULL AND ${condition}",
      },
    ],
    caughtBy: { 'large-pulls': ['and only of one’s own rows'], ownership: ['are never read'] },
  },
  {
    name: 'the purge reads the rows of all users',
    patches: [
      {
        file: statements,
        from: 'WHERE user_id = $1::uuid AND is_deleted AND version <= $2::int8',
        to: 'WHERE user_id::text = $1::text AND is_deleted AND version <= $2::int8',
      },
    ],
    caughtBy: { ownership: ['are never read'] },
  },
  {
    name: 'the rows of a user are looked for among those of all users',
    patches: [
      {
        file: statements,
        from: 'FROM ${quote(table.name)} t WHERE t.user_id = $1::uuid AND ${condition}',
        to: 'FROM ${quote(table.name)} t WHERE t.user_id::text = $1::text AND ${condition}',
      },
    ],
    caughtBy: { ownership: ['are as unknown as ids that nobody has', 'are never read'] },
  },
  {
    name: 'no check for conflicts',
    patches: [{ file: pushService, from: 'plan.conflicts.length > 0', to: '(false as boolean)' }],
    caughtBy: {
      sync: [
        'what changed after the cursor conflicts',
        'a stale delete of a changed record conflicts',
      ],
    },
  },
  {
    name: 'conflicts by updated_at',
    patches: [
      {
        file: statements,
        from: 'NULL, t.is_deleted, t.version > $3::int8, ${values}',
        to: `NULL, t.is_deleted, ${updatedAt} > $3::int8, \${values}`,
      },
      {
        file: statements,
        from: "' AND (t.is_deleted OR t.version > $3::int8)'",
        to: `' AND (t.is_deleted OR ${updatedAt} > $3::int8)'`,
      },
    ],
    caughtBy: { sync: ['what changed after the cursor conflicts'] },
  },
  {
    name: 'conflicts by account',
    patches: [
      {
        file: pushService,
        from: 'plan.conflicts.length > 0',
        to: 'cursor > 0 && situation.state.version > cursor',
      },
    ],
    caughtBy: { sync: ['what changed after the cursor conflicts'] },
  },
  {
    name: 'deleted rows are forgotten',
    patches: [
      {
        file: statements,
        from: "markDeleted: setOf('delete', 'is_deleted = true, version = $2::int8', ' AND NOT is_deleted'),",
        to: 'markDeleted: { name: `sync_delete_${table.name}`, text: `DELETE FROM ${name} WHERE user_id = $1::uuid AND $2::int8 > 0 AND id = ANY ($3::text[])` },',
      },
    ],
    caughtBy: {
      sync: ['deleting a parent deletes its children'],
    },
  },
  {
    name: 'an update revives a deleted row',
    patches: [
      {
        file: plan,
        from: 'else if (existing.isDeleted) this',
        to: 'else if (false as boolean) this',
      },
    ],
    caughtBy: { sync: ['an update of a row that was deleted before the cursor is ignored'] },
  },
  {
    name: 'children are left alone',
    patches: [
      { file: repository, from: 'if (mayCascade && cascade)', to: 'if (false as boolean)' },
    ],
    caughtBy: { sync: ['deleting a parent deletes its children'] },
  },
  {
    name: 'a child of a deleted parent is stored live',
    patches: [
      { file: plan, from: "found.some(({ kind }) => kind === 'parent')", to: '(false as boolean)' },
    ],
    caughtBy: { sync: ['deleting a parent deletes its children'] },
  },
  {
    name: 'deleting what is unknown is an error',
    patches: [
      {
        file: plan,
        from: 'for (const row of this.found) {',
        to: `const met = new Set(this.found.map(({ kind, id }) => \`\${kind} \${id}\`));
    for (const entry of this.prepared.deletes) {
      if (!met.has(\`delete \${entry.id}\`))
        this.conflict(entry, { isDeleted: true } as FoundRow);
    }
    for (const row of this.found) {`,
      },
    ],
    caughtBy: { sync: ['deleting what is unknown or deleted succeeds'] },
  },
  {
    name: 'missing columns are reset',
    patches: [
      {
        file: statements,
        from: 'ELSE t.${quote(name)} END',
        to: 'ELSE ${sqlDefault(column)} END',
      },
    ],
    caughtBy: { sync: ['a missing column keeps its value on update'] },
  },
  {
    name: 'pulls repeat what is as old as the cursor',
    patches: [
      {
        file: statements,
        from: 'AND t.version > $${index + 3}',
        to: 'AND t.version >= $${index + 3}',
      },
    ],
    caughtBy: { sync: ['answers what changed after the cursor'] },
  },
  {
    name: 'first pulls name deleted rows',
    patches: [
      {
        file: statements,
        from: 'AND (NOT t.is_deleted OR ($2::int8 > 0 AND',
        to: 'AND (NOT t.is_deleted OR ($2::int8 >= 0 AND',
      },
    ],
    caughtBy: { sync: ['first pulls name no deleted rows'] },
  },
  {
    name: 'migrations get what is new only',
    patches: [
      {
        file: repository,
        from: '(wholeTables.includes(name) ? 0 : cursor)',
        to: '(wholeTables.includes(name) ? cursor : cursor)',
      },
    ],
    caughtBy: { sync: ['a migration gets new tables'] },
  },
  {
    name: 'the floor is forgotten by pulls',
    patches: [
      {
        file: pullService,
        from: 'if (!head.isReplacement) return { head, isLarge, rows };',
        to: 'if (rows) return { head, isLarge, rows };',
      },
    ],
    caughtBy: { sync: ['a cursor below the floor gets everything'] },
  },
  {
    name: 'the purge does not raise the floor',
    patches: [
      {
        file: 'sync/tombstones.service.ts',
        from: 'if (highest !== null)',
        to: 'if (highest === 0)',
      },
    ],
    caughtBy: { 'sync-rules': ['forgets old deletions, raises the floor'] },
  },
  {
    name: 'no attempt is repeated',
    patches: [
      {
        file: 'platform/database/database.ts',
        from: 'count === MAX_ATTEMPTS || !isRetryable(error)',
        to: 'count === 1 || !isRetryable(error)',
      },
    ],
    caughtBy: {
      'push-retries': [
        'is repeated inside after a deadlock',
        'is repeated after a real deadlock with another transaction',
      ],
    },
  },
  {
    name: 'an attempt that failed is announced',
    patches: [
      {
        file: 'platform/database/database.ts',
        from: `for (let count = 1; ; count += 1) {
      const afterCommit: Array<() => void> = [];`,
        to: `const afterCommit: Array<() => void> = [];
    for (let count = 1; ; count += 1) {`,
      },
    ],
    caughtBy: { 'push-retries': ['is repeated inside after a serialisation failure'] },
  },
  {
    name: 'the floor is raised after the commit of the purge',
    patches: [
      {
        file: 'sync/tombstones.service.ts',
        from: 'await this.repository.raiseFloor(',
        to: `await sql.run({ name: 'commit_early', text: 'COMMIT' }, []);
      await sql.run({ name: 'begin_late', text: 'BEGIN' }, []);
      await this.repository.raiseFloor(`,
      },
      // The patch above needs a block.
      {
        file: 'sync/tombstones.service.ts',
        from: 'if (highest !== null) ',
        to: 'if (highest === null) return count;\n      ',
      },
    ],
    caughtBy: { 'push-races': ['while old deletions are purged a pull names them still'] },
  },
  {
    name: 'a restored backup is noticed, and clocks stay',
    patches: [
      {
        file: restoredBackups,
        from: 'SELECT * FROM sync_notice_restore()',
        to: 'SELECT d AS differences, nullif(cardinality(d), 0) AS clocks FROM sync_marker_differences() d',
      },
    ],
    caughtBy: { 'noticed-restores': ['is noticed once by all instances'] },
  },
  {
    name: 'nothing is looked at but when the listening connection is made',
    patches: [{ file: restoredBackups, from: `notices.on('proof'`, to: `notices.once('proof'` }],
    caughtBy: {
      'noticed-restores': ['is noticed once by all instances', 'ends what was known of sessions'],
    },
  },
  {
    name: 'what is written after a restore does not look for itself',
    patches: [
      {
        file: repository,
        from: `kind === 'restored')) throw`,
        to: `kind === 'restored') && false) throw`,
      },
    ],
    caughtBy: {
      'noticed-restores': [
        'takes no push between the restore and the look',
        'takes nothing from the server itself either',
      ],
    },
  },
  {
    name: 'synced before the database was looked at',
    patches: [{ file: restoredBackups, from: 'this.isSettled = false;', to: '' }],
    caughtBy: {
      'noticed-restores': [
        'is not synced while a backup is being put back',
        'is not synced before it was looked at',
      ],
    },
  },
];

/** The mutation of this name with `text` changed by it; throws when a patch no longer fits its file. */
export function mutate(name: string, path: string, text: string): string {
  const mutation = mutations.find((candidate) => candidate.name === name);
  if (!mutation) throw new Error(`There is no mutation "${name}"`);
  let mutated = text;
  for (const { file, from, to } of mutation.patches) {
    if (!path.endsWith(`/src/${file}`)) continue;
    if (mutated.split(from).length !== 2) {
      throw new Error(`"${name}" no longer fits ${file}, which should contain once: ${from}`);
    }
    mutated = mutated.replace(from, () => to);
  }
  return mutated;
}
