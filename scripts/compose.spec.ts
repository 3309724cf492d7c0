import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseEnv } from 'node:util';

import { DCLinter } from 'dclint';
import { parse, stringify } from 'yaml';

interface Service {
  build?: { args?: Record<string, string> };
  image?: string;
  command?: string[];
  entrypoint?: string[];
  depends_on?: string[] | Record<string, { condition: string }>;
  environment?: Record<string, string>;
  env_file?: { path: string; required: boolean }[];
  healthcheck?: { test: string[] };
  networks?: { default?: { aliases?: string[] } };
  ports?: string[];
  profiles?: string[];
  read_only?: boolean;
  secrets?: string[];
  volumes?: string[];
}

interface ComposeFile {
  services: Record<string, Service>;
  secrets: Record<string, { environment: string }>;
  volumes: Record<string, null>;
}

const root = join(import.meta.dirname, '..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');

const text = read('docker-compose.yml');
const dockerfile = read('Dockerfile');
const compose = parse(text, { merge: true }) as ComposeFile;
const { services } = compose;
const entries = Object.entries(services);
/** What a mounted file or folder is in the repository, by its path in the container. */
const mounts = entries.flatMap(([name, { volumes = [] }]) =>
  volumes.map((volume) => {
    const [source = '', target = ''] = volume.split(':');
    return { name, source, target };
  }),
);

/** What contradicts the schema of the Compose Specification, or what its linter calls an error. */
function faultsOf(content: string): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'rind-compose-'));
  try {
    const file = join(directory, 'docker-compose.yml');
    // The linter does not look at what is merged in by `<<`: it gets the file as Compose will see it.
    const merged = parse(content, { merge: true }) as unknown;
    writeFileSync(file, stringify(merged, { aliasDuplicateObjects: false }));
    // The image that is built has a name, for the second API container.
    const rules = { 'no-build-and-image': 0 } as const;
    const linter = new DCLinter({ rules, quiet: true, debug: false, exclude: [] });
    // Its types name each other in a way that the compiler does not follow.
    const results: { messages: { type: string; message: string }[] }[] = linter.lintFiles(
      [file],
      false,
    );
    return results
      .flatMap(({ messages }) => messages)
      .filter(({ type }) => type === 'error')
      .map(({ message }) => message);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Names that the file takes from the environment, but for those that are part of a message. */
function variables(): string[] {
  const used = [...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => name ?? '');
  const ofSecrets = Object.values(compose.secrets).map(({ environment }) => environment);
  return [...new Set([...used, ...ofSecrets])].toSorted();
}

/** Names that the first lines of the file explain. */
function explained(): string[] {
  const head = text.slice(0, text.indexOf('\nname:'));
  return [...head.matchAll(/^# {3}([A-Z_]+) {2,}/gm)].map(([, name]) => name ?? '');
}

const servicesIn = (...profiles: string[]): string[] =>
  entries
    .filter(([, service]) => service.profiles?.every((name) => profiles.includes(name)) ?? true)
    .map(([name]) => name)
    .toSorted();

describe('docker-compose.yml', () => {
  test('follows the schema of the Compose Specification', () => {
    assert.deepEqual(faultsOf(text), []);
  });

  test('would be caught not to, and with ports that everybody reaches', () => {
    assert.match(faultsOf(text.replace('read_only: true', 'read_only: 7')).join(), /read_only/);
    assert.match(faultsOf(text.replace('restart:', 'restarts:')).join(), /additional properties/);
    assert.match(faultsOf(text.replace("'127.0.0.1:9090:", "'9090:")).join(), /9090/);
  });

  test('has the services of each profile', () => {
    assert.deepEqual(servicesIn(), ['api', 'postgres']);
    assert.deepEqual(servicesIn('metrics'), [
      'alertmanager',
      'api',
      'grafana',
      'postgres',
      'prometheus',
    ]);
    assert.deepEqual(servicesIn('staging'), ['api', 'api-2', 'postgres', 'proxy']);
  });

  test('reads no variable but those of the API and those that its first lines explain', () => {
    const ofApi = Object.keys(parseEnv(read('.env.example')));
    const known = new Set([...ofApi, ...explained()]);
    assert.deepEqual(
      variables().filter((name) => !known.has(name)),
      [],
    );
    assert.deepEqual(
      explained().filter((name) => !variables().includes(name)),
      [],
    );
  });

  test('asks for every secret, and holds none', () => {
    for (const name of ['POSTGRES_PASSWORD', 'JWT_SECRET', 'ENCRYPTION_KEY', 'RESEND_API_KEY']) {
      const uses = [...text.matchAll(new RegExp(`\\$\\{${name}(.)?(.)?`, 'g'))];
      assert.ok(uses.length > 0, name);
      for (const [, ...marks] of uses) assert.equal(marks.join(''), ':?', name);
    }
  });

  test('gives secrets to no service that it makes read-only, which Compose refuses', () => {
    for (const [name, { read_only: readOnly, secrets = [] }] of entries) {
      assert.ok(!readOnly || secrets.length === 0, name);
    }
  });

  test('mounts what the repository has', () => {
    for (const { name, source } of mounts) {
      if (source.startsWith('./')) assert.ok(statSync(join(root, source)), `${name}: ${source}`);
      else assert.ok(source in compose.volumes, `${name}: ${source}`);
    }
  });

  test('has the services, and the image the programs, of the commands in the documentation', () => {
    const pages = ['docs/administration.md', 'docs/backups.md', 'docs/operations.md'];
    const commands = pages.flatMap((page) => [
      ...read(page).matchAll(
        /docker compose (?:exec|run)(?: --\S+)* (\S+)(?: node dist\/(\S+)\.js)?/g,
      ),
    ]);
    assert.ok(commands.length > 4);
    for (const [command, service = '', program] of commands) {
      assert.ok(service in services, command);
      if (program) assert.ok(statSync(join(root, `apps/api/src/${program}.ts`)), command);
    }
  });

  test('publishes ports on this machine alone', () => {
    for (const [name, { ports = [] }] of entries) {
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name);
    }
  });
});

describe('the API in it', () => {
  for (const name of ['api', 'api-2']) {
    const service = services[name]!;

    test(`${name} gets its settings from .env, and starts when the database is there`, () => {
      assert.deepEqual(service.env_file, [{ path: '.env', required: false }]);
      assert.equal(service.environment?.['NODE_ENV'], 'production');
      assert.equal(service.environment?.['TRUST_PROXY'], '${TRUST_PROXY:-1}');
      assert.deepEqual(service.depends_on, { postgres: { condition: 'service_healthy' } });
      assert.ok(service.read_only);
      assert.deepEqual(service.networks?.default?.aliases, ['rind-api']);
    });

    test(`${name} has a volume for backups, where the image lets its user write`, () => {
      assert.deepEqual(service.volumes, ['backups:/backups']);
      const [, user = ''] = /^USER (\d+):/m.exec(dockerfile) ?? [];
      const folder = `install --directory --owner=${user} --group=${user} --mode=700 /backups`;
      assert.ok(dockerfile.includes(folder), folder);
    });

    test(`${name} is given nothing that the API does not read`, () => {
      const known = Object.keys(parseEnv(read('.env.example')));
      const { environment = {} } = service;
      for (const [variable, value] of Object.entries(environment)) {
        assert.ok(value === '' || known.includes(variable), variable);
      }
      // They are in the same .env.
      for (const variable of explained().filter((name) =>
        /PASSWORD|SECRET|TOKEN|ALERTS/.test(name),
      )) {
        assert.equal(environment[variable], '', variable);
      }
    });
  }

  test('is built by the Dockerfile with its commit, on the pnpm that package.json names', () => {
    const { packageManager } = JSON.parse(read('package.json')) as { packageManager: string };
    for (const argument of Object.keys(services['api']?.build?.args ?? {})) {
      assert.match(dockerfile, new RegExp(`^ARG ${argument}=`, 'm'));
    }
    assert.ok(dockerfile.includes(`npm install --global ${packageManager}\n`));
  });
});

describe('its database', () => {
  test('is PostgreSQL 18 with its data where that version keeps it, and is asked over TCP', () => {
    const { image, volumes, healthcheck } = services['postgres']!;
    assert.equal(image, 'postgres:18');
    assert.deepEqual(volumes, ['database:/var/lib/postgresql']);
    assert.ok(healthcheck?.test.includes('--host=127.0.0.1'));
  });
});

describe('its metrics', () => {
  const inContainer = (service: string, path: string): string => {
    const mount = mounts.find(({ name, target }) => name === service && path.startsWith(target));
    assert.ok(mount, `${service} has ${path}`);
    return join(mount.source, path.slice(mount.target.length));
  };

  test('are read by the name of all API containers, with the token as a secret', () => {
    const { command = [], secrets } = services['prometheus']!;
    const [, file = ''] = command.find((word) => word.startsWith('--config.file='))!.split('=');
    const config = parse(read(inContainer('prometheus', file)));
    assert.deepEqual(secrets, ['metrics_token']);
    assert.equal(compose.secrets['metrics_token']?.environment, 'METRICS_TOKEN');
    const [job] = config.scrape_configs;
    assert.equal(job.job_name, 'rind');
    assert.equal(job.authorization.credentials_file, '/run/secrets/metrics_token');
    assert.deepEqual(job.dns_sd_configs[0].names, ['rind-api']);
    for (const rules of config.rule_files) assert.ok(read(join('ops/prometheus', rules)), rules);
  });

  test('are shown by Grafana from the provisioned data source and dashboard', () => {
    const folder = inContainer('grafana', '/etc/grafana/provisioning');
    const { datasources } = parse(read(join(folder, 'datasources/prometheus.yml')));
    assert.equal(datasources[0].url, 'http://prometheus:9090');
    const { providers } = parse(read(join(folder, 'dashboards/rind.yml')));
    const dashboards = inContainer('grafana', providers[0].options.path);
    assert.ok(JSON.parse(read(join(dashboards, 'rind.json'))).panels.length > 0);
  });
});

describe('its alerts', () => {
  interface AlertmanagerConfig {
    route: { group_by: string[]; routes: unknown };
    receivers: { slack_configs?: { api_url: string; text: string }[] }[];
    inhibit_rules: unknown;
  }

  interface Outcome {
    config: AlertmanagerConfig;
    status: number | null;
    stderr: string;
  }

  /** What Alertmanager would be started with: a program that does nothing stands in for it. */
  function configure(to: string): Outcome {
    const directory = mkdtempSync(join(tmpdir(), 'rind-alerts-'));
    try {
      mkdirSync(join(directory, 'secrets'));
      writeFileSync(join(directory, 'secrets/alerts_to'), to);
      writeFileSync(join(directory, 'alertmanager'), '#!/bin/sh\n', { mode: 0o755 });
      const { status, stderr } = spawnSync(
        'sh',
        [join(root, 'ops/alertmanager/start.sh'), join(directory, 'secrets'), directory],
        {
          env: { PATH: `${directory}:${process.env['PATH']}`, ALERTS_FROM: "O'Neil <a@b.example>" },
          encoding: 'utf8',
        },
      );
      const written = readFileSync(join(directory, 'alertmanager.yml'), 'utf8');
      const config = parse(
        written.replaceAll(join(directory, 'secrets'), '/run/secrets'),
      ) as AlertmanagerConfig;
      return { config, status, stderr };
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  const receivers = (to: string) => configure(to).config.receivers;

  test('are sent by Prometheus to Alertmanager, which starts by what the repository has', () => {
    const { alerting } = parse(read('ops/prometheus/prometheus.yml'));
    assert.deepEqual(alerting.alertmanagers[0].static_configs[0].targets, ['alertmanager:9093']);
    const { entrypoint = [], secrets = [], volumes = [] } = services['alertmanager']!;
    assert.ok(volumes.includes('./ops/alertmanager:/etc/alertmanager:ro'));
    assert.deepEqual(entrypoint, ['sh', '/etc/alertmanager/start.sh', '/run/secrets', '/tmp']);
    assert.deepEqual(secrets, ['alerts_to', 'resend_api_key']);
    assert.equal(compose.secrets['alerts_to']?.environment, 'ALERTS_TO');
  });

  test('go by mail, through Resend', () => {
    assert.deepEqual(receivers('you@example.com, b@example.com'), [
      {
        name: 'operators',
        email_configs: [
          {
            to: 'you@example.com, b@example.com',
            from: "O'Neil <a@b.example>",
            smarthost: 'smtp.resend.com:587',
            auth_username: 'resend',
            auth_password_file: '/run/secrets/resend_api_key',
            send_resolved: true,
          },
        ],
      },
    ]);
  });

  test('go to Slack, and to what takes the messages of Slack', () => {
    for (const [to, url] of [
      ['https://hooks.slack.com/services/T0/B0/x', 'https://hooks.slack.com/services/T0/B0/x'],
      ['slack:https://chat.example.com/hooks/x', 'https://chat.example.com/hooks/x'],
    ]) {
      const { slack_configs: [slack] = [] } = receivers(to!)[0]!;
      assert.equal(slack?.api_url, url);
      assert.match(slack?.text ?? '', /Annotations\.summary/);
    }
  });

  test('go to a webhook, whatever its address has', () => {
    for (const url of [
      'https://a:b@example.com/x?y=z',
      "http://alerts:8080/it's",
      'https://x/#$HOME',
    ]) {
      assert.deepEqual(receivers(url), [{ name: 'operators', webhook_configs: [{ url }] }]);
    }
  });

  test('are not sent to nobody: the start fails, and says what is missing', () => {
    for (const to of ['', 'nobody', 'slack:x', 'ftp://example.com']) {
      const { status, stderr } = configure(to);
      assert.equal(status, 1, to);
      assert.match(stderr, /^ALERTS_TO must be /);
    }
  });

  test('are told at once where they are critical, and again when nobody acts', () => {
    const { route, inhibit_rules: inhibitions } = configure('you@example.com').config;
    assert.deepEqual(route.group_by, ['alertname', 'severity']);
    assert.deepEqual(route.routes, [
      { matchers: ['severity="critical"'], group_wait: '0s', repeat_interval: '1h' },
    ]);
    const rules = read('ops/prometheus/alerts.yml');
    for (const [, name] of JSON.stringify(inhibitions).matchAll(/\b(Rind\w+)/g)) {
      assert.ok(rules.includes(`- alert: ${name}\n`), name);
    }
  });
});

describe('its proxy', () => {
  const { source } = mounts.find(({ name }) => name === 'proxy')!;
  const config = read(source);

  test('asks all API containers', () => {
    assert.match(config, /^ {2}set \$api rind-api;$/m);
    assert.match(config, /proxy_pass http:\/\/\$api:3000;/);
  });

  test('adds no hop: it passes on what a proxy before it says, and else says who asked', () => {
    const passedOn = [
      ['For', 'for', 'remote_addr'],
      ['Proto', 'proto', 'scheme'],
    ];
    for (const [header, variable, otherwise] of passedOn) {
      const [, name = ''] =
        new RegExp(`proxy_set_header X-Forwarded-${header} \\$(\\w+);`).exec(config) ?? [];
      const map =
        `map $http_x_forwarded_${variable} $${name} {\n` +
        `  default $http_x_forwarded_${variable};\n  '' $${otherwise};\n}`;
      assert.ok(config.includes(map), map);
    }
  });
});
