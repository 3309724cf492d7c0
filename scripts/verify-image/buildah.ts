import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';

import { ExpectedError } from '../expected-error.ts';

const run = promisify(execFile);
const MAX_OUTPUT_BYTES = 64 << 20;

/** How an image says that it is to be run. */
export interface ImageConfig {
  Cmd: string[];
  Env: string[];
  Labels: Record<string, string>;
  User: string;
  WorkingDir: string;
  Healthcheck?: { Test: string[] };
}

/** Runs a program to its end; answers what it printed. */
export async function output(program: string, ...args: string[]): Promise<string> {
  return outputWith({}, program, args);
}

async function outputWith(
  environment: NodeJS.ProcessEnv,
  program: string,
  args: string[],
): Promise<string> {
  const env = { ...process.env, ...environment };
  try {
    const { stdout } = await run(program, args, { env, maxBuffer: MAX_OUTPUT_BYTES });
    return stdout.trim();
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    const reason = stderr.trim().split('\n').slice(-20).join('\n') || message;
    throw new ExpectedError(`${program} ${args.join(' ')} failed:\n${reason}`, { cause: error });
  }
}

/** Buildah with a storage of its own, which needs no engine and leaves nothing elsewhere. */
export class Buildah {
  readonly #storage: readonly string[];
  /** Where it keeps what cache mounts hold. */
  readonly #temporary: string;

  constructor(directory: string) {
    const places = ['--root', `${directory}/storage`, '--runroot', `${directory}/run`];
    this.#storage = [...places, '--storage-driver', 'vfs'];
    this.#temporary = `${directory}/tmp`;
  }

  /** An image of one layer. */
  async commit(rootFiles: string, image: string, environment: readonly string[]): Promise<void> {
    const container = await this.run('from', 'scratch');
    await this.run('add', '--quiet', container, rootFiles, '/');
    const variables = environment.flatMap((variable) => ['--env', variable]);
    if (variables.length > 0) await this.run('config', ...variables, container);
    await this.run('commit', '--quiet', '--rm', container, image);
  }

  async build(directory: string, image: string, args: Record<string, string>): Promise<void> {
    const values = Object.entries(args).map(([name, value]) => `--build-arg=${name}=${value}`);
    // Docker's format, since the other one knows no HEALTHCHECK.
    const options = ['--pull-never', '--isolation=chroot', '--format=docker', ...values];
    await this.run('build', ...options, '--tag', image, directory);
  }

  async config(image: string): Promise<ImageConfig> {
    const description = await this.run('inspect', '--type', 'image', image);
    return (JSON.parse(description) as { Docker: { config: ImageConfig } }).Docker.config;
  }

  /** A folder with the files of an image. */
  async mount(image: string): Promise<string> {
    return this.run('mount', await this.run('from', '--pull-never', image));
  }

  async run(...args: string[]): Promise<string> {
    await mkdir(this.#temporary, { recursive: true });
    return outputWith({ TMPDIR: this.#temporary }, 'buildah', [...this.#storage, ...args]);
  }
}
