import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chooseAccount } from '../../../../scripts/embedded-postgres/account.ts';

/** Ends it when standard input ends, and so also when Jest was killed. SIGTERM: at once, whoever is connected. */
const RUN_UNTIL_INPUT_ENDS = `
  exec 3<&0
  "$@" 3<&- &
  program=$!
  { read -r _ <&3; kill -TERM $program; } >/dev/null 2>&1 &
  watcher=$!
  exec 3<&-
  wait $program
  kill $watcher 2>/dev/null
`;

/** Starts a program that logs to the standard error, as an ordinary user: some refuse to run as root. */
export function startBoundProgram(command: readonly string[]): ChildProcess {
  return spawn('/bin/sh', ['-c', RUN_UNTIL_INPUT_ENDS, 'sh', ...command], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'pipe'],
    ...chooseAccount([]),
  });
}

export async function endBoundProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const closed = once(child, 'close');
  child.stdin?.end();
  await closed;
}

/** Resolves when its log has these words. */
export async function untilItSays(child: ChildProcess, words: string): Promise<void> {
  let output = '';
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => reject(new Error(`${child.spawnargs.at(-1)} ended:\n${output}`)));
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes(words)) resolve();
    });
  });
}
