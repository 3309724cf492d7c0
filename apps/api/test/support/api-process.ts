import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { dataDirectoryOf } from './test-database.js';
import { witness } from './witness.js';

const START_TIMEOUT_MS = 45_000;
/** Nothing is cut off because the machine is slow; a test that is about that says when. */
const SHUTDOWN_GRACE_SECONDS = '30';
const API_ENTRY = path.join(import.meta.dirname, '../../dist/main.js');
const WRONG_CLOCK = path.join(import.meta.dirname, 'wrong-clock.ts');

interface ApiProcessOptions {
  clockOffsetMs?: number;
  /** What its health has to answer for it to count as started. */
  until?: 'live' | 'ready';
  /** By default any that is free. */
  port?: number;
}

/** The built API as it runs in production: a process of its own, all that it prints is kept. */
export class ApiProcess {
  output = '';

  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
  ) {
    child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
  }

  static async start(
    environment: Record<string, string>,
    { clockOffsetMs, until = 'ready', port: givenPort }: ApiProcessOptions = {},
  ): Promise<ApiProcess> {
    if (!existsSync(API_ENTRY)) throw new Error('The API is not built: run `pnpm build` first.');
    const port = givenPort ?? (await findFreePort());
    const hasWrongClock = clockOffsetMs !== undefined;
    const child = spawn(
      process.execPath,
      [...(hasWrongClock ? ['--import', WRONG_CLOCK] : []), API_ENTRY],
      {
        env: {
          PATH: process.env['PATH'],
          PORT: String(port),
          SHUTDOWN_GRACE_SECONDS,
          // What the machine makes slow is not to be read among what is logged.
          SLOW_QUERY_MS: '0',
          ...(environment['DATABASE_URL'] && {
            RIND_DATA_DIR: dataDirectoryOf(environment['DATABASE_URL']),
          }),
          ...(hasWrongClock && { RIND_TEST_CLOCK_OFFSET_MS: String(clockOffsetMs) }),
          ...environment,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const api = new ApiProcess(`http://127.0.0.1:${port}/api/v1`, child);
    witness.seeEnvironment(environment);
    witness.hearOutput(() => api.output);
    try {
      await api.untilHealthy(until);
    } catch (error) {
      await api.stop();
      throw error;
    }
    return api;
  }

  async request<Body>(
    method: string,
    route: string,
    { token, body }: { token?: string; body?: unknown } = {},
  ): Promise<{ status: number; body: Body }> {
    const response = await fetch(this.url + route, {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && {
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    });
    const text = await response.text();
    return { status: response.status, body: (text && JSON.parse(text)) as Body };
  }

  /** Asks the process to end; resolves with its exit code, null when a signal ended it. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const closed = once(this.child, 'close');
      this.child.kill('SIGTERM');
      await closed;
    }
    return this.child.exitCode;
  }

  /** Ends it as a crash does (-9). */
  async kill(): Promise<void> {
    const closed = once(this.child, 'close');
    this.child.kill('SIGKILL');
    await closed;
  }

  /** Resolves when no new connection is taken. */
  async untilRefusing(): Promise<void> {
    const isOpen = () => {
      const { hostname, port } = new URL(this.url);
      const socket = connect(Number(port), hostname);
      return once(socket, 'connect').then(
        () => Boolean(socket.destroy()),
        () => false,
      );
    };
    while (await isOpen()) await delay(5);
  }

  private async untilHealthy(until: 'live' | 'ready'): Promise<void> {
    const deadline = AbortSignal.timeout(START_TIMEOUT_MS);
    while (this.child.exitCode === null && !deadline.aborted) {
      const answer = await fetch(`${this.url}/health/${until}`, { signal: deadline }).catch(
        () => null,
      );
      if (answer?.ok) return;
      await delay(20);
    }
    throw new Error(`The API did not get ${until}:\n${this.output}`);
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
