import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Runs the script as `pnpm db:seed` does, on the built API. */
const seed = (env: Record<string, string>) =>
  promisify(execFile)(process.execPath, ['prisma/seed.ts'], {
    cwd: root,
    env: { PATH: process.env['PATH'], ...env },
  });

describe('pnpm db:seed', () => {
  let database: TestDatabase;
  let sql: pg.Client;

  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
  });
  afterAll(async () => {
    await sql.end();
    await database.drop();
  });

  async function people(): Promise<unknown[]> {
    const { rows } = await sql.query(
      `SELECT email, (SELECT count(*)::int FROM sessions s WHERE s.user_id = u.id) AS devices,
              (SELECT count(*)::int FROM projects p WHERE p.user_id = u.id AND NOT is_deleted) AS projects,
              (SELECT count(*)::int FROM tasks t WHERE t.user_id = u.id AND NOT is_deleted) AS tasks,
              array(SELECT role_name FROM user_roles r WHERE r.user_id = u.id ORDER BY 1) AS roles
       FROM users u ORDER BY email`,
    );
    return rows;
  }

  test('makes an admin, two users, devices, records and a conflict; again, it only restores its own', async () => {
    const { stdout } = await seed({ DATABASE_URL: database.url });
    expect(stdout).toContain('409 sync_conflict');
    const expected = [
      { email: 'ada@demo.example.com', devices: 2, projects: 2, tasks: 4, roles: ['user'] },
      {
        email: 'admin@demo.example.com',
        devices: 1,
        projects: 0,
        tasks: 0,
        roles: ['admin', 'user'],
      },
      { email: 'ben@demo.example.com', devices: 1, projects: 1, tasks: 1, roles: ['user'] },
    ];
    expect(await people()).toEqual(expected);
    await sql.query(`UPDATE tasks SET title = 'mine', is_deleted = true WHERE id = 'demo-sail'`);
    await seed({ DATABASE_URL: database.url });
    expect(await people()).toEqual(expected);
    const { rows } = await sql.query(`SELECT title FROM tasks WHERE id = 'demo-sail'`);
    expect(rows).toEqual([{ title: 'Wash the sail' }]);
  });

  test('is refused in production, and touches nothing', async () => {
    await expect(
      seed({ DATABASE_URL: database.url, NODE_ENV: 'production' }),
    ).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('NODE_ENV=production') });
  });
});
