import type {
  AlterTableCmd,
  AlterTableStmt,
  AlterTableType,
  ColumnDef,
  Constraint,
  Node,
  RangeVar,
  RenameStmt,
} from 'libpg-query';

/** What a migration must not do to a table in use, and what to do instead. */
export const rules = {
  'not-sql': 'PostgreSQL could not read this.',
  'index-locks-writes':
    'Nobody can write while the index is built: CREATE INDEX CONCURRENTLY IF NOT EXISTS, alone in a migration.',
  'concurrently-not-alone':
    'CONCURRENTLY does not run in a transaction, which the statements of one file are: put it alone into a migration.',
  'concurrently-not-repeatable':
    'It may be cut off, and runs again then: IF NOT EXISTS, or IF EXISTS for a drop.',
  'not-null-without-default':
    'It fails on a table with rows, and on inserts of the version before: give a constant default, or allow null.',
  'default-rewrites-table':
    'A default that differs by row rewrites the whole table: add the column without, set the default, fill it in batches.',
  'set-not-null-scans':
    'All rows are read while nobody can use the table: ADD CONSTRAINT … CHECK (column IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT in a later migration, then SET NOT NULL.',
  'type-rewrites-table':
    'Most changes of a type rewrite the table, and the version before expects the old one: add a new column.',
  'constraint-scans':
    'All rows are checked under a lock: add it NOT VALID, and VALIDATE CONSTRAINT in a later migration.',
  'validate-under-lock':
    'The lock of ADD CONSTRAINT is held until the end of the transaction: validate in a later migration.',
  'unique-locks':
    'The index is built under a lock: CREATE UNIQUE INDEX CONCURRENTLY in a migration of its own, then ADD CONSTRAINT … USING INDEX.',
  'takes-away':
    'The version before still uses it: remove it a release after the last code that names it.',
  'rewrites-table': 'It rewrites the table while nobody can use it.',
  'locks-table': 'It locks the table until the end of the transaction.',
  'changes-rows':
    'All rows are locked in one transaction, and devices do not learn of it: change them in batches, outside of a migration.',
  'hidden-statements':
    'What a DO block or a function runs cannot be checked: write the statements themselves.',
  'ends-transaction': 'A migration is one transaction: what fails later would leave a part.',
  'session-setting': 'It would stay for all later migrations: SET LOCAL.',
} as const;

export type Rule = keyof typeof rules;

/** Functions with one value for all rows of a statement. */
const STABLE = new Set(['now', 'transaction_timestamp', 'statement_timestamp']);
/** What code names, so that the version before fails without it. */
const USED_BY_NAME = new Set<string | undefined>([
  'OBJECT_TABLE',
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_VIEW',
  'OBJECT_MATVIEW',
  'OBJECT_SEQUENCE',
  'OBJECT_FUNCTION',
  'OBJECT_PROCEDURE',
  'OBJECT_ROUTINE',
  'OBJECT_AGGREGATE',
  'OBJECT_TYPE',
  'OBJECT_DOMAIN',
  'OBJECT_SCHEMA',
]);
const CHANGES = ['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'];
const HIDDEN: Rule[] = ['hidden-statements'];
const SERIAL = new Set(['serial', 'bigserial', 'smallserial', 'serial2', 'serial4', 'serial8']);

/** The tables as the statements before have left them: what exists, and what is known of their rows. */
export class Tables {
  /** Made by the migration at hand, so that nobody uses them yet. */
  private readonly fresh = new Set<string>();
  /** Added by the migration at hand: their locks are still held. */
  private readonly addedHere = new Set<string>();
  private readonly notNullChecks = new Map<string, string>();
  private readonly provenColumns = new Set<string>();

  beginMigration(): void {
    this.fresh.clear();
    this.addedHere.clear();
  }

  create(table: string): void {
    this.fresh.add(table);
  }

  isFresh(table: string): boolean {
    return this.fresh.has(table);
  }

  addConstraint(table: string, { conname, contype, raw_expr, keys }: Constraint): void {
    const key = `${table} ${conname}`;
    this.addedHere.add(key);
    const column = contype === 'CONSTR_NOTNULL' ? nameOf(keys?.[0]) : notNullColumn(raw_expr);
    if (column !== undefined) this.notNullChecks.set(key, `${table} ${column}`);
  }

  isAddedHere(table: string, constraint: string): boolean {
    return this.addedHere.has(`${table} ${constraint}`);
  }

  validate(table: string, constraint: string): void {
    const column = this.notNullChecks.get(`${table} ${constraint}`);
    if (column !== undefined) this.provenColumns.add(column);
  }

  hasNoNulls(table: string, column: string): boolean {
    return this.provenColumns.has(`${table} ${column}`);
  }
}

/** The rules that one statement breaks. Takes note of what it does to the tables. */
export function brokenRules(statement: Node, tables: Tables, isAlone: boolean): Rule[] {
  if ('CreateStmt' in statement) {
    tables.create(tableOf(statement.CreateStmt.relation));
    return [];
  }
  if ('CreateTableAsStmt' in statement) {
    tables.create(tableOf(statement.CreateTableAsStmt.into?.rel));
    return [];
  }
  if ('AlterTableStmt' in statement) return alterTable(statement.AlterTableStmt, tables);
  if ('RenameStmt' in statement) return rename(statement.RenameStmt, tables);
  if ('IndexStmt' in statement) {
    const { concurrent, if_not_exists, relation } = statement.IndexStmt;
    if (concurrent) return concurrently(isAlone, if_not_exists);
    return unlessFresh(tables, relation, 'index-locks-writes');
  }
  if ('ReindexStmt' in statement) {
    const isConcurrent = statement.ReindexStmt.params?.some(
      (param) => 'DefElem' in param && param.DefElem.defname === 'concurrently',
    );
    return isConcurrent ? concurrently(isAlone, true) : ['locks-table'];
  }
  if ('DropStmt' in statement) {
    const { removeType, concurrent, missing_ok, objects = [] } = statement.DropStmt;
    if (concurrent) return concurrently(isAlone, missing_ok);
    const isGone = objects.every((object) => tables.isFresh(qualified(namesOf(object))));
    return USED_BY_NAME.has(removeType) && !isGone ? ['takes-away'] : [];
  }
  if ('AlterObjectSchemaStmt' in statement) {
    const { objectType, relation } = statement.AlterObjectSchemaStmt;
    return objectType === 'OBJECT_TABLE' ? unlessFresh(tables, relation, 'takes-away') : [];
  }
  if ('SelectStmt' in statement)
    return [...changesRows(statement, tables), ...(callsFunction(statement) ? HIDDEN : [])];
  if (CHANGES.some((kind) => kind in statement)) return changesRows(statement, tables);
  if ('TruncateStmt' in statement) return ['takes-away'];
  if ('LockStmt' in statement) return ['locks-table'];
  if ('VacuumStmt' in statement || 'ClusterStmt' in statement) return ['rewrites-table'];
  if ('DoStmt' in statement || 'CallStmt' in statement) return HIDDEN;
  if ('TransactionStmt' in statement) return ['ends-transaction'];
  if ('VariableSetStmt' in statement)
    return statement.VariableSetStmt.is_local ? [] : ['session-setting'];
  return [];
}

function concurrently(isAlone: boolean, isRepeatable: boolean | undefined): Rule[] {
  return [
    ...(isAlone ? [] : (['concurrently-not-alone'] as const)),
    ...(isRepeatable ? [] : (['concurrently-not-repeatable'] as const)),
  ];
}

function alterTable({ relation, cmds = [], objtype }: AlterTableStmt, tables: Tables): Rule[] {
  const table = tableOf(relation);
  if (objtype !== 'OBJECT_TABLE' || tables.isFresh(table)) return [];
  return cmds.flatMap((cmd) =>
    'AlterTableCmd' in cmd ? alterTableCommand(cmd.AlterTableCmd, table, tables) : [],
  );
}

/** Commands that break a rule wherever they stand. */
const brokenByCommand: Partial<Record<AlterTableType, Rule>> = {
  AT_AlterColumnType: 'type-rewrites-table',
  AT_DropColumn: 'takes-away',
  AT_AddIdentity: 'set-not-null-scans',
  AT_SetLogged: 'rewrites-table',
  AT_SetUnLogged: 'rewrites-table',
  AT_SetTableSpace: 'rewrites-table',
  AT_SetAccessMethod: 'rewrites-table',
  AT_SetExpression: 'rewrites-table',
};

function alterTableCommand(
  { subtype, name = '', def }: AlterTableCmd,
  table: string,
  tables: Tables,
): Rule[] {
  if (subtype === undefined) return [];
  if (subtype === 'AT_AddColumn' && def && 'ColumnDef' in def) return addColumn(def.ColumnDef);
  if (subtype === 'AT_AddConstraint' && def && 'Constraint' in def)
    return addConstraint(def.Constraint, table, tables);
  if (subtype === 'AT_ValidateConstraint') {
    tables.validate(table, name);
    return tables.isAddedHere(table, name) ? ['validate-under-lock'] : [];
  }
  if (subtype === 'AT_SetNotNull')
    return tables.hasNoNulls(table, name) ? [] : ['set-not-null-scans'];
  const rule = brokenByCommand[subtype];
  return rule === undefined ? [] : [rule];
}

function addColumn({ typeName, constraints = [] }: ColumnDef): Rule[] {
  const found = constraints.flatMap((node) => ('Constraint' in node ? [node.Constraint] : []));
  const types = new Set(found.map(({ contype }) => contype));
  const fallback = found.find(({ contype }) => contype === 'CONSTR_DEFAULT')?.raw_expr;
  const broken: Rule[] = [];
  if (
    (fallback && differsByRow(fallback)) ||
    types.has('CONSTR_IDENTITY') ||
    found.some(
      ({ contype, generated_kind }) => contype === 'CONSTR_GENERATED' && generated_kind !== 'v',
    ) ||
    SERIAL.has(nameOf(typeName?.names?.at(-1)) ?? '')
  ) {
    broken.push('default-rewrites-table');
  } else if (types.has('CONSTR_NOTNULL') && (!fallback || isNull(fallback))) {
    broken.push('not-null-without-default');
  }
  if (types.has('CONSTR_CHECK') || types.has('CONSTR_FOREIGN')) broken.push('constraint-scans');
  if (types.has('CONSTR_UNIQUE') || types.has('CONSTR_PRIMARY')) broken.push('unique-locks');
  return broken;
}

function addConstraint(constraint: Constraint, table: string, tables: Tables): Rule[] {
  const { contype, skip_validation, is_enforced, indexname, keys } = constraint;
  if (contype === 'CONSTR_EXCLUSION') return ['unique-locks'];
  if (contype === 'CONSTR_UNIQUE' || contype === 'CONSTR_PRIMARY')
    return indexname === undefined ? ['unique-locks'] : [];
  tables.addConstraint(table, constraint);
  if (skip_validation) return [];
  if (contype === 'CONSTR_NOTNULL')
    return tables.hasNoNulls(table, nameOf(keys?.[0]) ?? '') ? [] : ['set-not-null-scans'];
  // NOT ENFORCED is never checked.
  return is_enforced === false ? [] : ['constraint-scans'];
}

function rename({ renameType, relationType, relation }: RenameStmt, tables: Tables): Rule[] {
  const isOfTable =
    renameType === 'OBJECT_TABLE' ||
    (renameType === 'OBJECT_COLUMN' && relationType === 'OBJECT_TABLE');
  return isOfTable ? unlessFresh(tables, relation, 'takes-away') : [];
}

function unlessFresh(tables: Tables, relation: RangeVar | undefined, rule: Rule): Rule[] {
  return tables.isFresh(tableOf(relation)) ? [] : [rule];
}

/** One for each table that somebody uses, also below WITH. */
function changesRows(statement: Node, tables: Tables): Rule[] {
  return nodesOf(statement).flatMap(([kind, node]) =>
    kind === 'UpdateStmt' || kind === 'DeleteStmt' || kind === 'MergeStmt'
      ? unlessFresh(tables, (node as { relation?: RangeVar }).relation, 'changes-rows')
      : [],
  );
}

const callsFunction = (statement: Node): boolean =>
  nodesOf(statement).some(([kind]) => kind === 'FuncCall');

/** Everything within, by its kind. */
function nodesOf(value: unknown): Array<[kind: string, node: unknown]> {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([kind, node]) => [[kind, node], ...nodesOf(node)]);
}

/** Any function that is not known to be stable, wherever it stands in the expression. */
function differsByRow(expression: unknown): boolean {
  if (typeof expression !== 'object' || expression === null) return false;
  const call = (expression as { FuncCall?: { funcname?: Node[] } }).FuncCall;
  if (call && !STABLE.has(nameOf(call.funcname?.at(-1)) ?? '')) return true;
  return Object.values(expression).some(differsByRow);
}

const isNull = (expression: Node): boolean =>
  'A_Const' in expression && expression.A_Const.isnull === true;

/** Of an expression like `column IS NOT NULL`. */
function notNullColumn(expression: Node | undefined): string | undefined {
  if (!expression || !('NullTest' in expression)) return undefined;
  const { nulltesttype, arg } = expression.NullTest;
  if (nulltesttype !== 'IS_NOT_NULL' || !arg || !('ColumnRef' in arg)) return undefined;
  return nameOf(arg.ColumnRef.fields?.at(-1));
}

const tableOf = (relation: RangeVar | undefined): string =>
  qualified([relation?.schemaname, relation?.relname].filter((name) => name !== undefined));

/** Unqualified names are those of the schema that the tool migrates, by default `public`. */
const qualified = (names: readonly string[]): string =>
  names[0] === 'public' ? names.slice(1).join('.') : names.join('.');

const namesOf = (node: Node): string[] =>
  'List' in node ? (node.List.items ?? []).flatMap((item) => nameOf(item) ?? []) : [];

const nameOf = (node: Node | undefined): string | undefined =>
  node && 'String' in node ? node.String.sval : undefined;
