import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AuthResult, MfaRequired } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse as parseYaml } from 'yaml';
import { SpoolLimits } from '../../src/platform/spool/spools.js';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
import { Authenticator } from '../support/authenticator.js';
import { untilJobsDone } from '../support/jobs.js';
import { parsePromql } from '../support/promql.js';
import { RealtimeClient, refusalOf } from '../support/realtime-client.js';
import { refusal, ResendServer } from '../support/resend-server.js';
import { type Sample, scrape } from '../support/scrape.js';
import { SyncSession } from '../support/sync-session.js';
import { TestApp } from '../support/test-app.js';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly targets?: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>;
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: ReadonlyArray<{ name: string; definition?: string }> };
  readonly annotations: { readonly list: ReadonlyArray<{ readonly expr: string }> };
}

const root = new URL('../../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

const { groups } = parseYaml(read('ops/prometheus/alerts.yml')) as {
  groups: ReadonlyArray<{ readonly rules: readonly Rule[] }>;
};
const rules = groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(read('ops/grafana/dashboards/rind.json')) as Dashboard;
const panels = dashboard.panels.filter(({ type }) => type !== 'row');

/** What Prometheus adds to each scrape. */
const addedMetrics = new Set(['up']);
const addedLabels = new Set(['instance', 'job']);

/** Those of whoever watches the API, which service levels are not about. */
const NO_REQUESTS_OF_USERS = '/api/v1/health.*|/metrics';

/** Grafana fills them in. */
const filledIn = (expression: string) =>
  expression.replaceAll(/\$__(rate_interval|range)/g, '5m').replaceAll('$instance', '.*');

/** By where it stands, so that each has a test of its own. */
const expressions: Array<[where: string, expression: string, legend?: string]> = [
  ...rules.map(({ alert, expr }): [string, string] => [`alert ${alert}`, expr]),
  ...panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }): [string, string, string] => [
      `panel ${title}, ${legendFormat}`,
      filledIn(expr),
      legendFormat,
    ]),
  ),
  ...dashboard.annotations.list.map(({ expr }): [string, string] => ['annotation', filledIn(expr)]),
];

const METRICS_TOKEN = 'the-token-of-this-test';

describe('what operators look at', () => {
  let rind: TestApp;
  let resend: ResendServer;
  let samples: Sample[];

  beforeAll(async () => {
    const apiKey = `re_${randomUUID()}`;
    resend = await ResendServer.start(apiKey);
    rind = await TestApp.start({
      env: { ...resend.environment, METRICS_TOKEN, EMAIL_VERIFICATION_REQUIRED: 'false' },
    });
    await syncInEveryWay();
    await signInInEveryWay();
    await failToSendMails();
    samples = await scrape(rind.url, METRICS_TOKEN);
  });
  afterAll(async () => {
    await rind.stop();
    await resend.stop();
  });

  async function syncInEveryWay(): Promise<void> {
    const session = await SyncSession.open(rind);
    const { accessToken: token, user, password } = { ...session.account };
    const client = await RealtimeClient.connect(rind.url, token);
    const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
      body: { email: user.email, password },
    });
    const other = await SyncSession.open(rind, {
      ...session.account,
      accessToken: body.accessToken!,
    });
    const created = Array.from({ length: SMALL_PULL_ROWS + 100 }, (_, n) => ({
      id: `p${n}`,
      name: n === 0 ? 7 : 'A project',
    }));
    await other.push({ projects: { created } });
    await client.receive('sync:changed');
    client.close();
    await refusalOf(rind.url, 'x');
    await session.pull();
    await session.push({ projects: { updated: [{ id: 'p1', name: 'B' }] } }, null);
    // No room for what is large: the one failure of a server that can be had without breaking it.
    const limits = rind.app.get(SpoolLimits);
    Object.assign(limits, { bytesPerProcess: 0 });
    expect((await rind.request('GET', '/sync/pull', { token })).status).toBe(503);
    Object.assign(limits, new SpoolLimits());
    await rind.sql.query('UPDATE sync_clocks SET floor = version WHERE user_id = $1', [user.id]);
    await session.pull(`lastPulledAt=${session.cursor - 1}`);
  }

  async function signInInEveryWay(): Promise<void> {
    const account = await rind.signUp();
    const { recoveryCodes } = await Authenticator.enrol(rind, account);
    const body = { email: account.user.email, password: account.password };
    const { body: asked } = await rind.request<MfaRequired>('POST', '/auth/login', { body });
    const answer = { mfaToken: asked.mfaToken, code: recoveryCodes[0] };
    await rind.request('POST', '/auth/mfa/verify', { body: answer });
    await rind.request('POST', '/auth/login', { body: { ...body, password: 'not the password' } });
  }

  async function failToSendMails(): Promise<void> {
    await untilJobsDone(rind.sql);
    resend.meet(refusal(422, 'validation_error'));
    await rind.signUp();
    await untilJobsDone(rind.sql);
  }

  const withName = (metric: string) => samples.filter(({ name }) => name === metric);

  test.each(expressions)('%s asks for nothing that is not there', (_where, text, legend = '') => {
    const { selectors, groupings } = parsePromql(text);
    expect(selectors.length).toBeGreaterThan(0);
    const found = selectors.filter(({ metric }) => !addedMetrics.has(metric));
    for (const { metric, matchers } of found) {
      const series = withName(metric);
      expect([metric, series.length > 0]).toEqual([metric, true]);
      for (const { label, operator, value } of matchers.filter(
        ({ label }) => !addedLabels.has(label),
      )) {
        const values = series
          .map(({ labels }) => labels[label])
          .filter((each) => each !== undefined);
        const matches = {
          '=': (each: string) => each === value,
          '=~': (each: string) => new RegExp(`^(?:${value})$`).test(each),
          // What is left out must be a label; what is asked for, also one of its values.
          '!=': () => true,
          '!~': () => true,
        }[operator]!;
        const isThere = values.some(matches);
        expect([metric, label, operator, value, isThere]).toEqual([
          metric,
          label,
          operator,
          value,
          true,
        ]);
      }
    }
    const inLegend = Array.from(legend.matchAll(/\{\{(\w+)\}\}/g), ([, label]) => label!);
    for (const label of [...groupings, ...inLegend].filter((each) => !addedLabels.has(each))) {
      const isThere = found.some(({ metric }) =>
        withName(metric).some(({ labels }) => label in labels),
      );
      expect([label, isThere]).toEqual([label, true]);
    }
    // What was grouped away cannot be shown.
    if (groupings.length > 0) expect(groupings).toEqual(expect.arrayContaining(inLegend));
  });

  test.each(expressions)('%s asks for what is of this API, and for all of it', (_where, text) => {
    for (const { metric, matchers } of parsePromql(text).selectors) {
      const others = matchers.filter(
        ({ label, operator }) => label === 'route' && operator === '!~',
      );
      expect(others.filter(({ value }) => value !== NO_REQUESTS_OF_USERS)).toEqual([]);
      // Every program for Node.js has metrics of these names.
      if (metric.startsWith('rind_')) continue;
      expect([metric, matchers]).toEqual([
        metric,
        expect.arrayContaining([{ label: 'job', operator: '=', value: 'rind' }]),
      ]);
    }
  });

  test.each(rules.map((rule) => [rule.alert, rule] as const))(
    'alert %s says how bad it is, what it is, and where to read on',
    (name, { labels, annotations }) => {
      expect(name).toMatch(/^Rind[A-Z]\w+$/);
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(annotations).toEqual({
        summary: expect.stringMatching(/.{10,}/),
        description: expect.stringMatching(/.{20,}\.$/),
        runbook: `docs/operations.md#${name.toLowerCase()}`,
      });
    },
  );

  test.each(rules.map(({ alert }) => alert))(
    'docs/operations.md says what to do about %s',
    (alert) => {
      expect(read('docs/operations.md')).toMatch(new RegExp(`^### ${alert}$`, 'm'));
    },
  );

  test('no two alerts have one name, and no two panels one id', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });

  test('the instances to choose from are those that are scraped', () => {
    const { definition } = dashboard.templating.list.find(({ name }) => name === 'instance')!;
    const [, metric = '', label] = /^label_values\((\w+), (\w+)\)$/.exec(definition ?? '') ?? [];
    expect([withName(metric).length, label]).toEqual([1, 'instance']);
  });

  test('the four service levels have an alert each', () => {
    const text = rules.map(({ expr }) => expr).join('\n');
    expect(text).toMatch(/0\.95, .*rind_http_request_seconds_bucket.* > 0\.2$/m);
    expect(text).toMatch(/0\.95, .*rind_realtime_latency_seconds_bucket.* > 0\.1$/m);
    expect(text).toMatch(/0\.95, .*rind_database_query_seconds_bucket.* > 0\.05$/m);
    expect(text).toMatch(/rind_http_requests_total.* > 14\.4 \* 0\.001$/m);
  });

  test('docs/metrics.md names every metric of ours, with its labels, and no other', () => {
    const documented = Array.from(
      read('docs/metrics.md').matchAll(/^\| `(rind_\w+)(?:\{([\w,]+)\})?`/gm),
      ([, name, labels = '']) => [name!, labels.split(',').filter(Boolean).toSorted()] as const,
    );
    const exposed = new Map<string, Set<string>>();
    for (const { name, labels } of samples.filter((sample) => sample.name.startsWith('rind_'))) {
      const base = name.replace(/_(bucket|sum|count)$/, '');
      const known = exposed.get(base) ?? new Set();
      for (const label of Object.keys(labels).filter((each) => each !== 'le')) known.add(label);
      exposed.set(base, known);
    }
    const lists = [...exposed].map(([name, labels]) => [name, [...labels].toSorted()]);
    const byName = (list: ReadonlyArray<readonly [string, unknown]>) =>
      list.toSorted(([a], [b]) => a.localeCompare(b));
    expect(byName(documented)).toEqual(byName(lists as Array<[string, unknown]>));
  });
});
