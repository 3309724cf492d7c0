import { hasSqlDetails, parse, type RawStmt } from 'libpg-query';
import { brokenRules, type Rule, rules, Tables } from './check-rules.ts';
import {
  type Migration,
  type ProjectPaths,
  projectPaths,
  readMigrations,
} from './project-files.ts';

/** Written before there were rules; applied migrations are not edited. */
const LAST_UNCHECKED = '20261121200200_forget_request_ids';

export interface Finding {
  migration: string;
  line: number;
  rule: Rule | 'marker';
  message: string;
}

/**
 * Finds what would keep a table in use locked for long, break the version before, or not survive an interruption.
 * A line above a statement allows what it does: `-- rind:allow <rule> because <reason>`.
 */
export async function checkMigrations({
  paths = projectPaths,
  lastUnchecked = LAST_UNCHECKED,
}: { paths?: ProjectPaths; lastUnchecked?: string } = {}): Promise<Finding[]> {
  const tables = new Tables();
  const findings: Finding[] = [];
  for (const migration of await readMigrations(paths)) {
    tables.beginMigration();
    const found = await checkMigration(migration, tables);
    if (migration.name > lastUnchecked) findings.push(...found);
  }
  return findings;
}

async function checkMigration({ name, sql }: Migration, tables: Tables): Promise<Finding[]> {
  let statements: RawStmt[];
  try {
    statements = sql.trim() === '' ? [] : ((await parse(sql)).stmts ?? []);
  } catch (error) {
    if (!hasSqlDetails(error)) throw error;
    const line = lineAt(Buffer.from(sql), error.sqlDetails?.cursorPosition ?? 0);
    return [
      { migration: name, line, rule: 'not-sql', message: `${rules['not-sql']} ${error.message}` },
    ];
  }
  return withComments(sql, statements).flatMap(({ statement, line, comments }) => {
    const broken = statement ? brokenRules(statement, tables, statements.length === 1) : [];
    return judge(broken, comments).map((finding) => ({ migration: name, line, ...finding }));
  });
}

interface CommentedStatement {
  statement: RawStmt['stmt'];
  line: number;
  comments: string;
}

/** Each statement with what stands between the one before and itself. PostgreSQL counts bytes. */
function withComments(sql: string, statements: readonly RawStmt[]): CommentedStatement[] {
  const bytes = Buffer.from(sql);
  let end = 0;
  return statements.map(({ stmt, stmt_location: start = 0, stmt_len: length }) => {
    const comments = bytes.toString('utf8', end, start);
    end = length === undefined ? bytes.length : start + length;
    return { statement: stmt, line: lineAt(bytes, start), comments };
  });
}

const lineAt = (bytes: Buffer, offset: number): number =>
  bytes.toString('utf8', 0, offset).split('\n').length;

const MARKER = /^\s*-- *rind:allow\b(.*)$/gm;
const ALLOWANCE = /^ ([a-z-]+) because \S.*$/;

/** What is broken and not allowed, and what is allowed and not broken. */
function judge(
  broken: readonly Rule[],
  comments: string,
): Array<Pick<Finding, 'rule' | 'message'>> {
  const markers = [...comments.matchAll(MARKER)].map(([, text = '']) => text);
  const allowed = markers.map((text) => ALLOWANCE.exec(text)?.[1]);
  const left = [...new Set(broken)].filter((rule) => !allowed.includes(rule));
  return [
    ...left.map((rule) => ({ rule, message: rules[rule] })),
    ...markers.flatMap((text, index) => wrongMarker(text, allowed[index], broken)),
  ];
}

function wrongMarker(
  text: string,
  rule: string | undefined,
  broken: readonly string[],
): Array<Pick<Finding, 'rule' | 'message'>> {
  if (rule === undefined) {
    const message = `"rind:allow${text}" is not of the form: rind:allow <rule> because <reason>.`;
    return [{ rule: 'marker', message }];
  }
  if (broken.includes(rule)) return [];
  return [
    { rule: 'marker', message: `"${rule}" is not what the statement below breaks: remove it.` },
  ];
}
