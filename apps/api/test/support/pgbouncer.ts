import type { ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findFreePort } from '../../../../scripts/ports.ts';
import { endBoundProgram, startBoundProgram, untilItSays } from './bound-program.ts';
import { codeBlock } from './docs.ts';
import { findOptionalPart } from './optional-parts.ts';

const HOST = '127.0.0.1';

/** Fewer than the instances of a test open, so that they share them, and enough for tests that hold some. */
export const POOL_SIZE = 6;

/** Null where it is not installed. */
export const findPgBouncer = (): string | null =>
  findOptionalPart('PgBouncer', '/usr/sbin/pgbouncer');

/** PgBouncer with the settings that docs/scaling.md gives to operators, in front of all databases of a server. */
export class PgBouncer {
  /** The given URL, through the pooler. */
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(url: string, child: ChildProcess, directory: string) {
    this.url = url;
    this.#child = child;
    this.#directory = directory;
  }

  static async start(program: string, serverUrl: string): Promise<PgBouncer> {
    const port = await findFreePort(HOST);
    const directory = await writeSettings(new URL(serverUrl), port);
    const settings = path.join(directory, 'pgbouncer.ini');
    const child = startBoundProgram([program, settings]);
    const url = new URL(serverUrl);
    url.host = `${HOST}:${port}`;
    const pooler = new PgBouncer(url.href, child, directory);
    try {
      await untilItSays(child, 'process up');
    } catch (error) {
      await pooler.stop();
      throw error;
    }
    return pooler;
  }

  async stop(): Promise<void> {
    await endBoundProgram(this.#child);
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function writeSettings(server: URL, port: number): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rind-pgbouncer-'));
  const account = path.join(directory, 'userlist.txt');
  const settings = codeBlock('scaling.md', 'ini', '[databases]')
    .replace(/^rind = .*$/m, `* = host=${server.hostname} port=${server.port || 5432}`)
    .concat(
      '\n',
      `listen_addr = ${HOST}\nlisten_port = ${port}\nunix_socket_dir =\n`,
      `auth_file = ${account}\ndefault_pool_size = ${POOL_SIZE}\n`,
    );
  const password = decodeURIComponent(server.password);
  await writeFile(account, `"${decodeURIComponent(server.username)}" "${password}"\n`);
  await writeFile(path.join(directory, 'pgbouncer.ini'), settings);
  // Another user has to read them, where the tests run as root.
  await chmod(directory, 0o755);
  return directory;
}
