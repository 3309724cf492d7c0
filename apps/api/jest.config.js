// Run with `pnpm test:jest [pattern]`: Jest needs Node's flag for ES modules, which that script sets.

/** What tsconfig.base.json tells the compiler, so that the tests run what production runs. */
const compiler = (tsx) => [
  '@swc/jest',
  {
    jsc: {
      target: 'es2024',
      parser: { syntax: 'typescript', decorators: true, tsx },
      transform: {
        legacyDecorator: true,
        decoratorMetadata: true,
        useDefineForClassFields: true,
        verbatimModuleSyntax: true,
        react: { runtime: 'automatic' },
      },
      keepClassNames: true,
    },
    swcrc: false,
  },
];

/** @type {import('jest').Config} */
const shared = {
  roots: ['<rootDir>', '<rootDir>/../../packages'],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts', '.tsx'],
  transform: {
    // Jest has Node load the global setup, outside of its own module system: Node strips the types, and
    // the setup and what it imports name each other with `.ts`.
    '(?<!/global-(setup|teardown))\\.ts$': compiler(false),
    '\\.tsx$': compiler(true),
  },
  moduleNameMapper: {
    // The sources, so that tests need no build; but for mails, whose thread is started outside of Jest.
    '^@rind/(contracts|sdk)$': '<rootDir>/../../packages/$1/src/index.ts',
    '^@rind/database/(.*)$': '<rootDir>/../../prisma/$1.ts',
    '^@rind/sdk/watermelon$': '<rootDir>/../../packages/sdk/src/watermelon/index.ts',
    // Sources name each other by the file that the compiler will write. Packages keep their own .js files.
    '^(\\.{1,2}/.*)\\.js$': ['$1.js', '$1.ts', '$1.tsx'],
  },
};

/** @type {import('jest').Config} */
export default {
  maxWorkers: 2,
  testSequencer: '<rootDir>/test/support/longest-first.js',
  // Modules of earlier files stay in memory, until collecting garbage takes more time than tests do.
  workerIdleMemoryLimit: '1GB',
  // Here: in a project Jest ignores it.
  testTimeout: 60_000,
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['**/*.spec.ts'],
      testPathIgnorePatterns: ['/node_modules/', '\\.pg\\.spec\\.ts$'],
    },
    {
      // Jest runs the global setup of a project only when it runs a test of it: no database for unit tests alone.
      ...shared,
      displayName: 'database',
      testMatch: ['**/*.pg.spec.ts', '<rootDir>/test/e2e/**/*.e2e-spec.ts'],
      globalSetup: '<rootDir>/test/support/global-setup.ts',
      globalTeardown: '<rootDir>/test/support/global-teardown.ts',
    },
  ],
};
