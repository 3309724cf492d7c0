import { figure, times } from '../format.ts';
import { isComparison, isTable, medianOf, type Report } from './report.ts';

/** What a run has to reach, as ratios: absolute figures are those of a machine and an hour. */
interface Target {
  readonly work: string;
  readonly goal: string;
  /** Undefined when the run did not measure it. */
  readonly reached: (report: Report) => number | undefined;
  readonly isMet: (reached: number) => boolean;
  readonly show: (reached: number) => string;
}

export interface TargetResult {
  readonly work: string;
  readonly goal: string;
  readonly reached: string;
  readonly isMet: boolean;
}

/** Differences below this are those between two runs of the same. */
const NOISE = 1.1;

/** How many times as long as the limit. */
const withinLimit = (work: string, id: string, most: number): Target => ({
  work,
  goal: `within ×${most} of the limit`,
  reached: (report) => ratioOf(report, id, 'api', 'limit'),
  isMet: (ratio) => ratio <= most,
  show: times,
});

/** Which share of the limit's requests. */
const shareOfLimit = (work: string, id: string, least: number): Target => ({
  work,
  goal: `at least ${least} of the limit`,
  reached: (report) => ratioOf(report, id, 'api', 'limit'),
  isMet: (ratio) => ratio >= least,
  show: figure,
});

const timesNaive = (work: string, id: string, least: number): Target => ({
  work,
  goal: `at least ${least} times as fast as naive`,
  reached: (report) => speedUp(report, id),
  isMet: (ratio) => ratio >= least,
  show: times,
});

const figureBelow = (
  work: string,
  goal: string,
  { id, figure, most }: { id: string; figure: string; most: number },
  show: (value: number) => string,
): Target => ({
  work,
  goal,
  reached: (report) =>
    report.results.filter(isTable).find((result) => result.id === id)?.figures[figure],
  isMet: (value) => value <= most,
  show,
});

const figureAtLeast = (
  work: string,
  goal: string,
  { id, figure: name, least }: { id: string; figure: string; least: number },
): Target => ({
  work,
  goal,
  reached: (report) =>
    report.results.filter(isTable).find((result) => result.id === id)?.figures[name],
  isMet: (value) => value >= least,
  show: figure,
});

const megabytes = (value: number) => `${value} MB`;

const targets: readonly Target[] = [
  withinLimit('first pull of 10,000 rows', 'pull-10000', 2),
  timesNaive('first pull of 10,000 rows', 'pull-10000', 3),
  withinLimit('first pull of 100,000 rows', 'pull-100000', 1.7),
  timesNaive('first pull of 100,000 rows', 'pull-100000', 5),
  ...(['pullMb', 'pullsMb', 'pushMb'] as const).map((figure) =>
    figureBelow(
      {
        pullMb: 'peak memory, one large first pull',
        pullsMb: 'peak memory, several in a row',
        pushMb: 'peak memory, one large push',
      }[figure],
      'below 300 MB',
      { id: 'memory', figure, most: 300 },
      megabytes,
    ),
  ),
  shareOfLimit('pull with nothing new, 32 clients', 'clients-pull-0', 0.75),
  timesNaive('pull with nothing new, 32 clients', 'clients-pull-0', 7),
  shareOfLimit('pull of 10 new rows, 32 clients', 'clients-pull-10', 0.7),
  timesNaive('pull of 10 new rows, 32 clients', 'clients-pull-10', 6),
  withinLimit('push of 1,000', 'push-1000', 1.3),
  timesNaive('push of 1,000', 'push-1000', 25),
  withinLimit('push of 10,000', 'push-10000', 1.4),
  timesNaive('push of 10,000', 'push-10000', 25),
  shareOfLimit('push of 5, 32 clients', 'clients-push-5', 0.5),
  timesNaive('push of 5, 32 clients', 'clients-push-5', 15),
  figureBelow(
    'small pull beside large ones',
    'p99 within ×5 of its own alone',
    { id: 'neighbours', figure: 'api', most: 5 },
    times,
  ),
  ...['pull-0', 'pull-10'].map((figure) =>
    figureBelow(
      `${figure === 'pull-0' ? 'nothing new' : '10 new rows'} beside other people's data`,
      'no measurable difference',
      { id: 'crowd', figure, most: NOISE },
      times,
    ),
  ),
  figureAtLeast('authenticated request', 'at least 0.65 of the same open one', {
    id: 'authenticated',
    figure: 'share',
    least: 0.65,
  }),
  figureAtLeast('sign-in by password', 'at least 0.7 of bare argon2', {
    id: 'sign-in',
    figure: 'sign-in',
    least: 0.7,
  }),
  figureBelow(
    'GET /health beside 50 sign-ins at once',
    'p99 below 50 ms',
    { id: 'flood', figure: 'p99', most: 50 },
    (value) => `${figure(value)} ms`,
  ),
  figureBelow(
    'wake-up after the answer to a push',
    'p99 within ×3 of bare Socket.IO',
    { id: 'wake-up', figure: 'p99', most: 3 },
    times,
  ),
];

/** Of the targets whose cases were measured. */
export function checkTargets(report: Report): TargetResult[] {
  if (report.isSmoke) return [];
  return targets.flatMap(({ work, goal, reached, isMet, show }) => {
    const value = reached(report);
    return value === undefined ? [] : [{ work, goal, reached: show(value), isMet: isMet(value) }];
  });
}

function ratioOf({ results }: Report, id: string, name: string, base: string): number | undefined {
  const result = results.filter(isComparison).find((comparison) => comparison.id === id);
  const [value, unit] = result ? [medianOf(result, name), medianOf(result, base)] : [];
  return value === undefined || unit === undefined ? undefined : value / unit;
}

function speedUp(report: Report, id: string): number | undefined {
  const ratio = ratioOf(report, id, 'api', 'naive');
  const result = report.results.filter(isComparison).find((comparison) => comparison.id === id);
  if (ratio === undefined || !result) return undefined;
  return result.unit === 'ms' ? 1 / ratio : ratio;
}
