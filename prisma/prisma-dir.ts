import path from 'node:path';

/** The folder of schema and migrations: this one, or the one above when this file is compiled. */
export const prismaDir =
  path.basename(import.meta.dirname) === 'dist'
    ? path.dirname(import.meta.dirname)
    : import.meta.dirname;
