import fc from 'fast-check';
import type { Interruption } from './deployment.js';

/** What breaks on the way of one sync, by the request that it strikes. */
export const faults = [
  'none',
  'loseAnswerOfPush',
  'cutAnswerOfPush',
  'killPush',
  'duplicatePush',
  'duplicatePushAtOnce',
  'loseAnswerOfPull',
  'cutAnswerOfPull',
  'killPull',
] as const;
export type Fault = (typeof faults)[number];

/** Moments of a sync at which the database goes away. */
const moments = ['check', 'upsert', 'cascade', 'advanceClock', 'commit', 'pull'] as const;
export type Moment = (typeof moments)[number];

export interface Outage {
  at: Moment;
  how: Interruption;
}

/**
 * One step of a history, as plain data: it can be printed, replayed and shrunk. Devices and records
 * are chosen by numbers that are taken modulo what there is when the step comes.
 */
export type Step =
  | { do: 'create'; device: number; table: Table; parent: number; sameId: boolean }
  | { do: 'edit'; device: number; table: Table; record: number; column: number }
  | { do: 'move'; device: number; record: number; parent: number }
  | { do: 'delete'; device: number; table: Table; record: number }
  | { do: 'sync'; device: number; instance: number; fault: Fault }
  /** An edit between the moment at which the changes are collected and the answer to the push. */
  | { do: 'editWhilePushing'; device: number; instance: number; record: number }
  /** Two devices edit the same record; one of them syncs between the other's pull and push. */
  | {
      do: 'syncOvertaken';
      device: number;
      by: number;
      instance: number;
      record: number;
      column: number;
    }
  /** All devices at once, spread over both instances. */
  | { do: 'syncTogether'; first: number; outage: Outage | null }
  /** The clock of the database's machine is set: so far from the true time, backwards too. */
  | { do: 'setDatabaseClock'; minutes: number };

export type Table = 'projects' | 'tasks';

/** What one history plays: devices of the first account, and steps. The second account has one device. */
export interface History {
  devices: number;
  steps: Step[];
}

const number = fc.nat(30);
const device = fc.nat(11);
const instance = fc.nat(1);
// Tasks more often than projects: deleting a project takes its tasks with it.
const table = fc.constantFrom<Table>('tasks', 'tasks', 'projects');

const stepWith = (outagePercent: number): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('create' as const),
        device,
        table,
        parent: number,
        sameId: fc.boolean(),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('edit' as const),
        device,
        table,
        record: number,
        column: number,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('move' as const),
        device,
        record: number,
        parent: number,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('delete' as const), device, table, record: number }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('sync' as const),
        device,
        instance,
        fault: fc.oneof(fc.constant<Fault>('none'), fc.constantFrom(...faults)),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('editWhilePushing' as const),
        device,
        instance,
        record: number,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('syncOvertaken' as const),
        device,
        by: device,
        instance,
        record: number,
        column: number,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('syncTogether' as const),
        first: device,
        outage: fc.oneof(
          { weight: 100 - outagePercent, arbitrary: fc.constant(null) },
          {
            weight: outagePercent,
            arbitrary: fc.record({
              at: fc.constantFrom(...moments),
              how: fc.constantFrom<Interruption>('restart', 'crash'),
            }),
          },
        ),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('setDatabaseClock' as const),
        minutes: fc.integer({ min: -60, max: 60 }),
      }),
    },
  );

/**
 * Histories of exactly so many steps; a failing one shrinks to fewer. The database goes away in so many
 * of a hundred rounds in which all devices sync at once.
 */
export function historiesOf(length: number, outagePercent: number): fc.Arbitrary<History> {
  const step = stepWith(outagePercent);
  return fc.record({
    devices: fc.integer({ min: 2, max: 5 }),
    steps: new FullArray(
      fc.array(step, { minLength: length, maxLength: length, size: 'max' }),
      fc.array(step, { maxLength: length, size: 'max' }),
    ),
  });
}

/** Generates with one arbitrary and shrinks with another: an array of a fixed length would never get shorter. */
class FullArray<Value> extends fc.Arbitrary<Value> {
  constructor(
    private readonly full: fc.Arbitrary<Value>,
    private readonly shorter: fc.Arbitrary<Value>,
  ) {
    super();
  }

  override generate(random: fc.Random, bias: number | undefined): fc.Value<Value> {
    return this.full.generate(random, bias);
  }

  override canShrinkWithoutContext(value: unknown): value is Value {
    return this.shorter.canShrinkWithoutContext(value);
  }

  override shrink(value: Value, context: unknown): fc.Stream<fc.Value<Value>> {
    return this.shorter.shrink(value, context);
  }
}
