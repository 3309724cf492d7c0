import zlib from 'node:zlib';
import { cursorBefore } from '../accounts.ts';
import type { Bench } from '../bench.ts';
import { WrongAnswer } from '../contestants/contestant.ts';
import { API_PREFIX } from '../contestants/http-contestant.ts';
import { counted, figure } from '../format.ts';
import { encodeRequest, HttpConnection } from '../load/http-connection.ts';
import { median } from '../load/statistics.ts';
import type { Scale } from '../scale.ts';
import type { Case, Table } from './case.ts';

/** How each of the codings that the API offers is undone. */
const decoders = {
  identity: (body: Buffer) => body,
  gzip: (body: Buffer) => zlib.gunzipSync(body),
  br: (body: Buffer) => zlib.brotliDecompressSync(body),
  zstd: (body: Buffer) => zlib.zstdDecompressSync(body),
};

/** What a first pull is on the wire, and what compressing it costs. */
export function wireSizeCase({ compressed }: Scale): Case {
  return {
    id: 'wire-size',
    title: 'Size on the wire',
    expectedSeconds: 15,
    run: (bench) => measureSizes(bench, compressed),
  };
}

async function measureSizes(bench: Bench, sizes: readonly number[]): Promise<Table> {
  const connection = await HttpConnection.open(bench.api.host, bench.api.port);
  const rows: string[][] = [];
  for (const size of sizes) {
    const account = bench.accounts.ofSize.get(size)!;
    const cells: string[] = [];
    for (const coding of Object.keys(decoders) as Array<keyof typeof decoders>) {
      const request = encodeRequest({
        method: 'GET',
        path: `${API_PREFIX}/sync/pull?lastPulledAt=${cursorBefore(account, size)}`,
        headers: { authorization: `Bearer ${account.token}`, 'accept-encoding': coding },
      });
      const { bytes, ms } = await measureAnswer(connection, request, coding, bench.scale.rounds);
      cells.push(`${figure(bytes / 1000)} kB in ${figure(ms)} ms`);
    }
    rows.push([counted(size, 'row'), ...cells]);
  }
  connection.close();
  return { kind: 'table', head: ['first pull', ...Object.keys(decoders)], rows, figures: {} };
}

async function measureAnswer(
  connection: HttpConnection,
  request: Buffer,
  coding: keyof typeof decoders,
  rounds: number,
): Promise<{ bytes: number; ms: number }> {
  const { status, bodyBytes: bytes, headers, body } = await connection.send(request, true);
  const isCoded = headers.includes(`content-encoding: ${coding}`) || coding === 'identity';
  if (status !== 200 || !isCoded) throw new WrongAnswer(`No ${coding} in ${status} ${headers}`);
  JSON.parse(decoders[coding](body!).toString());
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const startedMs = performance.now();
    await connection.send(request);
    times.push(performance.now() - startedMs);
  }
  return { bytes, ms: median(times) };
}
