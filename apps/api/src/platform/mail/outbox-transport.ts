import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Logger } from '@nestjs/common';
import type { Mail, MailTransport } from './mail-transport.js';

/** For development: mails go to files, and their links to the log, the one place where a token stands in clear. */
export class OutboxTransport implements MailTransport {
  private readonly logger = new Logger(OutboxTransport.name);

  constructor(private readonly directory: string) {}

  async send({ html, text, link, ...envelope }: Mail): Promise<void> {
    const base = path.join(this.directory, envelope.id);
    // Comes last, so whoever finds it finds the others.
    const last = `${base}.json`;
    if (await exists(last)) return;
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await writeFile(`${base}.html`, html, { mode: 0o600 });
    await writeFile(`${base}.txt`, text, { mode: 0o600 });
    await writeFile(`${last}.part`, `${JSON.stringify(envelope, null, 2)}\n`, { mode: 0o600 });
    await rename(`${last}.part`, last);
    this.logger.log({ kind: envelope.kind, file: `${base}.html`, link }, 'Mail written to outbox');
  }

  async forget(userId: string): Promise<void> {
    const names = await readdir(this.directory).catch(ignoreMissing(() => []));
    for (const name of names.filter((file) => file.endsWith('.json'))) {
      const file = path.join(this.directory, name);
      // Another process may remove it at the same time.
      const envelope = await readFile(file, 'utf8').catch(ignoreMissing(() => '{}'));
      if ((JSON.parse(envelope) as Partial<Mail>).userId !== userId) continue;
      for (const type of ['json', 'html', 'txt'])
        await rm(file.replace(/json$/, type), { force: true });
    }
  }
}

function ignoreMissing<T>(replacement: () => T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return replacement();
    throw error;
  };
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
