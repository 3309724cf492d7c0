import type { Problem } from '@rind/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AdminUsersService } from '../../src/admin/admin-users.service.js';
import { listRoutes } from '../support/routes.js';
import { TestApp } from '../support/test-app.js';

const NOBODY = '01900000-0000-7000-8000-000000000000';

let rind: TestApp;

beforeAll(async () => {
  rind = await TestApp.start();
});
afterAll(() => rind.stop());

/** Who asks, with a token of their own for each request: some of them end the session. */
const callers: Readonly<Record<string, () => Promise<string | null>>> = {
  nobody: async () => null,
  'a user': async () => (await rind.signUp()).accessToken,
  'a deactivated user': async () => {
    const { id, accessToken } = await rind.signUp();
    await rind.sql.query('UPDATE users SET is_active = false WHERE id = $1', [id]);
    return accessToken;
  },
  'an admin': async () => {
    const { user, accessToken } = await rind.signUp();
    await rind.app.get(AdminUsersService).grantAdmin(user.email);
    return accessToken;
  },
};

async function answerOf(method: string, path: string, token: string | null): Promise<string> {
  const response = await fetch(rind.url + path.replaceAll(/\{\w+\}/g, NOBODY), {
    method,
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    redirect: 'manual',
  });
  const text = await response.text();
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json');
  return [response.status, ...(isProblem ? [(JSON.parse(text) as Problem).code] : [])].join(' ');
}

// What is not meant to be so is mended in the code; what is, is written down with
// `pnpm test:jest access -u`, and the change of the table is read like any other.
test('who gets which answer from which route, with no body and ids that nobody has', async () => {
  const rows: string[][] = [['', ...Object.keys(callers)]];
  const routes = listRoutes(rind.app).filter(({ path }) => !/^(\/docs\b|\*)/.test(path));
  for (const { method, path } of routes) {
    const answers: string[] = [];
    for (const tokenOf of Object.values(callers)) {
      answers.push(await answerOf(method, path, await tokenOf()));
    }
    rows.push([`${path} ${method}`, ...answers]);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join(' | ')
      .trimEnd(),
  );
  expect(`\n${lines.toSorted().join('\n')}\n`).toMatchSnapshot();
}, 120_000);
