import { describe, expect, test } from '@jest/globals';
import { Chunks } from './chunks.js';
import { CopyEncoder } from './copy-encoder.js';

const fields = [
  { key: '{"id":', isText: true },
  { key: ',"title":', isText: true },
  { key: ',"size":', isText: false },
];

/** As PostgreSQL writes it (section "File Formats" of COPY). */
function copyText(value: string | null): string {
  if (value === null) return '\\N';
  const letters: Record<string, string> = {
    '\b': '\\b',
    '\t': '\\t',
    '\n': '\\n',
    '\v': '\\v',
    '\f': '\\f',
    '\r': '\\r',
    '\\': '\\\\',
  };
  return value.replace(/[\b\t\n\v\f\r\\]/g, (character) => letters[character] ?? '');
}

/** The rows through the encoder, in chunks of so many bytes. */
function encode(rows: ReadonlyArray<ReadonlyArray<string | null>>, chunkSize: number): string {
  const bytes = Buffer.from(rows.map((row) => `${row.map(copyText).join('\t')}\n`).join(''));
  const output = new Chunks();
  const encoder = new CopyEncoder(output, fields, '}');
  const parts: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += chunkSize) {
    encoder.encode(bytes.subarray(start, start + chunkSize));
    parts.push(...output.takeFull());
  }
  return Buffer.concat([...parts, ...output.takeAll()]).toString();
}

const allControls = Array.from({ length: 0x20 }, (_, code) => String.fromCharCode(code))
  .slice(1)
  .join('');

describe('rows of a COPY as JSON', () => {
  const titles = [
    '',
    null,
    'plain',
    '\\N',
    'N',
    '\\',
    '\\\\',
    '\\t',
    '\\.',
    '"quoted"',
    '\t\n\r\b\f\v',
    allControls,
    '\u007f\u0080\u2028\u2029\ufeff',
    'Ärger 日本 👩‍👩‍👧',
    '{"json": ["\\u0041\\n", null]}',
    'x'.repeat(1000),
    '"'.repeat(1000),
    `${'x'.repeat(200)}\t${'y'.repeat(200)}`,
    // Longer than a piece of the output.
    `${'x'.repeat(70_000)}"${'y'.repeat(140_000)}`,
  ];
  const sizes = ['0', '-0', '1e+20', '1.7976931348623157e+308', '-5e-324', '1790000000000', null];
  const rows = titles.flatMap((title, index) =>
    sizes.map((size, other) => [`id-${index}-${other}`, title, size]),
  );
  // What the builder of small answers writes.
  const json = rows
    .map(
      ([id, title, size]) =>
        `{"id":${JSON.stringify(id)},"title":${JSON.stringify(title)},"size":${size}}`,
    )
    .join(',');

  test.each([1, 2, 3, 7, 64, 1000, 65_536])('in chunks of %d bytes', (chunkSize) => {
    expect(encode(rows, chunkSize)).toBe(json);
  });

  test('none', () => {
    expect(encode([], 10)).toBe('');
  });

  test('of one column without a key', () => {
    const output = new Chunks();
    new CopyEncoder(output, [{ key: '', isText: true }], '').encode(Buffer.from('a\nb"\n'));
    expect(output.takeAll().join('')).toBe('"a","b\\""');
  });
});
