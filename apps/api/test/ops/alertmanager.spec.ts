import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { Alertmanager, findAlertmanager } from '../support/alertmanager.js';

const guide = readFileSync(new URL('../../../../docs/operations.md', import.meta.url), 'utf8');

/** As operators type it, after `docker compose exec`. */
const [program, ...words] = /^ *docker compose --profile metrics exec alertmanager (amtool .+)$/m
  .exec(guide)![1]!
  .split(' ');

async function sendTestAlert({ url }: Alertmanager): Promise<void> {
  const options = words.map((word) => word.replace('http://localhost:9093', url));
  await promisify(execFile)(`/usr/bin/${program}`, options);
}

const found = findAlertmanager();

(found === null ? describe.skip : describe)('alerts', () => {
  const alertmanager = found!;

  test('reach a webhook at once where they are critical, by the command of docs/operations.md', async () => {
    const webhook = createServer();
    webhook.listen(0, '127.0.0.1');
    await once(webhook, 'listening');
    const { port } = webhook.address() as AddressInfo;
    const to = `http://127.0.0.1:${port}/it's?a=b`;
    const sender = await Alertmanager.start(alertmanager, to);
    try {
      const arrived = once(webhook, 'request') as Promise<[IncomingMessage, ServerResponse]>;
      await sendTestAlert(sender);
      const [request, response] = await arrived;
      const body = await json(request);
      response.end();
      expect(request.url).toBe("/it's?a=b");
      expect(body).toMatchObject({
        status: 'firing',
        receiver: 'operators',
        groupLabels: { alertname: 'RindTest', severity: 'critical' },
        alerts: [{ annotations: { summary: expect.any(String) } }],
      });
    } finally {
      await sender.stop();
      webhook.close();
    }
  });

  test.each([
    'you@example.com, somebody.else@example.com',
    'https://hooks.slack.com/services/T0/B0/x',
    'slack:https://mattermost.example.com/hooks/x',
  ])('Alertmanager takes the settings that are made for %s', async (to) => {
    const started = await Alertmanager.start(alertmanager, to);
    await started.stop();
  });

  test.each(['', 'nobody'])('it does not start when ALERTS_TO is "%s", and says so', async (to) => {
    await expect(Alertmanager.start(alertmanager, to)).rejects.toThrow('ALERTS_TO must be');
  });
});
