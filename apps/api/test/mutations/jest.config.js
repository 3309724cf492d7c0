import path from 'node:path';
import original from '../../jest.config.js';

const rootDir = path.join(import.meta.dirname, '..', '..');
const transformer = path.join(import.meta.dirname, 'transform.ts');

const mutating = ({ transform, ...project }) => ({
  ...project,
  rootDir,
  transform: Object.fromEntries(
    Object.entries(transform).map(([files, [, options]]) => [files, [transformer, options]]),
  ),
});

/**
 * That of all tests, on the sources as RIND_MUTATION changes them.
 *
 * @type {import('jest').Config}
 */
export default {
  ...original,
  rootDir,
  // One specification at a time, some of which hang on a mutation: they are not waited for that long.
  testTimeout: 20_000,
  projects: original.projects.map(mutating),
};
