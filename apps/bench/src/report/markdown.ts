import { readFile, writeFile } from 'node:fs/promises';
import { figure, times } from '../format.ts';
import { isComparison, isTable, medianOf, type Report } from './report.ts';
import { checkTargets } from './targets.ts';

/** What encloses the results of a run in a file that has more. */
function markersOf({ suite }: Report): { begin: string; end: string } {
  const name = suite === 'sync' ? 'results' : `results ${suite}`;
  return { begin: `<!-- ${name} -->`, end: `<!-- /${name} -->` };
}

/** Into a file of its own, or between the markers of one that has them. */
export async function writeMarkdown(file: string, report: Report): Promise<void> {
  const before = await readFile(file, 'utf8').catch(() => '');
  const markers = markersOf(report);
  const begin = before.indexOf(markers.begin);
  const end = before.indexOf(markers.end);
  const text = toMarkdown(report);
  const hasMarkers = begin >= 0 && end > begin;
  const whole = hasMarkers
    ? `${before.slice(0, begin + markers.begin.length)}\n\n${text}\n${before.slice(end)}`
    : text;
  await writeFile(file, whole);
}

export function toMarkdown(report: Report): string {
  const { cpu, cores, memoryGb, system, node, postgres, measuredAt } = report.machine;
  const sections = [
    `Measured on ${measuredAt.slice(0, 10)}: ${cores} cores (${cpu}), ${memoryGb} GB, ${system}, Node ${node}, PostgreSQL ${postgres}.`,
    comparisonTable(report, 'ms', 'one client, median in ms'),
    comparisonTable(report, 'requests/s', 'many clients, requests/s'),
    ...report.results
      .filter(isTable)
      .map(({ title, head, rows }) => `${title}:\n\n${table(head, rows)}`),
    targetTable(report),
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

function comparisonTable({ results }: Report, unit: string, title: string): string {
  const comparisons = results.filter(isComparison).filter((result) => result.unit === unit);
  if (comparisons.length === 0) return '';
  const hasPgbench = comparisons.some((result) => medianOf(result, 'pgbench') !== undefined);
  const pgbench = (cell: string) => (hasPgbench ? [cell] : []);
  return table(
    [title, 'limit', ...pgbench('by pgbench'), 'Rind', 'of the limit', 'naive', 'Rind to naive'],
    comparisons.map((result) => {
      const [limit, api, naive] = ['limit', 'api', 'naive'].map((name) => medianOf(result, name)!);
      const faster = result.unit === 'ms' ? naive! / api! : api! / naive!;
      return [
        result.title,
        figure(limit!),
        ...pgbench(shown(medianOf(result, 'pgbench'))),
        figure(api!),
        times(api! / limit!),
        figure(naive!),
        `${figure(faster)} times as fast`,
      ];
    }),
  );
}

const shown = (value: number | undefined) => (value === undefined ? '–' : figure(value));

function targetTable(report: Report): string {
  const targets = checkTargets(report);
  if (targets.length === 0) return '';
  return table(
    ['target', 'goal', 'reached', ''],
    targets.map(({ work, goal, reached, isMet }) => [
      work,
      goal,
      reached,
      isMet ? 'met' : '**missed**',
    ]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_name, index) => (index === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map(line).join('\n');
}
