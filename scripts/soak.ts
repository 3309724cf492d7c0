// Plays histories of devices on a bad network until the time is over; `npm test` plays a few hundred of them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `Usage: pnpm test:soak [--minutes <number>] [--seed <number>]

Real devices of two accounts, two instances of the API, a bad network and lost databases, in random
histories, for 30 minutes or as long as told. Ends at the first history that goes wrong, with its
shortest form and the seed that plays it again.
`;

const SPEC = 'test/e2e/histories.e2e-spec.ts';
const API = join(import.meta.dirname, '..', 'apps', 'api');

function numberOf(text: string | undefined, isValid: (number: number) => boolean): number | null {
  const number = Number(text);
  return text !== undefined && isValid(number) ? number : null;
}

function main(): Promise<number> {
  const { values } = parseArgs({
    // pnpm passes the `--` on that separates its own options.
    args: process.argv.slice(2).filter((argument) => argument !== '--'),
    options: {
      minutes: { type: 'string', default: '30' },
      seed: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const minutes = numberOf(values.minutes, (number) => number > 0);
  const seed = numberOf(values.seed, Number.isInteger);
  if (values.help || minutes === null || (values.seed !== undefined && seed === null)) {
    console.log(HELP);
    return Promise.resolve(values.help ? 0 : 1);
  }
  const child = spawn(
    process.execPath,
    ['--run', 'test:jest', '--', '--runInBand', '--runTestsByPath', join(API, SPEC)],
    {
      env: {
        ...process.env,
        RIND_HISTORIES_MINUTES: String(minutes),
        ...(seed !== null && { RIND_HISTORIES_SEED: String(seed) }),
      },
      stdio: 'inherit',
    },
  );
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => resolve(code ?? 1));
  });
}

process.exitCode = await main();
