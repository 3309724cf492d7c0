import { parseArgs } from 'node:util';
import { type SuiteName, suiteNames } from './suite.ts';

export const HELP = `Usage: pnpm bench <sync|http|auth|realtime> [options]

  sync   sync against the bare limit of its SQL and against the naive backend, all in one run
  http   an authenticated request against an open one
  auth   sign-in and refresh against bare hashing, and what a flood of sign-ins does to others
  realtime
         how soon a push wakes another device, against bare Socket.IO

  --only <pattern>       only cases whose id matches the regular expression, such as 'push|pull-0'
  --rounds <number>      rounds in which every contestant takes a turn
  --smoke                everything in seconds: fails on wrong answers, never on figures
  --database-url <url>   a server on which a database may be created and dropped; by default an
                         embedded one in a temporary folder
  --json <file>          writes all figures
  --markdown <file>      writes the report; in a file that has the markers of what is measured,
                         such as <!-- results http --> and <!-- /results http -->, between them
  --help
`;

export interface Options {
  readonly suite: SuiteName;
  readonly only: RegExp | undefined;
  readonly rounds: number | undefined;
  readonly isSmoke: boolean;
  readonly databaseUrl: string | undefined;
  readonly json: string | undefined;
  readonly markdown: string | undefined;
  readonly help: boolean;
}

/** @throws Error with a sentence for who typed them */
export function parseOptions(args: readonly string[]): Options | null {
  const { values, positionals } = parseArgs({
    // pnpm passes the `--` on that separates its own options.
    args: args.filter((argument) => argument !== '--'),
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      smoke: { type: 'boolean', default: false },
      'database-url': { type: 'string' },
      json: { type: 'string' },
      markdown: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  const suite = suiteNames.find((name) => name === positionals[0]) ?? 'sync';
  const isValid =
    positionals.length === 1 &&
    positionals[0] === suite &&
    (rounds === undefined || (Number.isInteger(rounds) && rounds > 0));
  if (!isValid && !values.help) {
    console.error(HELP);
    return null;
  }
  return {
    suite,
    only: values.only === undefined ? undefined : new RegExp(values.only),
    rounds,
    isSmoke: values.smoke,
    databaseUrl: values['database-url'],
    json: values.json,
    markdown: values.markdown,
    help: values.help,
  };
}
