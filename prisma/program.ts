import { constants } from 'node:os';
import { MigrateError, UsageError, describeError } from './migrate/errors.ts';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Program {
  help: string;
  /** What is said when somebody asks the process to end before it has: what became of the work. */
  interrupted: string;
  /** Returns the exit code, by default 0. */
  run(): Promise<number | void>;
}

class InterruptedError extends MigrateError {
  readonly exitCode: number;

  constructor(message: string, signal: NodeJS.Signals) {
    super(message);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/** Runs a program of the command line, and sets the exit code: 1 for what fails, 2 for what makes no sense. */
export async function runProgram(args: string[], { help, ...program }: Program): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(help);
    return;
  }
  try {
    process.exitCode = (await unlessInterrupted(program)) ?? 0;
  } catch (error) {
    console.error(describeError(error));
    // What was interrupted goes on, and ends with the process: PostgreSQL rolls back what was begun.
    if (error instanceof InterruptedError) process.exit(error.exitCode);
    process.exitCode = isMisuse(error) ? 2 : 1;
  }
}

/** In a container nothing ends the first process that does not listen for it. */
async function unlessInterrupted({
  run,
  interrupted,
}: Omit<Program, 'help'>): Promise<number | void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (signal: NodeJS.Signals): void => reject(new InterruptedError(interrupted, signal));
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  try {
    return await Promise.race([run(), promise]);
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  }
}

function isMisuse(error: unknown): boolean {
  if (error instanceof UsageError) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('ERR_PARSE_ARGS_');
}
