import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { lastReleased, notesOf, releaseChangelog } from './changelog.ts';
import { assertNextVersion, withVersion } from './version.ts';

const first = `# Changelog

About this file.

## Unreleased

### Added

- Sync.
`;
const second = `# Changelog

About this file.

## Unreleased

## 0.1.0 - 2026-11-21

### Added

- Sync.
`;

describe('The changelog of a release', () => {
  test('gets a section for the version, below an empty one for what comes next', () => {
    assert.equal(releaseChangelog(first, '0.1.0', '2026-11-21'), second);
    const third = releaseChangelog(
      second.replace('Unreleased\n', 'Unreleased\n\n- Mails.\n'),
      '0.2.0',
      '2026-12-01',
    );
    assert.match(
      third,
      /## Unreleased\n\n## 0\.2\.0 - 2026-12-01\n\n- Mails\.\n\n## 0\.1\.0 - 2026-11-21\n/,
    );
    assert.equal(lastReleased(third), '0.2.0');
    assert.equal(notesOf(third, '0.2.0'), '- Mails.');
  });

  test('is refused when nothing is unreleased', () => {
    assert.throws(() => releaseChangelog(second, '0.2.0', '2026-12-01'), /nothing under/);
    assert.throws(() => releaseChangelog('# Changelog\n', '0.2.0', '2026-12-01'), /nothing under/);
  });

  test('knows the last version and what it brought', () => {
    assert.equal(lastReleased(first), null);
    assert.equal(lastReleased(second), '0.1.0');
    assert.equal(notesOf(second, '0.1.0'), '### Added\n\n- Sync.');
    assert.throws(() => notesOf(second, '0.1'), /does not tell of 0\.1$/);
  });
});

describe('The version of a release', () => {
  test('is above the one before, by number and not by letter', () => {
    const rising = ['0.1.0', '0.1.1', '0.2.0', '0.10.0', '1.0.0', '1.0.10'];
    for (const [index, version] of rising.entries()) {
      assertNextVersion(version, rising[index - 1] ?? null);
      for (const later of rising.slice(index)) {
        assert.throws(() => assertNextVersion(version, later), /is not above/);
      }
    }
  });

  test('is three numbers and nothing else', () => {
    const wrong = ['', '1', '1.2', '1.2.3.4', 'v1.2.3', '1.2.3-rc.1', '01.2.3', '1.2.3\n', '1.2.x'];
    for (const text of [...wrong, '$(id)', '1.2.99999999999999999999']) {
      assert.throws(() => assertNextVersion(text, null), /is no version/, text);
    }
  });

  test('changes nothing else in a package.json', () => {
    const manifest = `{\n  "name": "rind",\n  "version": "0.1.0",\n  "dependencies": { "x": "0.1.0" }\n}\n`;
    const changed = manifest.replace('"version": "0.1.0"', '"version": "0.2.0"');
    assert.equal(withVersion(manifest, '0.2.0'), changed);
    assert.throws(() => withVersion('{}', '0.2.0'), /has no version/);
  });
});
