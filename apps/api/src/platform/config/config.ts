import { createPrivateKey } from 'node:crypto';
import path from 'node:path';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { findMisspelt } from './misspelt.js';

const DEVELOPMENT_JWT_SECRET = 'development-only-secret-change-me-now';
const DEVELOPMENT_ENCRYPTION_KEY = 'development-only-encryption-key-change-me';
const MIN_SECRET_LENGTH = 32;
const DEVELOPMENT_FRONTEND_URL = 'http://localhost:8081';

/** A number of seconds written as `900`, `900s`, `15m`, `12h` or `30d`. */
const Duration = z.string().transform((text, context): number => {
  const [, amount, unit] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  if (amount === undefined) {
    context.addIssue({
      code: 'custom',
      message: 'expected a duration such as 900s, 15m, 12h or 30d',
    });
    return z.NEVER;
  }
  return Number(amount) * { s: 1, m: 60, h: 3600, d: 86_400 }[unit || 's']!;
});

/** Pages of the app stand below it. */
const BaseUrl = z
  .url({ protocol: /^https?$/, error: 'expected a URL such as https://app.example.com' })
  .transform((url) => url.replace(/\/+$/, ''));

const Flag = z.enum(['true', 'false']).transform((value) => value === 'true');

const List = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

const Origins = List.pipe(
  z.array(
    z.string().refine((origin) => origin === '*' || isOrigin(origin), {
      error: (issue) =>
        `${JSON.stringify(issue.input)} is not an origin such as https://app.example.com`,
    }),
  ),
);

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

/**
 * An address that secrets are sent to, so only over TLS; plain HTTP where they do not leave the
 * machine.
 */
const ServerUrl = z
  .url({ protocol: /^https?$/ })
  .refine((url) => new URL(url).protocol === 'https:' || isLoopback(url), {
    error: 'must be https, or http on localhost',
  });

/** What stands behind `From:`, an address with or without a name; one line, so that it adds no header. */
const Sender = z.string().regex(/^(?:[^<>\p{Cc}]+ <[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)$/u, {
  error: 'expected an address such as Rind <mail@example.com>',
});

/** A P-256 key in PEM; `\\n` stands for the end of a line, where a variable holds only one. */
const SigningKeyPem = z.string().transform((text, context): string => {
  const pem = text.replaceAll('\\n', '\n');
  try {
    if (createPrivateKey(pem).asymmetricKeyDetails?.namedCurve === 'prime256v1') return pem;
  } catch {
    // What is wrong with it may be told only in words that hold none of it.
  }
  context.addIssue({ code: 'custom', message: 'expected a private key for ES256, in PEM' });
  return z.NEVER;
});

/** It would win over the names of the API's connections, by which a restore sees that the API runs. */
function withoutApplicationName(text: string): string {
  const url = new URL(text);
  if (!url.searchParams.has('application_name')) return text;
  url.searchParams.delete('application_name');
  return url.href;
}

const Urls = List.pipe(z.array(z.url({ error: 'must be a list of addresses' })));

const isHttps = (url: string | undefined): boolean => url?.startsWith('https:') === true;

function isLoopback(url: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname);
}

/**
 * A hop count or a list of CIDRs. Never `true`: that would believe any address a caller writes
 * into `X-Forwarded-For`.
 */
const TrustProxy = z.string().transform((text, context): number | string[] => {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  const ranges = text.split(',').map((range) => range.trim());
  if (ranges.every(isAddressRange)) return ranges;
  context.addIssue({
    code: 'custom',
    message:
      'expected a number of proxies such as 1, or a list of CIDRs such as 10.0.0.0/8,::1/128',
  });
  return z.NEVER;
});

/** An address, or a CIDR that does not contain all of them: that would be `true` in other words. */
function isAddressRange(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  // ipaddr.js also takes `1` and `10.1` for addresses, as C libraries do.
  const isAddress = ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address);
  return isAddress && rest.length === 0 && (bits === undefined || isPrefixLength(text, bits));
}

function isPrefixLength(cidr: string, bits: string): boolean {
  return ipaddr.isValidCIDR(cidr) && Number(bits) > 0;
}

/** Of characters that may stand in an `Authorization` header (RFC 6750, 2.1). */
const BearerToken = z
  .string()
  .regex(/^[\w.~+/-]{16,}=*$/, 'expected at least 16 characters of A-Z a-z 0-9 - . _ ~ + /');

const PerMinute = z.coerce.number().int().min(0).max(1_000_000);
const Days = z.coerce.number().int().min(1).max(3650);
const Secret = z.string().min(1);

const Environment = z.object({
  NODE_ENV: z.enum(['development', 'test', 'production']).default('development'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  WORKER: z.enum(['inline', 'only', 'off']).default('inline'),
  MIGRATE: z.enum(['on', 'off']).default('on'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).optional(),
  IMAGE_COMMIT: z.string().optional(),
  DATABASE_URL: z
    .url({
      protocol: /^postgres(ql)?$/,
      error: 'expected postgres://user:password@host/database',
    })
    .transform(withoutApplicationName),
  DATABASE_DIRECT_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .transform(withoutApplicationName)
    .optional(),
  DATABASE_POOL_SIZE: z.coerce.number().int().min(2).max(500).default(10),
  // Less than the idle time-out, which would close the connection without an answer.
  DATABASE_TIMEOUT_SECONDS: z.coerce.number().int().min(1).max(150).default(30),
  DATABASE_PREPARED_STATEMENTS: z.enum(['on', 'off']).default('on'),
  SLOW_QUERY_MS: z.coerce.number().int().min(0).max(600_000).default(500),
  JWT_SECRET: Secret.default(DEVELOPMENT_JWT_SECRET),
  JWT_SECRET_PREVIOUS: List.default([]),
  ENCRYPTION_KEY: Secret.default(DEVELOPMENT_ENCRYPTION_KEY),
  ENCRYPTION_KEY_PREVIOUS: List.default([]),
  TOTP_ISSUER: z
    .string()
    .regex(/^[^:\p{Cc}]{1,50}$/u, 'expected at most 50 characters, none of them a colon')
    .default('Rind'),
  PASSWORD_HASH_MEMORY_KIB: z.coerce.number().int().min(8192).max(1_048_576).default(19_456),
  PASSWORD_HASH_TIME_COST: z.coerce.number().int().min(1).max(20).default(2),
  PASSWORD_HASH_PARALLELISM: z.coerce.number().int().min(1).max(16).default(1),
  JWT_EXPIRES_IN: Duration.pipe(z.number().min(60, 'must be at least 60 seconds')).default(900),
  REFRESH_TTL_DAYS: Days.default(30),
  REFRESH_REUSE_WINDOW_SECONDS: z.coerce.number().int().min(0).max(3600).default(30),
  SESSION_MAX_DAYS: Days.default(90),
  SESSION_LIMIT: z.coerce.number().int().min(1).max(1000).default(20),
  PUBLIC_URL: ServerUrl.optional(),
  OAUTH_RETURN_URLS: Urls.default([]),
  OAUTH_GOOGLE_ID: z.string().optional(),
  OAUTH_GOOGLE_SECRET: Secret.optional(),
  OAUTH_GOOGLE_NATIVE_IDS: List.default([]),
  OAUTH_GOOGLE_ISSUER: ServerUrl.default('https://accounts.google.com'),
  OAUTH_APPLE_ID: z.string().optional(),
  OAUTH_APPLE_TEAM_ID: z.string().optional(),
  OAUTH_APPLE_KEY_ID: z.string().optional(),
  OAUTH_APPLE_PRIVATE_KEY: SigningKeyPem.optional(),
  OAUTH_APPLE_NATIVE_IDS: List.default([]),
  OAUTH_APPLE_ISSUER: ServerUrl.default('https://appleid.apple.com'),
  OAUTH_META_ID: z.string().optional(),
  OAUTH_META_SECRET: Secret.optional(),
  OAUTH_META_AUTHORIZE_URL: ServerUrl.default('https://www.facebook.com/v24.0/dialog/oauth'),
  OAUTH_META_GRAPH_URL: ServerUrl.default('https://graph.facebook.com/v24.0'),
  REGISTRATION_ENABLED: Flag.default(true),
  EMAIL_VERIFICATION_REQUIRED: Flag.optional(),
  FRONTEND_URL: BaseUrl.default(DEVELOPMENT_FRONTEND_URL),
  RESEND_API_KEY: Secret.optional(),
  RESEND_BASE_URL: ServerUrl.default('https://api.resend.com'),
  EMAIL_FROM: Sender.optional(),
  RIND_DATA_DIR: z.string().default('.data'),
  CORS_ORIGINS: Origins.default([]),
  TRUST_PROXY: TrustProxy.optional(),
  REQUEST_TIMEOUT_SECONDS: z.coerce.number().int().min(1).max(600).default(30),
  KEEP_ALIVE_SECONDS: z.coerce.number().int().min(1).max(3600).default(150),
  CONNECTION_LIMIT: z.coerce.number().int().min(10).max(1_000_000).default(2_000),
  SHUTDOWN_GRACE_SECONDS: z.coerce.number().int().min(1).max(3600).default(8),
  SHUTDOWN_DELAY_SECONDS: z.coerce.number().int().min(0).max(3600).optional(),
  DOCS_ENABLED: Flag.optional(),
  METRICS_TOKEN: BearerToken.optional(),
  SYNC_STRICT: Flag.default(false),
  SYNC_TOMBSTONE_DAYS: Days.default(180),
  NOTIFICATIONS_RETENTION_DAYS: Days.default(90),
  AUDIT_RETENTION_DAYS: z.coerce.number().int().min(0).max(3650).default(365),
  RIND_SPOOL_DIR: z.string().optional(),
  SYNC_BODY_LIMIT_MB: z.coerce.number().int().min(1).max(256).default(25),
  SYNC_BODIES_LIMIT_MB: z.coerce.number().int().min(1).max(65_536).default(256),
  RATE_LIMIT_ANON_PER_MINUTE: PerMinute.default(100),
  RATE_LIMIT_USER_PER_MINUTE: PerMinute.default(300),
  RATE_LIMIT_SYNC_PER_MINUTE: PerMinute.default(120),
  RATE_LIMIT_AUTH_PER_MINUTE: PerMinute.default(10),
  RATE_LIMIT_HANDSHAKE_PER_MINUTE: PerMinute.default(100),
  REALTIME_CONNECTIONS_PER_USER: z.coerce.number().int().min(1).max(10_000).default(50),
  REALTIME_PACKETS_PER_SECOND: z.coerce.number().int().min(1).max(10_000).default(20),
  REALTIME_PAYLOAD_LIMIT_KB: z.coerce.number().int().min(8).max(1024).default(16),
  REALTIME_BUFFER_LIMIT_KB: z.coerce.number().int().min(16).max(65_536).default(256),
});

/** What a developer looks for stands in finer lines than what an operator keeps. */
const defaultLogLevels = { development: 'debug', test: 'warn', production: 'info' } as const;

type EnvironmentName = keyof z.infer<typeof Environment>;

/** Names of all variables that are read. */
export const environmentNames = Object.keys(Environment.shape);

interface ProductionRule {
  readonly name: EnvironmentName;
  readonly isBroken: (env: z.infer<typeof Environment>) => boolean;
  readonly message: string;
}

const hasProvider = (env: z.infer<typeof Environment>): boolean =>
  [env.OAUTH_GOOGLE_ID, env.OAUTH_APPLE_ID, env.OAUTH_META_ID].some((id) => id !== undefined);

const providerAddresses = [
  'OAUTH_GOOGLE_ISSUER',
  'OAUTH_APPLE_ISSUER',
  'OAUTH_META_AUTHORIZE_URL',
  'OAUTH_META_GRAPH_URL',
] as const;

/** What a development setup may do and a production one may not. Each has a sentence of its own. */
const productionRules: readonly ProductionRule[] = [
  {
    name: 'JWT_SECRET',
    isBroken: (env) => env.JWT_SECRET === DEVELOPMENT_JWT_SECRET,
    message: 'must be set in production: at least 32 random characters',
  },
  {
    name: 'JWT_SECRET',
    isBroken: (env) => env.JWT_SECRET.length < MIN_SECRET_LENGTH,
    message: 'must have at least 32 characters in production',
  },
  {
    // Whoever knows a previous secret can sign tokens, too.
    name: 'JWT_SECRET_PREVIOUS',
    isBroken: (env) =>
      env.JWT_SECRET_PREVIOUS.some(
        (secret) => secret === DEVELOPMENT_JWT_SECRET || secret.length < MIN_SECRET_LENGTH,
      ),
    message: 'must have at least 32 characters each in production, and not be those of development',
  },
  {
    name: 'ENCRYPTION_KEY',
    isBroken: (env) => env.ENCRYPTION_KEY === DEVELOPMENT_ENCRYPTION_KEY,
    message: 'must be set in production: at least 32 random characters',
  },
  {
    name: 'ENCRYPTION_KEY',
    isBroken: (env) => env.ENCRYPTION_KEY.length < MIN_SECRET_LENGTH,
    message: 'must have at least 32 characters in production',
  },
  {
    // Who signs tokens need not read what is encrypted, and the other way round; one may be exchanged without the other.
    name: 'ENCRYPTION_KEY',
    isBroken: (env) => {
      const jwtSecrets = [env.JWT_SECRET, ...env.JWT_SECRET_PREVIOUS];
      return [env.ENCRYPTION_KEY, ...env.ENCRYPTION_KEY_PREVIOUS].some((key) =>
        jwtSecrets.includes(key),
      );
    },
    message: 'must not be the same as JWT_SECRET, nor may previous ones',
  },
  {
    name: 'JWT_EXPIRES_IN',
    isBroken: (env) => env.JWT_EXPIRES_IN > 3600,
    message:
      'must not exceed 1h in production: an access token outlives its session by up to this time',
  },
  {
    name: 'PUBLIC_URL',
    isBroken: (env) => hasProvider(env) && !isHttps(env.PUBLIC_URL),
    message:
      'must be set to an https address in production, for providers to send browsers back to',
  },
  ...providerAddresses.map((name) => ({
    name,
    isBroken: (env: z.infer<typeof Environment>) => !isHttps(env[name]),
    message: 'must be https in production',
  })),
  {
    name: 'FRONTEND_URL',
    isBroken: (env) => env.FRONTEND_URL === DEVELOPMENT_FRONTEND_URL,
    message: 'must be set in production: the links in mails lead there',
  },
  {
    // Whoever reads along on the way would have the token of the link; nobody does on one machine.
    name: 'FRONTEND_URL',
    isBroken: (env) => !isHttps(env.FRONTEND_URL) && !isLoopback(env.FRONTEND_URL),
    message: 'must be https in production, or http on localhost: links in mails carry tokens',
  },
  {
    name: 'RESEND_API_KEY',
    isBroken: (env) => env.RESEND_API_KEY === undefined,
    message: 'must be set in production: mails are sent through Resend',
  },
  {
    name: 'EMAIL_FROM',
    isBroken: (env) => env.EMAIL_FROM === undefined,
    message: 'must be set in production: the address that mails come from',
  },
  {
    name: 'CORS_ORIGINS',
    isBroken: (env) => env.CORS_ORIGINS.includes('*'),
    message: 'must list origins in production, not *',
  },
];

/** Settings that are of no use without each other. */
const settingsTogether: ReadonlyArray<readonly EnvironmentName[]> = [
  ['OAUTH_GOOGLE_ID', 'OAUTH_GOOGLE_SECRET'],
  ['OAUTH_APPLE_ID', 'OAUTH_APPLE_TEAM_ID', 'OAUTH_APPLE_KEY_ID', 'OAUTH_APPLE_PRIVATE_KEY'],
  ['OAUTH_META_ID', 'OAUTH_META_SECRET'],
];

const Complete = Environment.superRefine(
  (env, context) => {
    for (const names of settingsTogether) {
      if (names.every((name) => env[name] === undefined)) continue;
      const missing = names.filter((name) => env[name] === undefined);
      for (const name of missing) {
        const others = names.filter((other) => other !== name).join(', ');
        context.addIssue({ code: 'custom', path: [name], message: `is needed with ${others}` });
      }
    }
    if (env.SYNC_BODIES_LIMIT_MB < env.SYNC_BODY_LIMIT_MB) {
      const message = 'must be at least SYNC_BODY_LIMIT_MB, or no push of that size is ever taken';
      context.addIssue({ code: 'custom', path: ['SYNC_BODIES_LIMIT_MB'], message });
    }
    if ((env.SHUTDOWN_DELAY_SECONDS ?? 0) >= env.SHUTDOWN_GRACE_SECONDS) {
      const message = 'must be less than SHUTDOWN_GRACE_SECONDS, which it is a part of';
      context.addIssue({ code: 'custom', path: ['SHUTDOWN_DELAY_SECONDS'], message });
    }
    if (env.RESEND_API_KEY !== undefined && env.EMAIL_FROM === undefined) {
      const message = 'is needed with RESEND_API_KEY';
      context.addIssue({ code: 'custom', path: ['EMAIL_FROM'], message });
    }
  },
  { when: () => true },
);

const ProductionSafe = Complete.superRefine(
  (env, context) => {
    if (env.NODE_ENV !== 'production') return;
    for (const { name, isBroken, message } of productionRules) {
      // A variable that could not even be read has its sentence already, and not the type it should have.
      const isReadable = context.issues.every(({ path }) => path?.[0] !== name);
      if (isReadable && isBroken(env)) {
        context.addIssue({ code: 'custom', path: [name], message });
      }
    }
  },
  // Also beside other problems: an operator wants to hear of all of them at once.
  { when: () => true },
);

export type Config = Readonly<ReturnType<typeof loadConfig>>;

/** Nobody balances the requests of a developer, who wants the process to end at once. */
function shutdownDelaySeconds(env: z.infer<typeof Environment>): number {
  const { NODE_ENV, SHUTDOWN_GRACE_SECONDS } = env;
  const usual = NODE_ENV === 'production' ? Math.min(3, SHUTDOWN_GRACE_SECONDS - 1) : 0;
  return env.SHUTDOWN_DELAY_SECONDS ?? usual;
}

/** All problems of an environment at once, one line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(readonly problems: readonly string[]) {
    super(
      `The environment is not valid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    );
  }
}

/** @throws ConfigError naming every variable that is missing or wrong. Blank variables count as unset. */
export function loadConfig(environment: NodeJS.ProcessEnv) {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value?.trim()));
  const parsed = ProductionSafe.safeParse(set);
  if (!parsed.success) {
    throw new ConfigError(
      parsed.error.issues.map((issue) => {
        const name = String(issue.path[0]);
        return set[name] === undefined && issue.code === 'invalid_type'
          ? `${name} is not set`
          : `${name}: ${issue.message}`;
      }),
    );
  }
  const env = parsed.data;
  return {
    environment: env.NODE_ENV,
    /** Sentences for whoever starts the process: nothing that stops it. */
    warnings: findMisspelt(environment, environmentNames),
    port: env.PORT,
    /** Whether this process does jobs beside answering requests, does nothing else, or leaves them to others. */
    worker: env.WORKER,
    /** Whether the process migrates the database before it listens. */
    migrates: env.MIGRATE === 'on',
    logLevel: env.LOG_LEVEL ?? defaultLogLevels[env.NODE_ENV],
    commit: env.IMAGE_COMMIT?.slice(0, 7) ?? null,
    docsEnabled: env.DOCS_ENABLED ?? env.NODE_ENV !== 'production',
    /** Null: there are no metrics to be had. */
    metricsToken: env.METRICS_TOKEN ?? null,
    database: {
      url: env.DATABASE_URL,
      /** The server itself where `url` is a pooler: for what needs a session of its own. */
      directUrl: env.DATABASE_DIRECT_URL ?? env.DATABASE_URL,
      poolSize: env.DATABASE_POOL_SIZE,
      /** Connections beyond the pool, for large pulls. */
      snapshotPoolSize: Math.floor(env.DATABASE_POOL_SIZE / 2),
      /** Of one statement, and of one transaction; large pulls have their own. */
      timeoutMs: env.DATABASE_TIMEOUT_SECONDS * 1000,
      preparedStatements: env.DATABASE_PREPARED_STATEMENTS === 'on',
      /** Statements that take longer are logged. */
      slowQueryMs: env.SLOW_QUERY_MS === 0 ? Infinity : env.SLOW_QUERY_MS,
    },
    auth: {
      /** Of argon2id. */
      passwordHash: {
        memoryKib: env.PASSWORD_HASH_MEMORY_KIB,
        timeCost: env.PASSWORD_HASH_TIME_COST,
        parallelism: env.PASSWORD_HASH_PARALLELISM,
      },
      jwtSecret: env.JWT_SECRET,
      previousJwtSecrets: env.JWT_SECRET_PREVIOUS,
      accessTokenTtlSeconds: env.JWT_EXPIRES_IN,
      refreshTtlDays: env.REFRESH_TTL_DAYS,
      refreshReuseWindowSeconds: env.REFRESH_REUSE_WINDOW_SECONDS,
      sessionMaxDays: env.SESSION_MAX_DAYS,
      sessionLimit: env.SESSION_LIMIT,
      registrationEnabled: env.REGISTRATION_ENABLED,
      emailVerificationRequired: env.EMAIL_VERIFICATION_REQUIRED ?? env.NODE_ENV === 'production',
      /** What an authenticator app shows above the codes. */
      totpIssuer: env.TOTP_ISSUER,
    },
    oauth: {
      /** Where browsers reach this server, without a slash at the end. */
      publicUrl: (env.PUBLIC_URL ?? `http://localhost:${env.PORT}`).replace(/\/+$/, ''),
      /** Where a browser may be sent with a code; exactly these. */
      returnUrls: env.OAUTH_RETURN_URLS,
      google: env.OAUTH_GOOGLE_ID !== undefined &&
        env.OAUTH_GOOGLE_SECRET !== undefined && {
          issuer: env.OAUTH_GOOGLE_ISSUER,
          clientId: env.OAUTH_GOOGLE_ID,
          clientSecret: env.OAUTH_GOOGLE_SECRET,
          /** Of native apps, whose id tokens are accepted, too. */
          nativeClientIds: env.OAUTH_GOOGLE_NATIVE_IDS,
        },
      apple: env.OAUTH_APPLE_ID !== undefined &&
        env.OAUTH_APPLE_TEAM_ID !== undefined &&
        env.OAUTH_APPLE_KEY_ID !== undefined &&
        env.OAUTH_APPLE_PRIVATE_KEY !== undefined && {
          issuer: env.OAUTH_APPLE_ISSUER,
          clientId: env.OAUTH_APPLE_ID,
          teamId: env.OAUTH_APPLE_TEAM_ID,
          keyId: env.OAUTH_APPLE_KEY_ID,
          privateKey: env.OAUTH_APPLE_PRIVATE_KEY,
          nativeClientIds: env.OAUTH_APPLE_NATIVE_IDS,
        },
      facebook: env.OAUTH_META_ID !== undefined &&
        env.OAUTH_META_SECRET !== undefined && {
          appId: env.OAUTH_META_ID,
          appSecret: env.OAUTH_META_SECRET,
          authorizeUrl: env.OAUTH_META_AUTHORIZE_URL,
          graphUrl: env.OAUTH_META_GRAPH_URL,
        },
    },
    /** Without a slash at its end. */
    frontendUrl: env.FRONTEND_URL,
    mail: {
      /** False: mails go to the outbox. */
      resend: env.RESEND_API_KEY !== undefined &&
        env.EMAIL_FROM !== undefined && {
          apiKey: env.RESEND_API_KEY,
          baseUrl: env.RESEND_BASE_URL.replace(/\/+$/, ''),
          from: env.EMAIL_FROM,
        },
      outboxDirectory: path.resolve(env.RIND_DATA_DIR, 'outbox'),
    },
    encryption: { key: env.ENCRYPTION_KEY, previousKeys: env.ENCRYPTION_KEY_PREVIOUS },
    http: {
      corsOrigins: env.CORS_ORIGINS,
      trustProxy: env.TRUST_PROXY ?? null,
      /** For the head of a request, and for a small body. */
      requestTimeoutMs: env.REQUEST_TIMEOUT_SECONDS * 1000,
      /** Longer than proxies keep theirs: who closes first never loses a request. */
      keepAliveMs: env.KEEP_ALIVE_SECONDS * 1000,
      connectionLimit: env.CONNECTION_LIMIT,
    },
    shutdown: {
      /** From the signal to the moment at which what has not ended is cut off. */
      graceSeconds: env.SHUTDOWN_GRACE_SECONDS,
      /** How much of it requests are still taken, for balancers to notice. */
      delaySeconds: shutdownDelaySeconds(env),
    },
    sync: {
      strict: env.SYNC_STRICT,
      tombstoneDays: env.SYNC_TOMBSTONE_DAYS,
      bodyLimitBytes: env.SYNC_BODY_LIMIT_MB * 1024 * 1024,
      /** Of all bodies together that this process reads or works on. */
      bodiesLimitBytes: env.SYNC_BODIES_LIMIT_MB * 1024 * 1024,
    },
    notifications: { retentionDays: env.NOTIFICATIONS_RETENTION_DAYS },
    /** Null: for ever. */
    audit: { retentionDays: env.AUDIT_RETENTION_DAYS || null },
    /** Null: the system's own folder for temporary files. */
    spoolDirectory: env.RIND_SPOOL_DIR ?? null,
    rateLimits: {
      anonymousPerMinute: env.RATE_LIMIT_ANON_PER_MINUTE,
      userPerMinute: env.RATE_LIMIT_USER_PER_MINUTE,
      syncPerMinute: env.RATE_LIMIT_SYNC_PER_MINUTE,
      authPerMinute: env.RATE_LIMIT_AUTH_PER_MINUTE,
      handshakesPerMinute: env.RATE_LIMIT_HANDSHAKE_PER_MINUTE,
    },
    realtime: {
      /** On this process. */
      connectionsPerUser: env.REALTIME_CONNECTIONS_PER_USER,
      /** That one socket may send. */
      packetsPerSecond: env.REALTIME_PACKETS_PER_SECOND,
      payloadLimitBytes: env.REALTIME_PAYLOAD_LIMIT_KB * 1024,
      /** What may wait for a client that does not read. */
      bufferLimitBytes: env.REALTIME_BUFFER_LIMIT_KB * 1024,
    },
  };
}
