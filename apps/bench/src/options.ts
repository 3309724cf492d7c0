import { parseArgs } from 'node:util';

export const HELP = `Usage: pnpm bench sync [options]

Compares sync with the bare limit of its SQL and with the naive backend, all in one run.

  --only <pattern>       only cases whose id matches the regular expression, such as 'push|pull-0'
  --rounds <number>      rounds in which every contestant takes a turn
  --smoke                everything in seconds: fails on wrong answers, never on figures
  --database-url <url>   a server on which a database may be created and dropped; by default an
                         embedded one in a temporary folder
  --json <file>          writes all figures
  --markdown <file>      writes the report; in a file that has the markers, between
                         <!-- results --> and <!-- /results -->
  --help
`;

export interface Options {
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
  const isValid =
    positionals.length === 1 &&
    positionals[0] === 'sync' &&
    (rounds === undefined || (Number.isInteger(rounds) && rounds > 0));
  if (!isValid && !values.help) {
    console.error(HELP);
    return null;
  }
  return {
    only: values.only === undefined ? undefined : new RegExp(values.only),
    rounds,
    isSmoke: values.smoke,
    databaseUrl: values['database-url'],
    json: values.json,
    markdown: values.markdown,
    help: values.help,
  };
}
