import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { findOptionalPart } from '../support/optional-parts.js';

const promtool = findOptionalPart('Prometheus', '/usr/bin/promtool');
const cases = fileURLToPath(new URL('alerts.test.yml', import.meta.url));

(promtool === null ? test.skip : test)(
  'Prometheus finds that the alerts fire when alerts.test.yml says so, and not else',
  async () => {
    const { stdout } = await promisify(execFile)(promtool!, ['test', 'rules', cases]);
    expect(stdout).toContain('SUCCESS');
  },
);
