import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { errorCodes, type ErrorCode, Problem, syncTables } from '@rind/contracts';
import { z } from 'zod';
import { AppModule } from './app.module.js';
import { ACCESS_COOKIE } from './auth/cookies/token-cookies.js';
import { type Config, loadConfig } from './platform/config/config.js';
import { PROBLEM_CODES } from './platform/http/api-route.decorator.js';
import { GLOBAL_PREFIX } from './platform/http/global-prefix.js';
import { IS_PUBLIC } from './platform/http/public.decorator.js';
import { ROLES } from './platform/http/roles.decorator.js';
import { version } from './platform/version.js';

const BEARER_SCHEME = 'accessToken';
const COOKIE_SCHEME = 'accessCookie';

const codesOfEveryRoute: readonly ErrorCode[] = ['internal_error', 'service_unavailable'];
const codesOfRoutesWithBody: readonly ErrorCode[] = [
  'malformed_request',
  'payload_too_large',
  'unsupported_media_type',
];
const codesOfSignedInRoutes: readonly ErrorCode[] = [
  'unauthenticated',
  'access_token_expired',
  'session_ended',
];

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']> & {
  [IS_PUBLIC]?: boolean;
  [ROLES]?: readonly string[];
  [PROBLEM_CODES]?: readonly ErrorCode[];
};

/** Serves the document, and a page to browse it where that is enabled. */
export function serveDocument(app: NestFastifyApplication, { docsEnabled }: Config): void {
  SwaggerModule.setup('docs', app, () => describe(app), {
    ui: docsEnabled,
    raw: ['json'],
    jsonDocumentUrl: `${GLOBAL_PREFIX}/openapi.json`,
    customSiteTitle: 'Rind API',
  });
}

/** The OpenAPI 3.1 document, without starting anything: no database is needed. */
export async function createOpenApiDocument(): Promise<OpenAPIObject> {
  const config = loadConfig({ DATABASE_URL: 'postgres://unused' });
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.register(config, syncTables),
    new FastifyAdapter(),
    { preview: true, logger: false, abortOnError: false },
  );
  app.setGlobalPrefix(GLOBAL_PREFIX);
  return describe(app);
}

function describe(app: NestFastifyApplication): OpenAPIObject {
  const builder = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Rind API')
    .setDescription('Backend for offline-first apps: sign-in, users and WatermelonDB sync.')
    .setVersion(version)
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }, BEARER_SCHEME)
    .addCookieAuth(
      ACCESS_COOKIE,
      { type: 'apiKey', in: 'cookie', description: 'For browsers, see `X-Token-Transport`' },
      COOKIE_SCHEME,
    );
  const document = SwaggerModule.createDocument(app, builder.build());
  for (const path of Object.values(document.paths)) {
    for (const method of ['get', 'post', 'put', 'patch', 'delete'] as const) {
      const operation = path[method];
      if (operation) completeOperation(operation, { isSafe: method === 'get' });
    }
  }
  document.components = {
    ...document.components,
    schemas: { ...document.components?.schemas, ...problemSchemas() },
  };
  // A later version may answer more than this one: clients must not refuse what they do not know.
  allowMoreProperties(document);
  return document;
}

/** Declares authentication, and a response for each status among the operation's problem codes. */
function completeOperation(operation: Operation, { isSafe }: { isSafe: boolean }): void {
  const isPublic = operation[IS_PUBLIC] === true;
  delete operation[IS_PUBLIC];
  const roles = operation[ROLES] ?? [];
  delete operation[ROLES];
  // OpenAPI 3.1 has this place for the roles that a scheme without scopes needs.
  operation.security = isPublic
    ? []
    : [{ [BEARER_SCHEME]: [...roles] }, { [COOKIE_SCHEME]: [...roles] }];
  const isLimited = !operation.tags?.includes('health');
  const codes = [
    ...(operation[PROBLEM_CODES] ?? []),
    ...(isPublic ? [] : codesOfSignedInRoutes),
    ...(roles.length > 0 ? (['forbidden'] as const) : []),
    ...(operation.requestBody ? codesOfRoutesWithBody : []),
    ...(isSafe ? [] : (['cross_origin_refused'] as const)),
    ...(isLimited ? (['rate_limited'] as const) : []),
    ...codesOfEveryRoute,
  ];
  operation[PROBLEM_CODES] = codes;
  for (const [status, group] of Object.entries(
    Object.groupBy(codes, (code) => errorCodes[code].status),
  )) {
    // Ready answers 503 with its own document.
    operation.responses[status] ??= {
      description: (group ?? [])
        .map((code) => `\`${code}\`: ${errorCodes[code].title}`)
        .join('\n\n'),
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    };
  }
}

/** Zod writes references to its own `$defs`; in the document they lead to the components. */
function problemSchemas(): Record<string, object> {
  const { $defs } = z.toJSONSchema(Problem);
  return JSON.parse(
    JSON.stringify($defs).replaceAll('#/$defs/', '#/components/schemas/'),
  ) as Record<string, object>;
}

function allowMoreProperties(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  if ('additionalProperties' in node && node.additionalProperties === false) {
    delete node.additionalProperties;
  }
  for (const child of Object.values(node)) allowMoreProperties(child);
}
