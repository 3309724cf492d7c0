import { execFile } from 'node:child_process';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readMigrations, projectPaths } from '../../../../prisma/migrate/project-files.js';
import { ApiProcess } from '../support/api-process.js';
import { ready } from '../support/ready.js';
import { type TestDatabase, createTestDatabase } from '../support/test-database.js';

const dist = path.join(import.meta.dirname, '../../dist');

let database: TestDatabase;
let started: ApiProcess[];

beforeEach(async () => {
  database = await createTestDatabase({ migrated: false });
  started = [];
});

afterEach(async () => {
  await Promise.all(started.map((api) => api.stop()));
  await database.drop();
});

async function start(
  environment: Record<string, string> = {},
  until: 'live' | 'ready' = 'ready',
): Promise<ApiProcess> {
  const api = await ApiProcess.start({ DATABASE_URL: database.url, ...environment }, { until });
  started.push(api);
  return api;
}

/** A program of the image that is expected to end by itself. */
function run(
  program: string,
  ...words: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { PATH: process.env['PATH'], PORT: '0', DATABASE_URL: database.url };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [path.join(dist, program), ...words],
      { env },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

describe('the API', () => {
  test('migrates before it listens, and two that start at once on an empty database both come up', async () => {
    const migrations = await readMigrations(projectPaths);

    const [one, two] = await Promise.all([start(), start()]);

    const output = one.output + two.output;
    for (const { name } of migrations) {
      expect([name, output.split(`"Applying ${name}."`).length - 1]).toEqual([name, 1]);
    }
  });

  test('leaves that to others with MIGRATE=off, and is not ready before', async () => {
    const api = await start({ MIGRATE: 'off' }, 'live');
    const { length } = await readMigrations(projectPaths);
    expect(await ready(api)).toMatchObject({
      status: 503,
      body: { checks: { migrations: { status: 'unavailable' } } },
    });

    expect(await run('migrate.js')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`Applied ${length} migrations.\n`),
    });

    expect((await ready(api)).body.checks['migrations']).toEqual({ status: 'ok' });
    expect(await run('migrate.js', 'status')).toMatchObject({ code: 0 });
  });

  test('has its programs say in one sentence what is wrong, and with 2 that they were mistyped', async () => {
    const noTables =
      'This database has no tables of Rind: start the API first, which makes them.\n';
    expect(await run('grant-admin.js', 'ada@example.com')).toEqual({
      code: 1,
      stdout: '',
      stderr: noTables,
    });
    const mistyped: [string, ...string[]][] = [
      ['grant-admin.js'],
      ['grant-admin.js', ''],
      ['grant-admin.js', '--nonsense'],
      ['backup.js'],
      ['restore.js', ''],
      ['mark-restored.js', 'now'],
      ['migrate.js', 'upgrade'],
    ];
    for (const [program, ...words] of mistyped) {
      expect([program, await run(program, ...words)]).toEqual([
        program,
        { code: 2, stdout: '', stderr: expect.stringMatching(/^[^\n]+\n$/) },
      ]);
      expect(await run(program, '-h')).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('DATABASE_DIRECT_URL'),
      });
    }
  });

  test('says in one paragraph that there is no database to be had, and exits with 1', async () => {
    const { url } = database;
    database = { ...database, url: 'postgresql://rind:secret@127.0.0.1:1/rind' };

    const ended = await run('main.js');

    database = { ...database, url };
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^The database "rind" on 127\.0\.0\.1:1 cannot be [^\n]+\n$/),
    });
    expect(ended.stdout + ended.stderr).not.toContain('secret');
  });
});
