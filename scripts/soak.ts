// Plays histories of devices on a bad network until the time is over, or repeats the heartbeat and the
// histories; `npm test` plays a few hundred of them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `Usage: pnpm test:soak [--minutes <number>] [--only <deployment>] [--seed <number>]
       pnpm test:soak --times <number>

Real devices of two accounts, two instances of the API, a bad network and lost databases, in random
histories, for 30 minutes or as long as told. Half of the time the instances share a process, which is
faster; the other half they are processes of the built API, on a PostgreSQL that really restarts and
crashes. Ends at the first history that goes wrong, with its shortest form and the seed that plays it
again.

  --only   processes, or one-process: all of the time for one of them
  --times  so many times in a row: the heartbeat, and the histories of one CI run with seeds of their own
`;

const API = join(import.meta.dirname, '..', 'apps', 'api');

const deployments = { 'one-process': 'histories', processes: 'histories-of-processes' } as const;
const isDeployment = (name: string): name is keyof typeof deployments =>
  Object.hasOwn(deployments, name);

function numberOf(text: string | undefined, isValid: (number: number) => boolean): number | null {
  const number = Number(text);
  return text !== undefined && isValid(number) ? number : null;
}

/** Whether the specs pass. */
function runSpecs(specs: readonly string[], settings: Record<string, string>): Promise<boolean> {
  const paths = specs.map((spec) => join(API, 'test', 'e2e', `${spec}.e2e-spec.ts`));
  const child = spawn(
    process.execPath,
    ['--run', 'test:jest', '--', '--runInBand', '--runTestsByPath', ...paths],
    { env: { ...process.env, ...settings }, stdio: 'inherit' },
  );
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => resolve(code === 0));
  });
}

async function repeat(times: number): Promise<boolean> {
  for (let time = 1; time <= times; time += 1) {
    console.log(`Time ${time} of ${times}`);
    if (!(await runSpecs(['heartbeat', ...Object.values(deployments)], {}))) return false;
  }
  return true;
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    // pnpm passes the `--` on that separates its own options.
    args: process.argv.slice(2).filter((argument) => argument !== '--'),
    options: {
      minutes: { type: 'string', default: '30' },
      only: { type: 'string' },
      seed: { type: 'string' },
      times: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const minutes = numberOf(values.minutes, (number) => number > 0);
  const seed = numberOf(values.seed, Number.isInteger);
  const times = numberOf(values.times, (number) => Number.isInteger(number) && number > 0);
  const { only } = values;
  const isWrong =
    minutes === null ||
    (values.seed !== undefined && seed === null) ||
    (values.times !== undefined && times === null) ||
    (only !== undefined && !isDeployment(only));
  if (values.help || isWrong) {
    console.log(HELP);
    return values.help ?? false;
  }
  if (times !== null) return repeat(times);
  const specs = only === undefined ? Object.values(deployments) : [deployments[only]];
  return runSpecs(specs, {
    RIND_HISTORIES_MINUTES: String(minutes / specs.length),
    ...(seed !== null && { RIND_HISTORIES_SEED: String(seed) }),
  });
}

process.exitCode = (await main()) ? 0 : 1;
