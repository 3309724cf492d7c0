// The smoke test of a running server: of `npm start`, of an image, of what has just been deployed.
import { parseArgs } from 'node:util';

import { createClient, RindApi } from '../packages/sdk/dist/index.js';

import { describeError, ExpectedError } from './expected-error.ts';
import { type Credentials, deleteUser, signIn, signUp, throwAway } from './smoke/accounts.ts';
import { dataOf } from './smoke/answers.ts';
import { untilReady } from './smoke/ready.ts';
import { StepFailedError, Steps } from './smoke/steps.ts';
import { deleteRecords, syncDevices } from './smoke/sync.ts';

const HELP = `Usage: pnpm smoke URL [--commit SHA] [--timeout SECONDS]

Waits until the server at URL, such as https://api.example.com, is ready. Then signs a throw-away user up on two
devices, opens a socket on one, pushes from the other, waits for sync:changed, pulls, and deletes the user, also after
a failure. Prints each step with the time that it took, and exits with 1 at the first that fails.

  --commit    the server must also run this commit: 7 to 40 of its characters
  --timeout   how long it may take to get ready, by default 300 seconds; every other step may take 30

Where addresses are verified before the first sign-in, as production does by default, or where nobody may register, no
throw-away user can sign in. Make an account for this test once, verify its address, and name it in the environment:

  SMOKE_EMAIL, SMOKE_PASSWORD

Then the test signs in with it instead. The account stays; records of the test are deleted and its two devices signed
out. Run one such test at a time: the next one ends the sessions of the one before.
`;

interface Settings {
  url: string;
  commit: string | null;
  timeoutMs: number;
  /** Null: a throw-away user. */
  account: Credentials | null;
}

function readArguments() {
  try {
    return parseArgs({
      // pnpm passes the `--` on that separates its own options.
      args: process.argv.slice(2).filter((argument) => argument !== '--'),
      allowPositionals: true,
      options: {
        commit: { type: 'string' },
        timeout: { type: 'string', default: '300' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new ExpectedError(`${(error as Error).message}\n\n${HELP}`);
  }
}

function readSettings({ values, positionals }: ReturnType<typeof readArguments>): Settings {
  const [address = ''] = positionals;
  const url = URL.parse(address);
  const isOrigin = url?.pathname === '/' && /^https?:$/.test(url.protocol) && url.search === '';
  if (!isOrigin || positionals.length !== 1) {
    throw new ExpectedError('Name one URL without a path, such as https://api.example.com');
  }
  const commit = values.commit?.toLowerCase() ?? null;
  if (commit !== null && !/^[0-9a-f]{7,40}$/.test(commit)) {
    throw new ExpectedError('--commit takes 7 to 40 hexadecimal characters');
  }
  const timeoutMs = Number(values.timeout) * 1000;
  if (!(timeoutMs > 0 && timeoutMs <= 86_400_000)) {
    throw new ExpectedError('--timeout takes a number of seconds, at most a day');
  }
  return { url: url.origin, commit, timeoutMs, account: readAccount() };
}

function readAccount(): Credentials | null {
  const { SMOKE_EMAIL: email, SMOKE_PASSWORD: password } = process.env;
  if (email && password) return { email, password };
  if (email || password) throw new ExpectedError('Set SMOKE_EMAIL and SMOKE_PASSWORD, or neither');
  return null;
}

function listenForInterruption(): AbortSignal {
  const interruption = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => interruption.abort(new ExpectedError(`interrupted by ${name}`)));
  }
  return interruption.signal;
}

async function smoke({ url, commit, timeoutMs, account }: Settings): Promise<void> {
  const steps = new Steps(listenForInterruption());
  const as = (token?: string): RindApi =>
    new RindApi({ client: createClient({ baseUrl: url, auth: () => token }) });

  await steps.runUnlimited('ready', (signal) => untilReady(as(), { commit, timeoutMs, signal }));
  const credentials = account ?? throwAway();
  const writer = as(
    account
      ? await steps.run('sign in', (signal) => signIn(as(), account, 'writer', signal))
      : await steps.run('sign up', (signal) => signUp(as(), credentials, signal)),
  );
  const signedIn = [writer];
  try {
    const readerToken = await steps.run('sign in again', (signal) =>
      signIn(as(), credentials, 'reader', signal),
    );
    const reader = as(readerToken);
    signedIn.push(reader);
    await syncDevices(url, { writer, reader, readerToken }, steps);
  } finally {
    if (account) {
      await steps.cleanUp('delete records', (signal) => deleteRecords(writer, signal));
      await steps.cleanUp('sign out', async (signal) => {
        for (const device of signedIn) dataOf(await device.logout({ signal }));
      });
    } else {
      await steps.cleanUp('delete the user', (signal) => deleteUser(writer, signal));
    }
  }
}

try {
  const given = readArguments();
  if (given.values.help) console.log(HELP);
  else await smoke(readSettings(given));
} catch (error) {
  if (!(error instanceof StepFailedError)) console.error(describeError(error));
  process.exitCode = 1;
}
