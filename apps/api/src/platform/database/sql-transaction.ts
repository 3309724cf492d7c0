import type { PoolClient, QueryConfig, QueryResult } from 'pg';
import type { Prisma } from './generated/client.js';

/** A statement for a hot path: prepared under its name, rows as arrays when asked. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly rowMode?: 'array';
}

/**
 * Statements within one transaction of the database. They run in the order in which they are given,
 * also when nobody waits for one before the next; behind one that failed all others fail.
 */
export interface SqlTransaction {
  run<Row>(statement: Statement, values: readonly unknown[]): Promise<Row[]>;
  /** Without waiting for it: what fails here is told by the commit. */
  send(statement: Statement, values: readonly unknown[]): void;
}

/**
 * A transaction on one pipelined connection. What is given before the event loop goes on is sent in
 * one write, the beginning and the commit too: round trips cost more than most statements.
 */
export class PipelinedTransaction implements SqlTransaction {
  private readonly sent: Array<Promise<unknown>> = [];
  private readonly begun: Promise<unknown>;
  private isCorked = false;

  constructor(
    private readonly connection: PoolClient,
    private readonly toQuery: (statement: Statement, values: readonly unknown[]) => QueryConfig,
    begin: string,
  ) {
    this.begun = this.keep(this.query({ text: begin }));
  }

  async run<Row>(statement: Statement, values: readonly unknown[]): Promise<Row[]> {
    const answer = this.query(this.toQuery(statement, values));
    // Outside of a transaction it would count for nothing.
    const [{ rows }] = await Promise.all([answer, this.begun]);
    return rows as Row[];
  }

  send(statement: Statement, values: readonly unknown[]): void {
    void this.keep(this.query(this.toQuery(statement, values)));
  }

  /** @throws the first failure of what was sent */
  async commit(): Promise<void> {
    const commit = this.query({ text: 'COMMIT' });
    const [{ command }] = await Promise.all([commit, ...this.sent]);
    // So PostgreSQL answers where a statement failed, whoever has caught its error.
    if (command !== 'COMMIT')
      throw new Error('A transaction with a failed statement was committed');
  }

  async rollback(): Promise<void> {
    await this.query({ text: 'ROLLBACK' });
  }

  private query(query: QueryConfig): Promise<QueryResult> {
    if (!this.isCorked) {
      const { stream } = this.connection.connection;
      this.isCorked = true;
      stream.cork();
      process.nextTick(() => {
        this.isCorked = false;
        stream.uncork();
      });
    }
    return this.connection.query(query);
  }

  /** Its failure is told by the commit, however long that takes to come. */
  private keep(answer: Promise<unknown>): Promise<unknown> {
    answer.catch(() => undefined);
    this.sent.push(answer);
    return answer;
  }
}

/** Statements on Prisma's transaction, with numbers as `Database.run` gives them. */
export class PrismaSqlTransaction implements SqlTransaction {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly prisma: Prisma.TransactionClient) {}

  async run<Row>({ text }: Statement, values: readonly unknown[]): Promise<Row[]> {
    const answer = this.last.then(() =>
      this.prisma.$queryRawUnsafe<Array<Record<string, unknown>>>(text, ...values),
    );
    this.last = answer;
    const rows = await answer;
    return rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [
          name,
          typeof value === 'bigint' ? Number(value) : value,
        ]),
      ),
    ) as Row[];
  }

  send(statement: Statement, values: readonly unknown[]): void {
    this.run(statement, values).catch(() => undefined);
  }

  /** @throws the first failure of what was sent */
  async settle(): Promise<void> {
    await this.last;
  }
}
