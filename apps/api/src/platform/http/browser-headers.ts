import helmet from '@fastify/helmet';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Config } from '../config/config.js';

/** What browsers are told: which pages may ask, and what they may do with an answer. */
export async function addBrowserHeaders(
  app: NestFastifyApplication,
  { http }: Config,
): Promise<void> {
  app.enableCors({
    origin: http.corsOrigins.includes('*') ? true : [...http.corsOrigins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: ['x-request-id', 'ratelimit', 'ratelimit-policy', 'retry-after'],
    maxAge: 600,
    // A bare OPTIONS is a request like any other, not a malformed preflight.
    strictPreflight: false,
  });
  await app.register(helmet, {
    frameguard: { action: 'deny' },
    contentSecurityPolicy: {
      directives: {
        'frame-ancestors': ["'none'"],
        // The reference page must load over plain HTTP on a developer's machine, too.
        'upgrade-insecure-requests': null,
      },
    },
  });
}
