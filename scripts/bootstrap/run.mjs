import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';

import { installPackages } from './install.mjs';
import { root } from './root.mjs';

const SCRIPTS_NEED_NODE = 24;
const PARENT_CHECK_MS = 300;

/** Installs what is missing, then runs `scripts/<name>.ts` under a Node that runs TypeScript. */
export async function run([name = '', ...args]) {
  const script = join(root, 'scripts', `${name}.ts`);
  const problem = findProblem(name, script) ?? installPackages();
  if (problem) return fail(problem);
  const node = findNode();
  if (!node) {
    return fail(
      `Rind runs on Node.js ${SCRIPTS_NEED_NODE}, which it brings for Linux and macOS on x64 and arm64: on this ` +
        `system (${process.platform}, ${process.arch}) install it yourself; this is ${process.version}.`,
    );
  }
  superviseScript(node, script, args);
}

function findProblem(name, script) {
  if (process.platform === 'win32') return 'Rind does not run on Windows itself: use WSL.';
  if (!/^[a-z-]+$/.test(name) || !existsSync(script)) return `There is no script "${name}".`;
  return undefined;
}

function fail(problem) {
  console.error(problem);
  process.exitCode = 1;
}

/** The Node among the packages, unless it does not run here (another C library); then this one, if new enough. */
function findNode() {
  const own = join(root, 'node_modules', '.bin', 'node');
  if (spawnSync(own, ['--version'], { stdio: 'ignore' }).status === 0) return own;
  return parseInt(process.versions.node, 10) >= SCRIPTS_NEED_NODE ? process.execPath : undefined;
}

function superviseScript(node, script, args) {
  const child = spawn(node, [script, ...args], {
    cwd: root,
    // The script takes the end of this channel as the end of its user, and stops.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: {
      ...process.env,
      PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
    },
  });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  stopWithPackageManager(child);
  child.on('error', (error) => fail(`${node} does not start: ${error.message}`));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

/** A killed npm tells its children nothing: without this, the script would live on and hold port and data. */
function stopWithPackageManager(child) {
  if (!process.env.npm_lifecycle_event) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    child.kill('SIGTERM');
  }, PARENT_CHECK_MS);
}
