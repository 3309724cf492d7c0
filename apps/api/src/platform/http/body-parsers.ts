import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { DomainError } from '../errors/domain.error.js';

interface Exceptions {
  /** By media type, the routes that take forms. */
  readonly formRoutes: Readonly<Record<string, readonly string[]>>;
  /** The route at which keys that would change a prototype are left out, not refused. */
  readonly unsafeKeysIgnoredAt: string;
}

/** JSON is the only content that routes take, but for a few; anything else is 415. */
export function parseBodies(
  app: NestFastifyApplication,
  { formRoutes, unsafeKeysIgnoredAt }: Exceptions,
): void {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.removeContentTypeParser('text/plain');
  readJson(fastify, unsafeKeysIgnoredAt);
  readForms(fastify, formRoutes);
}

/**
 * Keys by which a prototype would be changed (`__proto__`, `constructor.prototype`) are refused, not left
 * out in silence: an app would miss what it has stored.
 */
function readJson(fastify: FastifyInstance, lenientRoute: string): void {
  const strict = fastify.getDefaultJsonParser('error', 'error');
  const lenient = fastify.getDefaultJsonParser('remove', 'remove');
  fastify.removeContentTypeParser('application/json');
  fastify.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      request.receivedBytes ??= body.length;
      // Some clients declare JSON on requests that have no body, such as a logout.
      if (body.length === 0) return undefined;
      const text = body.toString();
      const parse = request.routeOptions.url === lenientRoute ? lenient : strict;
      return new Promise<unknown>((resolve, reject) => {
        void parse(request, text, (error, json) => (error ? reject(error) : resolve(json)));
      });
    },
  );
}

/** Any other route would take forms from foreign pages, without a preflight. */
function readForms(fastify: FastifyInstance, formRoutes: Exceptions['formRoutes']): void {
  for (const [type, routes] of Object.entries(formRoutes)) {
    fastify.addContentTypeParser(
      type,
      { parseAs: 'string' },
      async (request: FastifyRequest, body: string) => {
        request.receivedBytes = Buffer.byteLength(body);
        const isExpected = routes.some((route) => route === request.routeOptions.url);
        if (!isExpected) throw new DomainError('unsupported_media_type');
        return body;
      },
    );
  }
}
