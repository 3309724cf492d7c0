import type { ChildProcess } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findFreePort } from '../../../../scripts/ports.ts';
import { endBoundProgram, startBoundProgram, untilItSays } from './bound-program.ts';
import { findOptionalPart } from './optional-parts.ts';

const HOST = '127.0.0.1';
const OPS = path.join(import.meta.dirname, '../../../../ops/alertmanager');

/** Null where it is not installed. */
export const findAlertmanager = (): string | null =>
  findOptionalPart('Alertmanager', '/usr/bin/prometheus-alertmanager');

/** Alertmanager as docker-compose.yml starts it, but for its paths. */
export class Alertmanager {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
    private readonly directory: string,
  ) {}

  static async start(program: string, alertsTo: string): Promise<Alertmanager> {
    const port = await findFreePort(HOST);
    const directory = await prepare(program, alertsTo);
    const child = startBoundProgram([
      'env',
      `PATH=${directory}/bin:/usr/bin:/bin`,
      'ALERTS_FROM=Rind <mail@example.com>',
      'sh',
      `${directory}/ops/start.sh`,
      `${directory}/secrets`,
      directory,
      `--storage.path=${directory}/data`,
      `--web.listen-address=${HOST}:${port}`,
      '--cluster.listen-address=',
    ]);
    const alertmanager = new Alertmanager(`http://${HOST}:${port}`, child, directory);
    try {
      await untilItSays(child, 'Listening on');
    } catch (error) {
      await alertmanager.stop();
      throw error;
    }
    return alertmanager;
  }

  async stop(): Promise<void> {
    await endBoundProgram(this.child);
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function prepare(program: string, alertsTo: string): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rind-alertmanager-'));
  await cp(OPS, path.join(directory, 'ops'), { recursive: true });
  await Promise.all(['bin', 'secrets'].map((name) => mkdir(path.join(directory, name))));
  await symlink(program, path.join(directory, 'bin', 'alertmanager'));
  await writeFile(path.join(directory, 'secrets', 'alerts_to'), alertsTo);
  await writeFile(path.join(directory, 'secrets', 'resend_api_key'), 're_1');
  // Another user writes there, where the tests run as root.
  await chmod(directory, 0o777);
  return directory;
}
