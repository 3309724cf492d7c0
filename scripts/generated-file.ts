import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');

/**
 * Writes a file that is generated and committed. With --check on the command line it writes nothing, and fails when
 * the committed file differs.
 *
 * @param file path from the root of the repository
 * @param regenerate the command that brings the file up to date
 */
export async function writeOrCheck(file: string, text: string, regenerate: string): Promise<void> {
  const absolute = path.join(root, file);
  if (!process.argv.includes('--check')) {
    await writeFile(absolute, text);
    return;
  }
  const committed = await readFile(absolute, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (committed === text) return;
  console.error(`${file} is out of date. Run "${regenerate}" and commit the result.`);
  process.exitCode = 1;
}
