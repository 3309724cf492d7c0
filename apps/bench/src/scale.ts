/** How much is measured. */
export interface Scale {
  readonly accounts: number;
  /** Rows of first pulls; 0 stands for a pull with nothing new. */
  readonly pulls: readonly number[];
  /** Records of a push. */
  readonly pushes: readonly number[];
  /** Connections that ask at once, each for an account of its own. */
  readonly clients: number;
  /** Rows that are newer than a cursor, in pulls of many clients. */
  readonly clientPulls: readonly number[];
  /** Records of a push of one of many clients. */
  readonly clientPush: number;
  /** Of one round of one contestant under load. */
  readonly loadSeconds: number;
  /** Rows of first pulls that are compressed. */
  readonly compressed: readonly number[];
  /** Rows and records of what memory is measured with, and of the pulls of a busy neighbour. */
  readonly largePull: number;
  readonly largePush: number;
  /** What a crowded database has beside the account that is measured. */
  readonly crowd: { readonly foreignRows: number; readonly tombstones: number };
  /** Of each question about known addresses, and as many about unknown ones. */
  readonly addressSamples: number;
  /** Connected while wake-ups are measured. */
  readonly sockets: number;
  /** Of one round of one contestant. */
  readonly wakeUps: number;
  readonly rounds: number;
  /** Before the clock starts: what a contestant compiles and caches on the way. */
  readonly warmUpMs: number;
  /** Repetitions of a request of this size within a round. */
  readonly repeats: (rows: number) => number;
}

export const FULL: Scale = {
  accounts: 200,
  pulls: [0, 1, 100, 1_000, 10_000, 100_000],
  pushes: [1, 100, 1_000, 10_000],
  clients: 32,
  clientPulls: [0, 10, 500],
  clientPush: 5,
  loadSeconds: 2,
  compressed: [1_000, 10_000, 100_000],
  largePull: 100_000,
  largePush: 10_000,
  crowd: { foreignRows: 1_000_000, tombstones: 100_000 },
  addressSamples: 400,
  sockets: 1_000,
  wakeUps: 200,
  rounds: 7,
  warmUpMs: 1_000,
  repeats: (rows) => (rows <= 100 ? 40 : rows <= 1_000 ? 10 : rows <= 10_000 ? 3 : 1),
};

/** The same in seconds, to see that everything still works. */
export const SMOKE: Scale = {
  accounts: 20,
  pulls: [0, 1, 100, 1_000],
  pushes: [1, 100],
  clients: 4,
  clientPulls: [0, 10, 500],
  clientPush: 5,
  loadSeconds: 0.2,
  compressed: [100, 1_000],
  largePull: 1_000,
  largePush: 100,
  crowd: { foreignRows: 2_000, tombstones: 500 },
  addressSamples: 5,
  sockets: 20,
  wakeUps: 5,
  rounds: 1,
  warmUpMs: 0,
  repeats: () => 2,
};
