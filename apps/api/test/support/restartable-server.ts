import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readServerPid } from '../../../../scripts/embedded-postgres/orphan.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../../scripts/embedded-postgres.ts';
import type { Interruption } from '../histories/deployment.js';

/** Keeps what it acknowledged, unlike the server of the other tests, and comes back on another port. */
export class RestartableServer {
  private constructor(
    private readonly dataDir: string,
    private server: EmbeddedPostgres,
  ) {}

  static async start(): Promise<RestartableServer> {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'rind-histories-'));
    // The server's own user has to enter it, where the tests run as root.
    await chmod(dataDir, 0o711);
    return new RestartableServer(dataDir, await startEmbeddedPostgres({ dataDir }));
  }

  get url(): string {
    return this.server.url;
  }

  async restart(how: Interruption): Promise<void> {
    if (how === 'crash') await this.crash();
    // Takes note of a server that has ended; else stops it in the way of `pg_ctl stop -m fast`.
    await this.goAway();
    await this.comeBack();
  }

  async goAway(): Promise<void> {
    await this.server.stop();
  }

  async comeBack(): Promise<void> {
    this.server = await startEmbeddedPostgres({ dataDir: this.dataDir });
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** `pg_ctl stop -m immediate`: no checkpoint is written, and the next start recovers from the log. */
  private async crash(): Promise<void> {
    const pid = await readServerPid(this.server.directory);
    if (pid === undefined) throw new Error('The server does not run');
    process.kill(pid, 'SIGQUIT');
    await this.server.ended;
  }
}
