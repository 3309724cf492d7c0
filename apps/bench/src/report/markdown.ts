import { readFile, writeFile } from 'node:fs/promises';
import type { CaseResult, Comparison } from '../cases/case.ts';
import type { Report } from './report.ts';

const BEGIN = '<!-- results -->';
const END = '<!-- /results -->';

/** Into a file of its own, or between the markers of one that has them. */
export async function writeMarkdown(file: string, report: Report): Promise<void> {
  const before = await readFile(file, 'utf8').catch(() => '');
  const begin = before.indexOf(BEGIN);
  const end = before.indexOf(END);
  const text = toMarkdown(report);
  const whole =
    begin >= 0 && end > begin
      ? `${before.slice(0, begin + BEGIN.length)}\n\n${text}\n${before.slice(end)}`
      : text;
  await writeFile(file, whole);
}

export function toMarkdown({ machine, results }: Report): string {
  const { cpu, cores, memoryGb, system, node, postgres, measuredAt } = machine;
  const comparisons = results.filter(isComparison);
  return [
    `Measured on ${measuredAt.slice(0, 10)}: ${cores} cores (${cpu}), ${memoryGb} GB, ${system}, Node ${node}, PostgreSQL ${postgres}.`,
    table(
      ['one client, median in ms', 'limit', 'Rind', 'of the limit', 'naive', 'naive / Rind'],
      comparisons.filter(({ unit }) => unit === 'ms').map(latencyRow),
    ),
  ].join('\n\n');
}

type TitledComparison = Comparison & { title: string };

function isComparison(result: CaseResult & { title: string }): result is TitledComparison {
  return result.kind === 'comparison';
}

function latencyRow({ title, measurements }: TitledComparison): string[] {
  const [limit, api, naive] = ['limit', 'api', 'naive'].map(
    (name) => measurements.find((measurement) => measurement.name === name)!.median,
  ) as [number, number, number];
  return [title, ms(limit), ms(api), times(api / limit), ms(naive), times(naive / api)];
}

const ms = (value: number) => value.toPrecision(3);
const times = (ratio: number) => `×${ratio.toPrecision(2)}`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_name, index) => (index === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map(line).join('\n') + '\n';
}
