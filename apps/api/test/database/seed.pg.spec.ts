import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Runs the script as `npm run db:seed` does, on the built API. */
const seed = (env: Record<string, string>) =>
  promisify(execFile)(process.execPath, ['prisma/seed.ts'], {
    cwd: root,
    env: { PATH: process.env['PATH'], ...env },
  });

describe('npm run db:seed', () => {
  let database: TestDatabase;
  let sql: pg.Client;
  let dataDir: string;

  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'rind-seed-'));
    database = await createTestDatabase();
    sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
  });
  afterAll(async () => {
    await sql.end();
    await database.drop();
    await rm(dataDir, { recursive: true });
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
    const { stdout } = await seed({ DATABASE_URL: database.url, PORT: '4000' });
    expect(stdout).toContain('409 sync_conflict');
    expect(stdout).toContain('API=http://localhost:4000/api/v1');
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
    await writeFile(path.join(dataDir, 'running.json'), '{"pid":1,"port":4321}');
    const again = await seed({ DATABASE_URL: database.url, RIND_DATA_DIR: dataDir });
    expect(again.stdout).toContain('API=http://localhost:4321/api/v1');
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
