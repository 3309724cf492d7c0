import type { ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findFreePort } from '../../../../scripts/ports.ts';
import { endBoundProgram, startBoundProgram, untilItSays } from './bound-program.ts';
import { findOptionalPart } from './optional-parts.ts';

const HOST = '127.0.0.1';
const SITE = path.join(import.meta.dirname, '../../../../ops/nginx/rind.conf');

/** Null where it is not installed. */
export const findNginx = (): string | null => findOptionalPart('nginx', '/usr/sbin/nginx');

/** nginx with the site that operators are given, in front of processes on this machine. */
export class Nginx {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
    private readonly directory: string,
  ) {}

  static async start(program: string, targets: readonly string[]): Promise<Nginx> {
    const port = await findFreePort(HOST);
    const directory = await mkdtemp(path.join(tmpdir(), 'rind-nginx-'));
    // Another user writes there, where the tests run as root.
    await chmod(directory, 0o777);
    const settings = path.join(directory, 'nginx.conf');
    await writeFile(settings, settingsFor(targets, await siteAt(port), directory));
    const child = startBoundProgram([program, '-e', 'stderr', '-c', settings]);
    const nginx = new Nginx(`http://${HOST}:${port}`, child, directory);
    try {
      await untilItSays(child, 'start worker process ');
    } catch (error) {
      await nginx.close();
      throw error;
    }
    return nginx;
  }

  async close(): Promise<void> {
    await endBoundProgram(this.child);
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** The processes share a name, as containers do, and differ in their ports, which they do not. */
async function siteAt(port: number): Promise<string> {
  const site = await readFile(SITE, 'utf8');
  return site.replace('listen 80;', `listen ${HOST}:${port};`).replaceAll('$api:3000', '$api');
}

function settingsFor(targets: readonly string[], site: string, directory: string): string {
  // Nor does it remember from one request to the next which of several containers has failed.
  const servers = targets.map((target) => `server ${new URL(target).host} max_fails=0;`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${directory}/${kind};`,
  );
  return `
    daemon off;
    pid ${directory}/nginx.pid;
    error_log stderr notice;
    events {}
    http {
      access_log off;
      ${temporary.join('\n')}
      upstream rind-api { ${servers.join(' ')} }
      ${site}
    }
  `;
}
