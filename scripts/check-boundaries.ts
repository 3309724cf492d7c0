// Checks the dependency rules on the tree, then proves that each of them can fail: a copy of the sources gets one
// violation of every rule, and each must be caught by that rule and by no other.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

interface Violation {
  from: string;
  to: string;
  rule: { name: string };
  comment?: string;
}

interface CruiseResult {
  modules: unknown[];
  summary: {
    violations: Violation[];
    ruleSetUsed: { forbidden: { name: string }[] };
  };
}

/** Files to write into the copy, by path. The rule must be broken by the first file. */
type Plant = Record<string, string>;

const root = path.join(import.meta.dirname, '..');
const configName = '.dependency-cruiser.mjs';
const sourceFolders = ['apps', 'packages', 'scripts', 'prisma'];
const copiedFiles = [configName, 'package.json', 'pnpm-workspace.yaml', 'tsconfig.base.json'];
const uncopied = new Set(['node_modules', '.data', 'coverage']);

const exportClass = (name: string): string => `export class ${name} {}\n`;
const injectable = (dependency: string, from: string): string => `
import { Injectable } from '@nestjs/common';
import { ${dependency} } from '${from}';
@Injectable()
export class Planted {
  constructor(private readonly dependency: ${dependency}) {}
}
`;

const src = 'apps/api/src';
const plants: Record<string, Plant> = {
  'no-cycles': {
    [`${src}/planted-cycle/one.ts`]: `import { Two } from './two.js';\nexport class One { two = new Two(); }\n`,
    [`${src}/planted-cycle/two.ts`]: `import type { One } from './one.js';\nexport class Two { one?: One; }\n`,
  },
  'no-unresolved-imports': {
    [`${src}/planted-unresolved/planted.service.ts`]: injectable('Absent', './absent.js'),
  },
  'controllers-call-services': {
    [`${src}/planted-controller/planted.controller.ts`]: injectable(
      'PlantedRepository',
      './planted.repository.js',
    ),
    [`${src}/planted-controller/planted.repository.ts`]: exportClass('PlantedRepository'),
  },
  'prisma-stays-in-repositories': {
    [`${src}/planted-prisma/planted.service.ts`]: `import type { Prisma } from '../platform/database/generated/client.js';\nexport type Where = Prisma.UserWhereInput;\n`,
  },
  'services-know-no-http': {
    [`${src}/planted-http/planted.service.ts`]: `import type { FastifyRequest } from 'fastify';\nexport const read = (request: FastifyRequest): string => request.url;\n`,
  },
  'repositories-only-store': {
    [`${src}/planted-store/planted.repository.ts`]: injectable(
      'PlantedMailer',
      '../platform/mail/planted-mailer.js',
    ),
    [`${src}/platform/mail/planted-mailer.ts`]: exportClass('PlantedMailer'),
  },
  'modules-meet-through-services': {
    [`${src}/planted-visitor/planted.service.ts`]: injectable(
      'ForeignRepository',
      '../planted-owner/foreign.repository.js',
    ),
    [`${src}/planted-owner/foreign.repository.ts`]: exportClass('ForeignRepository'),
  },
  'no-barrel-files': {
    [`${src}/planted-barrel/index.ts`]: `export { Planted } from './planted.service.js';\nexport type { Planted as Type } from './planted.service.js';\n`,
    [`${src}/planted-barrel/planted.service.ts`]: exportClass('Planted'),
  },
  'platform-knows-no-module': {
    [`${src}/platform/planted/planted.ts`]: injectable(
      'DomainService',
      '../../planted-domain/domain.service.js',
    ),
    [`${src}/planted-domain/domain.service.ts`]: exportClass('DomainService'),
  },
  'contracts-import-only-zod': {
    'packages/contracts/src/planted.ts': `import { readFile } from 'node:fs/promises';\nexport const read = readFile;\n`,
  },
  'packages-know-no-app': {
    'packages/sdk/src/planted.ts': `export { Planted } from '../../../apps/api/src/planted-app/planted.js';\n`,
    [`${src}/planted-app/planted.ts`]: exportClass('Planted'),
  },
  'nothing-imports-tests': {
    'scripts/planted.ts': `import { planted } from '../apps/api/test/support/planted.ts';\nplanted();\n`,
    'apps/api/test/support/planted.ts': `export const planted = (): void => {};\n`,
  },
  'production-embeds-no-database': {
    [`${src}/planted-embedded/planted.ts`]: `export const start = async () => await import('../../../../scripts/planted-embedded-postgres.js');\n`,
    'scripts/planted-embedded-postgres.ts': `export const planted = 1;\n`,
  },
};

async function cruise(cwd: string): Promise<CruiseResult> {
  const cli = path.join(root, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
  const args = [cli, '--config', configName, '--output-type', 'json', ...sourceFolders];
  const stdout = await new Promise<string>((resolve, reject) => {
    // Violations give a non-zero exit with the report on stdout: only a run without a report is a failure.
    execFile(process.execPath, args, { cwd, maxBuffer: 256 << 20 }, (error, output, stderr) => {
      if (output.startsWith('{')) resolve(output);
      else reject(new Error(`dependency-cruiser failed: ${stderr}`, { cause: error }));
    });
  });
  return JSON.parse(stdout) as CruiseResult;
}

/** Dependencies are linked, not copied: the rules must see where an import of a package leads. */
async function copySources(target: string): Promise<void> {
  for (const name of [...sourceFolders, ...copiedFiles]) {
    await cp(path.join(root, name), path.join(target, name), {
      recursive: true,
      filter: (source) => !uncopied.has(path.basename(source)),
    });
  }
  const workspaces = await Promise.all(
    ['apps', 'packages'].map(async (folder) =>
      (await readdir(path.join(root, folder))).map((name) => path.join(folder, name)),
    ),
  );
  for (const workspace of ['.', 'prisma', ...workspaces.flat()]) {
    await symlink(
      path.join(root, workspace, 'node_modules'),
      path.join(target, workspace, 'node_modules'),
    );
  }
}

async function plantAll(target: string): Promise<void> {
  for (const plant of Object.values(plants)) {
    for (const [file, text] of Object.entries(plant)) {
      const absolute = path.join(target, file);
      await mkdir(path.dirname(absolute), { recursive: true });
      await writeFile(absolute, text, { flag: 'wx' });
    }
  }
}

function describeMisses(result: CruiseResult): string[] {
  const ruleOf = new Map(
    Object.entries(plants).flatMap(([rule, plant]) =>
      Object.keys(plant).map((file): [string, string] => [file, rule]),
    ),
  );
  const { violations, ruleSetUsed } = result.summary;
  const caught = new Set(
    violations
      .filter(({ from, rule }) => ruleOf.get(from) === rule.name)
      .map(({ rule }) => rule.name),
  );
  return [
    ...ruleSetUsed.forbidden
      .filter(({ name }) => !caught.has(name))
      .map(({ name }) => `${name}: no planted violation of it was caught`),
    ...violations
      .filter(({ from, rule }) => ruleOf.get(from) !== rule.name)
      .map(
        ({ from, to, rule }) => `${rule.name}: caught ${from} → ${to}, which is no violation of it`,
      ),
  ];
}

async function findMisses(): Promise<string[]> {
  const target = await mkdtemp(path.join(tmpdir(), 'rind-boundaries-'));
  try {
    await copySources(target);
    await plantAll(target);
    return describeMisses(await cruise(target));
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}

function report(title: string, lines: string[]): void {
  console.error(`${title}\n${lines.map((line) => `  ${line}`).join('\n')}`);
  process.exitCode = 1;
}

const tree = await cruise(root);
const violations = tree.summary.violations.map(
  ({ from, to, rule, comment }) =>
    `${rule.name}: ${from} → ${to}${comment ? `\n    ${comment}` : ''}`,
);
if (violations.length > 0) {
  report('Imports that cross a boundary:', violations);
} else {
  const misses = await findMisses();
  if (misses.length > 0) report('Rules that do not work as they should:', misses);
  else
    console.log(
      `${tree.modules.length} modules, ${Object.keys(plants).length} rules, each seen to catch its planted violation`,
    );
}
