import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { ConfigError, environmentNames, loadConfig } from './config.js';

const DATABASE_URL = 'postgres://rind:secret@localhost:5432/rind';
const development = { DATABASE_URL };
const production = {
  DATABASE_URL,
  NODE_ENV: 'production',
  JWT_SECRET: 'f3b1c9d2a7e84650b1c2d3e4f5a6b7c8',
  FRONTEND_URL: 'https://app.example.com/',
  ENCRYPTION_KEY: '0a1b2c3d4e5f60718293a4b5c6d7e8f9',
  RESEND_API_KEY: 're_key',
  EMAIL_FROM: 'Rind <mail@example.com>',
};

/** The sentences with which an environment is refused; none when it is accepted. */
function problemsOf(environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    loadConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('an environment', () => {
  test('needs a database and nothing else', () => {
    expect(problemsOf({})).toEqual(['DATABASE_URL is not set']);
    expect(loadConfig(development)).toMatchObject({
      environment: 'development',
      port: 3000,
      worker: 'inline',
      database: { url: DATABASE_URL, directUrl: DATABASE_URL, preparedStatements: true },
      auth: { accessTokenTtlSeconds: 900, refreshTtlDays: 30, sessionMaxDays: 90 },
      http: { corsOrigins: [], trustProxy: null },
      rateLimits: {
        anonymousPerMinute: 100,
        userPerMinute: 300,
        syncPerMinute: 120,
        authPerMinute: 10,
        handshakesPerMinute: 100,
      },
      realtime: {
        connectionsPerUser: 50,
        packetsPerSecond: 20,
        payloadLimitBytes: 16_384,
        bufferLimitBytes: 262_144,
      },
      docsEnabled: true,
      commit: null,
    });
  });

  test('is refused with every problem at once, one line each, and no value that may be secret', () => {
    const environment = {
      NODE_ENV: 'production',
      PORT: 'http',
      DATABASE_URL: 'mysql://root:hunter2@localhost/rind',
      DATABASE_TIMEOUT_SECONDS: '151',
      JWT_SECRET: 'too short',
      ENCRYPTION_KEY: 'too short',
      TOTP_ISSUER: 'https://too short',
      JWT_EXPIRES_IN: 'soon',
      TRUST_PROXY: 'true',
      CORS_ORIGINS: '*',
      SYNC_STRICT: 'yes',
      LOG_LEVEL: 'loud',
      WORKER: 'yes',
      RATE_LIMIT_AUTH_PER_MINUTE: '-1',
      REALTIME_CONNECTIONS_PER_USER: '0',
      METRICS_TOKEN: 'too short',
      FRONTEND_URL: 'app.example.com',
      REGISTRATION_ENABLED: 'no',
      EMAIL_VERIFICATION_REQUIRED: 'yes',
      RESEND_API_KEY: ' ',
      RESEND_BASE_URL: 'http://resend.example',
      EMAIL_FROM: 'too short',
    };
    const problems = problemsOf(environment);
    const names = problems.map((problem) => /^[A-Z_]+(?=:)/.exec(problem)?.[0]);
    expect(names.toSorted()).toEqual(
      Object.keys(environment)
        .filter((name) => name !== 'NODE_ENV')
        .toSorted(),
    );
    const { message } = new ConfigError(problems);
    expect(message.split('\n')).toHaveLength(1 + problems.length);
    expect(message).not.toMatch(/hunter2|too short/);
  });

  test.each(['', ' '])('with an empty variable (%j) is one without it', (empty) => {
    const environment = Object.fromEntries(environmentNames.map((name) => [name, empty]));
    expect(loadConfig({ ...environment, DATABASE_URL })).toEqual(loadConfig(development));
    expect(problemsOf(environment)).toEqual(['DATABASE_URL is not set']);
  });

  test('names no connections: by their own names a restore sees that the API runs', () => {
    const named = `${DATABASE_URL}?application_name=mine&sslmode=require`;
    const { url, directUrl } = loadConfig({
      DATABASE_URL: named,
      DATABASE_DIRECT_URL: named,
    }).database;
    expect([url, directUrl]).toEqual(Array(2).fill(`${DATABASE_URL}?sslmode=require`));
  });

  test('may have other variables, too', () => {
    expect(problemsOf({ ...development, HOME: '/root', rate_limit: 'x' })).toEqual([]);
  });
});

test('bodies of pushes fit into the memory for all of them', () => {
  const env = { ...development, SYNC_BODY_LIMIT_MB: '100', SYNC_BODIES_LIMIT_MB: '99' };
  expect(problemsOf(env)).toEqual([
    'SYNC_BODIES_LIMIT_MB: must be at least SYNC_BODY_LIMIT_MB, or no push of that size is ever taken',
  ]);
});

describe('the delay of the end', () => {
  const delayOf = (env: NodeJS.ProcessEnv) => loadConfig(env).shutdown.delaySeconds;

  test('is for production', () => {
    expect(delayOf(development)).toBe(0);
    expect(delayOf(production)).toBe(3);
    expect(delayOf({ ...production, SHUTDOWN_GRACE_SECONDS: '2' })).toBe(1);
    expect(delayOf({ ...development, SHUTDOWN_DELAY_SECONDS: '7' })).toBe(7);
  });

  test('leaves time for requests to end', () => {
    expect(problemsOf({ ...development, SHUTDOWN_DELAY_SECONDS: '8' })).toEqual([
      'SHUTDOWN_DELAY_SECONDS: must be less than SHUTDOWN_GRACE_SECONDS, which it is a part of',
    ]);
  });
});

describe('a variable that looks like a known one', () => {
  const warningsOf = (name: string) => loadConfig({ ...development, [name]: '1' }).warnings;

  test.each([
    ['RATE_LIMIT_ANON_PER_MIN', 'RATE_LIMIT_ANON_PER_MINUTE'],
    ['RATE_LIMIT_AUTH', 'RATE_LIMIT_AUTH_PER_MINUTE'],
    ['SYNC_TOMBSTONES_DAYS', 'SYNC_TOMBSTONE_DAYS'],
    ['OAUTH_GOOGLE_SECERT', 'OAUTH_GOOGLE_SECRET'],
    ['RIND_DATADIR', 'RIND_DATA_DIR'],
    ['TRUSTPROXY', 'TRUST_PROXY'],
    ['JWT_SECRETS', 'JWT_SECRET'],
    ['jwt_secret', 'JWT_SECRET'],
    ['PROT', 'PORT'],
    ['FRONTEND_URI', 'FRONTEND_URL'],
  ])('%s: is %s meant?', (name, meant) => {
    expect(warningsOf(name)).toEqual([`${name} is not read: is ${meant} meant?`]);
  });

  const others = [
    'HOME HOST PATH PWD USER LANG TERM HOSTNAME NODE_OPTIONS',
    'NODE_PATH NODE_VERSION npm_config_cache npm_package_name INIT_CWD COLOR EDITOR YARN_VERSION CI',
    'no_proxy POSTGRES_PASSWORD PGHOST PGPASSWORD DATABASE_NAME COOLIFY_URL COOLIFY_FQDN SOURCE_COMMIT SERVICE_URL_API',
    'PUBLIC_IP TZ SHLVL RIND_TEST_CLOCK_OFFSET_MS NODE_EXTRA_CA_CERTS R JWT_',
  ].flatMap((line) => line.split(' '));

  test.each(others)('is not %s', (name) => expect(warningsOf(name)).toEqual([]));
});

describe('.env.example', () => {
  const text = readFileSync(new URL('../../../../../.env.example', import.meta.url), 'utf8');
  const example = parseEnv(text);

  test('names every variable of the schema', () => {
    expect(Object.keys(example).toSorted()).toEqual(environmentNames.toSorted());
  });

  test('explains each in the line above it', () => {
    const lines = text.split('\n');
    for (const name of Object.keys(example)) {
      const index = lines.findIndex((line) => line.startsWith(`${name}=`));
      expect([name, lines[index - 1]]).toEqual([name, expect.stringMatching(/^# .{20,}/)]);
    }
  });

  test('has the defaults as values: a copy of it changes nothing', () => {
    expect(loadConfig({ ...example, DATABASE_URL })).toEqual(loadConfig(development));
  });
});

describe('production', () => {
  test('takes a long secret of its own', () => {
    expect(problemsOf(production)).toEqual([]);
    expect(loadConfig(production).docsEnabled).toBe(false);
    expect(loadConfig({ ...production, DOCS_ENABLED: 'true' }).docsEnabled).toBe(true);
    expect(loadConfig(production).frontendUrl).toBe('https://app.example.com');
  });

  test('asks for verified addresses unless it is told not to', () => {
    const isRequired = (env: NodeJS.ProcessEnv) => loadConfig(env).auth.emailVerificationRequired;
    const EMAIL_VERIFICATION_REQUIRED = 'false';
    expect(isRequired(production)).toBe(true);
    expect(isRequired({ ...production, EMAIL_VERIFICATION_REQUIRED })).toBe(false);
    expect(isRequired(development)).toBe(false);
  });

  test.each<[string, NodeJS.ProcessEnv, string]>([
    [
      'no address of the app',
      { FRONTEND_URL: undefined },
      'FRONTEND_URL: must be set in production',
    ],
    ['no secret', { JWT_SECRET: undefined }, 'JWT_SECRET: must be set in production'],
    ['a short one', { JWT_SECRET: 'x'.repeat(31) }, 'JWT_SECRET: must have at least 32'],
    [
      'that of development',
      { JWT_SECRET: 'development-only-secret-change-me-now' },
      'JWT_SECRET: must be set in production',
    ],
    [
      'that of development as a previous one',
      { JWT_SECRET_PREVIOUS: 'development-only-secret-change-me-now' },
      'JWT_SECRET_PREVIOUS: ',
    ],
    [
      'a short one as a previous one',
      { JWT_SECRET_PREVIOUS: `${'x'.repeat(32)},short` },
      'JWT_SECRET_PREVIOUS: ',
    ],
    [
      'no encryption key',
      { ENCRYPTION_KEY: undefined },
      'ENCRYPTION_KEY: must be set in production',
    ],
    [
      'a short encryption key',
      { ENCRYPTION_KEY: 'x'.repeat(31) },
      'ENCRYPTION_KEY: must have at least 32',
    ],
    [
      'no key for sending mails',
      { RESEND_API_KEY: undefined },
      'RESEND_API_KEY: must be set in production: mails are sent through Resend',
    ],
    [
      'no sender of mails',
      { RESEND_API_KEY: undefined, EMAIL_FROM: undefined },
      'EMAIL_FROM: must be set in production',
    ],
    ['access tokens for more than an hour', { JWT_EXPIRES_IN: '61m' }, 'JWT_EXPIRES_IN: must not'],
    [
      'one secret for two purposes',
      { ENCRYPTION_KEY: production.JWT_SECRET },
      'ENCRYPTION_KEY: must not be the same as JWT_SECRET',
    ],
    [
      'a previous secret for two purposes',
      { JWT_SECRET_PREVIOUS: `${'x'.repeat(32)},${production.ENCRYPTION_KEY}` },
      'ENCRYPTION_KEY: must not be the same as JWT_SECRET',
    ],
    [
      'a previous key for two purposes',
      { ENCRYPTION_KEY_PREVIOUS: production.JWT_SECRET },
      'ENCRYPTION_KEY: must not be the same as JWT_SECRET',
    ],
    [
      'links in mails over plain HTTP',
      { FRONTEND_URL: 'http://app.example.com' },
      'FRONTEND_URL: must be https in production',
    ],
    ['any origin', { CORS_ORIGINS: 'https://a.example,*' }, 'CORS_ORIGINS: must list origins'],
  ])('refuses %s, which development accepts', (_, environment, sentence) => {
    const problems = problemsOf({ ...production, ...environment });
    expect(problems).toContainEqual(expect.stringContaining(sentence));
    expect(problems).toHaveLength(Object.keys(environment).length);
    expect(problemsOf({ ...development, ...environment })).toEqual([]);
  });

  test('may be tried out on one machine', () => {
    expect(problemsOf({ ...production, FRONTEND_URL: 'http://localhost:4000' })).toEqual([]);
  });

  test.each(['1h', '60m', '3600'])('accepts access tokens for %s', (JWT_EXPIRES_IN) => {
    expect(problemsOf({ ...production, JWT_EXPIRES_IN })).toEqual([]);
  });
});

describe('mail', () => {
  const key = { RESEND_API_KEY: 're_key', EMAIL_FROM: 'mail@example.com' };

  test('goes to the outbox until there is a key', () => {
    expect(loadConfig(development).mail.resend).toBe(false);
    expect(loadConfig({ ...development, ...key }).mail.resend).toEqual({
      apiKey: 're_key',
      baseUrl: 'https://api.resend.com',
      from: 'mail@example.com',
    });
    const RESEND_BASE_URL = 'http://127.0.0.1:4000/';
    expect(loadConfig({ ...development, ...key, RESEND_BASE_URL }).mail.resend).toMatchObject({
      baseUrl: 'http://127.0.0.1:4000',
    });
  });

  test('needs a sender with the key', () => {
    const sentence = 'EMAIL_FROM: is needed with RESEND_API_KEY';
    expect(problemsOf({ ...development, RESEND_API_KEY: 'x' })).toEqual([sentence]);
    expect(problemsOf({ ...production, EMAIL_FROM: undefined })).toEqual([sentence]);
  });

  test.each(['mail@example.com', 'Rind <mail@example.com>', 'Ünser Täm, Inc. <a+b@x.example>'])(
    'comes from %s',
    (EMAIL_FROM) => expect(problemsOf({ ...development, EMAIL_FROM })).toEqual([]),
  );

  test.each([
    'mail',
    '@',
    'a@b@c',
    'A <mail>',
    '<a@x>',
    'A <a@x> b',
    'A\r\nBcc: b@x <a@x>',
    'a b@x',
  ])('does not come from %j', (EMAIL_FROM) =>
    expect(problemsOf({ ...development, EMAIL_FROM })).toEqual([
      expect.stringContaining('EMAIL_FROM: expected an address such as'),
    ]),
  );
});

describe('durations', () => {
  test.each([
    ['60', 60],
    ['900s', 900],
    ['15m', 900],
    ['12h', 43_200],
    ['30d', 2_592_000],
  ])('%s', (JWT_EXPIRES_IN, seconds) => {
    expect(loadConfig({ ...development, JWT_EXPIRES_IN }).auth.accessTokenTtlSeconds).toBe(seconds);
  });

  test.each(['15', '59s', '0d', '-5m', '1.5h', '15 m', '15min', 'm', '1e3', '9999999999s'])(
    '%s is refused',
    (JWT_EXPIRES_IN) => {
      expect(problemsOf({ ...development, JWT_EXPIRES_IN })).toEqual([
        expect.stringMatching(/^JWT_EXPIRES_IN: (expected a duration|must be at least)/),
      ]);
    },
  );
});

describe('TRUST_PROXY', () => {
  test.each<[string, number | string[]]>([
    ['1', 1],
    ['12', 12],
    ['10.0.0.0/8', ['10.0.0.0/8']],
    ['192.0.2.1', ['192.0.2.1']],
    ['10.0.0.0/8, ::1/128', ['10.0.0.0/8', '::1/128']],
  ])('%s', (TRUST_PROXY, value) => {
    expect(loadConfig({ ...development, TRUST_PROXY }).http.trustProxy).toEqual(value);
  });

  test.each([
    'true',
    'false',
    'all',
    '*',
    'loopback',
    '0',
    '-1',
    '1.5',
    '100',
    '1,2',
    '10.1',
    '10.0.0.0/33',
    '10.0.0.0/8,',
    'proxy.example.com',
    // Ranges that contain everybody are `true` in other words.
    '0.0.0.0/0',
    '::/0',
  ])('%s is refused', (TRUST_PROXY) => {
    expect(problemsOf({ ...development, TRUST_PROXY })).toEqual([
      'TRUST_PROXY: expected a number of proxies such as 1, or a list of CIDRs such as 10.0.0.0/8,::1/128',
    ]);
  });
});

describe('CORS_ORIGINS', () => {
  test('is a list of origins', () => {
    const CORS_ORIGINS = ' https://app.example.com, http://localhost:8081 ,';
    expect(loadConfig({ ...development, CORS_ORIGINS }).http.corsOrigins).toEqual([
      'https://app.example.com',
      'http://localhost:8081',
    ]);
  });

  test.each(['app.example.com', 'https://app.example.com/', 'https://A.example', 'null'])(
    '%s is refused',
    (origin) => {
      const problems = problemsOf({ ...development, CORS_ORIGINS: `https://a.example,${origin}` });
      expect(problems).toEqual([
        `CORS_ORIGINS: "${origin}" is not an origin such as https://app.example.com`,
      ]);
    },
  );
});

describe('sign-in with a provider', () => {
  const google = { OAUTH_GOOGLE_ID: 'id', OAUTH_GOOGLE_SECRET: 'secret' };

  test('is off', () => {
    expect(loadConfig(development).oauth).toEqual({
      publicUrl: 'http://localhost:3000',
      returnUrls: [],
      google: false,
      apple: false,
      facebook: false,
    });
  });

  test('is on once its settings are there', () => {
    const OAUTH_RETURN_URLS = 'com.example.app:/signed-in, https://app.example.com/';
    const { oauth } = loadConfig({
      ...development,
      ...google,
      OAUTH_RETURN_URLS,
      PUBLIC_URL: 'https://api.example.com/',
    });
    expect(oauth).toEqual({
      publicUrl: 'https://api.example.com',
      returnUrls: ['com.example.app:/signed-in', 'https://app.example.com/'],
      google: {
        issuer: 'https://accounts.google.com',
        clientId: 'id',
        clientSecret: 'secret',
        nativeClientIds: [],
      },
      apple: false,
      facebook: false,
    });
  });

  test("takes Apple's key in one line", () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const apple = { OAUTH_APPLE_ID: 'id', OAUTH_APPLE_TEAM_ID: 'team', OAUTH_APPLE_KEY_ID: 'key' };
    for (const OAUTH_APPLE_PRIVATE_KEY of [pem, pem.replaceAll('\n', '\\n')]) {
      const { oauth } = loadConfig({ ...development, ...apple, OAUTH_APPLE_PRIVATE_KEY });
      expect(oauth.apple).toMatchObject({ teamId: 'team', keyId: 'key', privateKey: pem });
    }
    const other = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
    for (const key of ['hunter2', other.export({ type: 'pkcs8', format: 'pem' }).toString()]) {
      expect(problemsOf({ ...development, ...apple, OAUTH_APPLE_PRIVATE_KEY: key })).toEqual([
        'OAUTH_APPLE_PRIVATE_KEY: expected a private key for ES256, in PEM',
      ]);
    }
  });

  test.each<[NodeJS.ProcessEnv, string]>([
    [{ OAUTH_GOOGLE_ID: 'id' }, 'OAUTH_GOOGLE_SECRET: is needed with OAUTH_GOOGLE_ID'],
    [{ OAUTH_GOOGLE_SECRET: 'x' }, 'OAUTH_GOOGLE_ID: is needed with OAUTH_GOOGLE_SECRET'],
    [{ OAUTH_GOOGLE_ISSUER: 'http://id.example' }, 'OAUTH_GOOGLE_ISSUER: must be https, or http'],
    [{ PUBLIC_URL: 'http://api.example.com' }, 'PUBLIC_URL: must be https, or http on localhost'],
    [{ OAUTH_RETURN_URLS: '/signed-in' }, 'OAUTH_RETURN_URLS: must be a list of addresses'],
  ])('refuses %j', (environment, sentence) => {
    expect(problemsOf({ ...development, ...environment })).toEqual([
      expect.stringContaining(sentence),
    ]);
  });

  test('takes secrets over TLS only in production', () => {
    const OAUTH_GOOGLE_ISSUER = 'http://localhost:4000';
    const environment = { ...google, OAUTH_GOOGLE_ISSUER, PUBLIC_URL: 'http://localhost' };
    expect(problemsOf({ ...development, ...environment })).toEqual([]);
    expect(problemsOf({ ...production, ...environment })).toEqual([
      expect.stringContaining('PUBLIC_URL: '),
      expect.stringContaining('OAUTH_GOOGLE_ISSUER: '),
    ]);
    expect(problemsOf({ ...production, ...google })).toEqual([
      expect.stringContaining('PUBLIC_URL: must be set'),
    ]);
  });
});
