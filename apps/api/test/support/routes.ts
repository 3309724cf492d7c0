import type { NestFastifyApplication } from '@nestjs/platform-fastify';

export interface Route {
  readonly method: string;
  /** As in OpenAPI: `/api/v1/things/{id}`. */
  readonly path: string;
}

/** A line of Fastify's tree: the indentation, a part of the path, its methods if something is there. */
const TREE_LINE = /^((?:│ {3}| {4})*)[├└]── (\S+)(?: \(([A-Z, ]+)\))?$/;

/** The routes that the running server has, as its router knows them; HEAD comes with every GET. */
export function listRoutes(app: NestFastifyApplication): Route[] {
  const parts: string[] = [];
  const tree = app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false });
  return tree
    .split('\n')
    .filter((line) => line.trim() !== '')
    .flatMap((line) => {
      const [, indentation, part, methods] = TREE_LINE.exec(line) ?? [];
      if (indentation === undefined || part === undefined) {
        throw new Error(`Not a line of Fastify's tree of routes: ${JSON.stringify(line)}`);
      }
      parts.splice(indentation.length / 4, Infinity, part);
      const path = parts.join('').replaceAll(/:(\w+)/g, '{$1}');
      return (methods?.split(', ') ?? [])
        .filter((method) => method !== 'HEAD')
        .map((method) => ({ method, path }));
    });
}
